"""Sentiment: MR in ten folds, and IMDB, each beside a linear model of words and pairs of words.

Training stops by, and chances are calibrated on, a tenth of the training texts, of a fixed seed.

    python benchmarks/sentiment.py              all into benchmarks/results, and the page
    python benchmarks/sentiment.py --set mr     one of the two
    python benchmarks/sentiment.py --short      a small fold of generated texts, nothing written

Run again, it goes on: folds that are saved are not trained again, and a training goes on from its
checkpoint. PyTorch's number of threads is that of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import lzma
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import records

from grukit import FitConfig, TextClassifier
from grukit.core.env import data_folder
from grukit.data.synthetic_texts import planted_reviews

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "sentiment.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "sentiment.md"
FOLDS = 10
SETTINGS: dict[str, dict[str, Any]] = {
    "mr": {
        "training": {"epochs": 4, "batch_size": 32, "learning_rate": 4e-3, "average": 0.998},
    },
    "imdb": {
        "hidden_size": 96,
        "max_tokens": 400,
        "training": {
            "epochs": 4,
            "batch_size": 32,
            "learning_rate": 2e-3,
            "average": 0.998,
            "precision": "bfloat16",
        },
    },
}
SHORT: dict[str, Any] = {
    "embedding_size": 8,
    "hidden_size": 8,
    "training": {"epochs": 15, "batch_size": 16, "learning_rate": 0.02},
    "word_dropout": 0.1,
    "dropout": 0.1,
}
Texts = tuple[list[str], list[int]]


def mr() -> Texts:
    """10,662 sentences of film reviews, 1 where they praise (Pang and Lee 2005)."""
    path = _data() / "sentiment" / "mr" / "rt-polarity.all"
    lines = path.read_text(encoding="latin-1").rstrip("\n").split("\n")
    pairs = [line.split(" ", 1) for line in lines]
    return [text for _, text in pairs], [int(label) for label, _ in pairs]


def folds(count: int) -> np.ndarray:
    """Which of the ten folds each text is in, by a fixed seed."""
    return np.random.default_rng(0).permutation(count) % FOLDS


def imdb(part: str) -> Texts:
    """25,000 film reviews, "train" or "test" (Maas et al. 2011), 1 where they praise."""
    with lzma.open(_data() / "sentiment" / "imdb" / f"imdb_{part}.csv.xz") as file:
        rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")))
    texts = [row["text"].replace("<br />", " ") for row in rows]
    return texts, [int(row["label"] in ("1", "pos")) for row in rows]


def _data() -> Path:
    folder = data_folder()
    if folder is None:
        raise SystemExit("GRUKIT_DATA must name the folder of the data sets")
    return folder


def run(settings: dict[str, Any], train: Texts, test: Texts, work: Path) -> dict[str, Any]:
    """Train and score one model; its checkpoint lies in `work`."""
    training = FitConfig(patience=None, **settings["training"])
    model = TextClassifier(**{**settings, "training": training})

    def fit(checkpoint: Path) -> None:
        model.fit(*train, checkpoint=checkpoint, resume=True)

    seconds = records.timed(work, fit)
    scores = model.evaluate(*test).scores
    return {
        "settings": settings,
        "texts": len(train[0]),
        "test_texts": len(test[0]),
        "parameters": sum(parameter.numel() for parameter in model.network_.parameters()),
        "seconds": round(seconds),
        "validation_losses": [record.validation_loss for record in model.history_],
        "temperature": model.temperature_,
        "scores": {score.name: score.metrics for score in scores},
        **records.circumstances(),
    }


def short(work: Path) -> dict[str, Any]:
    """The same on few generated texts."""
    texts, labels = planted_reviews(500, seed=1)
    numbers = [int(label == "positive") for label in labels]
    return run(SHORT, (texts[:400], numbers[:400]), (texts[400:], numbers[400:]), work)


def means(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By name, the mean of each metric over rows."""
    return {
        name: {
            metric: statistics.fmean(row["scores"][name][metric] for row in rows)
            for metric in metrics
        }
        for name, metrics in rows[0]["scores"].items()
    }


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The documentation page, from the saved rows."""
    parts = []
    titles = {
        "mr": "## MR\n\nSentences of film reviews, means over {done} folds, with the "
        "standard deviation of their accuracies. Published for a convolutional network that also "
        "starts from random vectors: 75.9.",
        "imdb": "## IMDB\n\nWhole film reviews, 25,000 to learn and 25,000 to test, the official "
        "split.",
    }
    for name, title in titles.items():
        own = [row for key, row in sorted(rows.items()) if key.startswith(name)]
        if not own:
            continue
        lines = []
        for model, score in means(own).items():
            spread = ""
            if len(own) > 1:
                accuracies = [100 * row["scores"][model]["accuracy"] for row in own]
                spread = f" ± {statistics.stdev(accuracies):.1f}"
            lines.append(
                f"| {model} | {100 * score['accuracy']:.2f}{spread} | {score['log_loss']:.3f} | "
                f"{100 * score['ece']:.1f} |"
            )
        table = "\n".join(lines)
        seconds = sum(row["seconds"] for row in own)
        parts.append(
            f"{title.format(done=len(own))}\n\n"
            f"| | accuracy % | log loss | calibration error % |\n| --- | --- | --- | --- |\n{table}"
            f"\n\nTraining took {seconds / 60:.0f} minutes in all, with "
            f"{own[0]['parameters']:,} parameters ({own[0]['machine']}, torch {own[0]['torch']}, "
            f"{own[0]['date']}). Settings: `{json.dumps(own[0]['settings'])}`."
        )
    return f"""\
# Sentiment

A bidirectional GRU with attention, from random vectors, beside logistic regression on the TF-IDF of
words and pairs of words and the most frequent class. Settings were chosen on texts held out of the
training parts; a tenth of the training texts stops the training and gives the temperature.
Calibration error is how far chances are from how often they come true, before and after the
temperature.

{chr(10).join(part + chr(10) for part in parts)}
Made by `benchmarks/sentiment.py`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--set", choices=list(SETTINGS))
    parser.add_argument("--short", action="store_true")
    arguments = parser.parse_args()
    if arguments.short:
        with tempfile.TemporaryDirectory() as work:
            print(json.dumps(short(Path(work)), indent=2))
        return
    rows = records.read(RESULTS)

    def keep(key: str, train: Texts, test: Texts) -> None:
        name = key.partition(" ")[0]
        work = RESULTS.with_name(f"sentiment-{name}.training")
        rows[key] = run(SETTINGS[name], train, test, work)
        records.write(RESULTS, rows)
        shutil.rmtree(work)
        PAGE.write_text(page(rows), encoding="utf-8")
        accuracies = {name: own["accuracy"] for name, own in rows[key]["scores"].items()}
        print(key, rows[key]["seconds"], "s", accuracies, flush=True)

    if arguments.set in (None, "mr"):
        texts, labels = mr()
        fold = folds(len(texts))
        for number in range(FOLDS):
            if f"mr {number}" not in rows:
                parts = [
                    ([texts[at] for at in own], [labels[at] for at in own])
                    for own in (np.flatnonzero(fold != number), np.flatnonzero(fold == number))
                ]
                keep(f"mr {number}", *parts)
    if arguments.set in (None, "imdb") and "imdb" not in rows:
        keep("imdb", imdb("train"), imdb("test"))


if __name__ == "__main__":
    main()
