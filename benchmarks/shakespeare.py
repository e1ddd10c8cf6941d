"""Shakespeare: nats per character of the plays in tinyshakespeare, and how fast a GRU writes them.

Trained on the first 90 %, stopped by the first half of the rest; the second half is the test.

    python benchmarks/shakespeare.py               all sizes into benchmarks/results, and the page
    python benchmarks/shakespeare.py --size quick  one of them
    python benchmarks/shakespeare.py --short       a small one, nothing written

Run again, it goes on from the checkpoint in benchmarks/results/shakespeare-SIZE.training; a size
that is done is not trained again. PyTorch's number of threads is that of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import records

from grukit import FitConfig, TextGenerator
from grukit.data import catalog
from grukit.decoding.sampling import Sampling

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "shakespeare.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "shakespeare.md"
_TRAINING = {"batch_size": 32, "learning_rate": 3e-3, "average": 0.999, "precision": "bfloat16"}
SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "hidden_size": 768,
        "dropout": 0.45,
        "length": 100,
        "training": {"epochs": 14, **_TRAINING},
    },
    "wide": {
        "hidden_size": 1024,
        "embedding_size": 256,
        "dropout": 0.6,
        "length": 100,
        "training": {"epochs": 14, "weight_decay": 0.1, **_TRAINING},
    },
    "long": {
        "hidden_size": 1024,
        "embedding_size": 256,
        "dropout": 0.6,
        "length": 100,
        "training": {"epochs": 24, **_TRAINING},
    },
}
SHORT: dict[str, Any] = {
    "hidden_size": 32,
    "length": 32,
    "training": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-2},
}
WRITTEN, PART = 100_000, 10_000
PUBLISHED = (
    ("Transformer, nanoGPT, on a GPU", 1.47),
    ("Transformer (Feng et al. 2024)", 1.547),
    ("minGRU (Feng et al. 2024)", 1.548),
    ("Mamba (Feng et al. 2024)", 1.575),
    ("Transformer, nanoGPT, 3 minutes on a CPU", 1.88),
)


def parts(text: str) -> dict[str, str]:
    """To learn, to choose by, to report, and the last two together."""
    first, half = int(0.9 * len(text)), int(0.95 * len(text))
    return {
        "learned": text[:first],
        "chosen on": text[first:half],
        "test": text[half:],
        "chosen on and test": text[first:],
    }


def run(settings: dict[str, Any], text: str, work: Path, written: int = WRITTEN) -> dict[str, Any]:
    """Train, score and write; the checkpoint lies in `work` until all is done."""
    part = parts(text)
    model = TextGenerator(
        **{**settings, "training": FitConfig(patience=None, **settings["training"])}
    )

    def fit(checkpoint: Path) -> None:
        model.fit(part["learned"], part["chosen on"], checkpoint=checkpoint, resume=True)

    seconds = records.timed(work, fit)
    table = model.evaluate(part["test"], training=part["learned"])
    epochs = len(model.history_)
    return {
        "settings": settings,
        "characters": len(text),
        "parameters": sum(parameter.numel() for parameter in model.network_.parameters()),
        "epochs": epochs,
        "training_seconds": round(seconds),
        "training_speed": round(epochs * len(part["learned"]) / seconds),
        "test_characters": table.characters,
        "nats": {score.name: score.metrics["nats_per_character"] for score in table.scores},
        "chosen_on": model.score(part["chosen on"]).nats_per_character,
        "whole": model.score(part["chosen on and test"]).nats_per_character,
        "writing_speed": writing_speed(model, written),
        "sample": str(model.generate("ROMEO:", length=600, sampling=Sampling(temperature=0.8))),
        **records.circumstances(),
    }


def writing_speed(model: TextGenerator, written: int) -> dict[str, int]:
    """Characters in a second: of texts of ten, and of the parts of one long text."""
    part = written // 10
    model.generate(length=part)
    of_ten = []
    for seed in range(50):
        started = time.perf_counter()
        model.generate(length=10, seed=seed)
        of_ten.append(time.perf_counter() - started)
    marks = [time.perf_counter()]
    pieces = model.stream(length=written)
    while sum(map(len, itertools.islice(pieces, part))):
        marks.append(time.perf_counter())
    return {
        "10": round(10 / statistics.median(of_ten)),
        f"{written:,}": round(written / (marks[-1] - marks[0])),
        f"the first {part:,} of these": round(part / (marks[1] - marks[0])),
        f"the last {part:,} of these": round(part / (marks[-1] - marks[-2])),
    }


def page(rows: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    some = next(iter(rows.values()))
    lines = [
        f"| {name} | | | {nats:.3f} | | |"
        for name, nats in some["nats"].items()
        if not name.startswith("grukit")
    ]
    speeds = []
    for size, row in rows.items():
        name = next(iter(row["nats"]))
        lines.append(
            f"| {name}, {size} | {row['parameters']:,} | {row['training_seconds'] / 60:.0f} | "
            f"{row['nats'][name]:.3f} | {row['whole']:.3f} | {row['chosen_on']:.3f} |"
        )
        speeds.append(f"| {size}: training | {row['training_speed']:,} |")
        speeds += [
            f"| {size}: writing, {length} characters | {speed:,} |"
            for length, speed in row["writing_speed"].items()
        ]
    best = min(rows.values(), key=lambda row: row["whole"])
    sample = best["sample"].replace("\n", "\n    ")
    published = "\n".join(f"| {name} | {nats} |" for name, nats in PUBLISHED)
    table, speed = "\n".join(lines), "\n".join(speeds)
    settings = "\n".join(f"- {size}: {_words(row['settings'])}" for size, row in rows.items())
    return f"""\
# Shakespeare, character by character

tinyshakespeare is {some["characters"]:,} characters of plays. The first 90 % are learned. The
first half of the rest is what the epoch and the settings were chosen on; the second half,
{some["test_characters"]:,} characters, is the test, and is read once, from its first character to
its last. "Both" is the whole of the last 10 %, half of which was chosen on. Of the play that is
chosen on a quarter was learned, and most of the test is a play of which nothing was: trained for
long, a network goes on getting better at the first and gets worse at the second. So the size with
the best score on what is chosen on, which is the one to report, is not the best on the test.

| model | parameters | minutes of training | test, nats per character | both | chosen on |
| --- | --- | --- | --- | --- | --- |
{table}

The n-grams learned the same 90 %. Published, on the last 10 % or splits of their own, so that only
"both" may be compared, and with care:

| model | nats per character |
| --- | --- |
{published}

The settings:

{settings}

Speed, in characters a second:

| | |
| --- | --- |
{speed}

Each character costs the same, however many there were before it. Where few are written, reading the
prompt counts.

A sample, as it came first (seed 0, temperature 0.8):

    {sample}

From `python benchmarks/shakespeare.py` on {best["date"]}: {best["machine"]}; Python
{best["python"]}, torch {best["torch"]}, grukit {best["grukit"]}.
"""


def _words(settings: dict[str, Any]) -> str:
    flat = {**settings, **settings["training"]}
    return ", ".join(f"{name} {value}" for name, value in flat.items() if name != "training")


def _text() -> str:
    return catalog.fetch("tinyshakespeare").read_text(encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    parser.add_argument("--size", choices=SIZES, help="only this one")
    chosen = parser.parse_args()
    if chosen.short:
        with tempfile.TemporaryDirectory() as work:
            row = run(SHORT, _text()[:50_000], Path(work), written=1000)
        print({name: row[name] for name in ("nats", "training_speed", "writing_speed")})
        return
    rows = records.read(RESULTS)
    for size in [chosen.size] if chosen.size else SIZES:
        if size not in rows:
            work = RESULTS.with_name(f"shakespeare-{size}.training")
            rows[size] = run(SIZES[size], _text(), work)
            records.write(RESULTS, {size: rows[size] for size in SIZES if size in rows})
            shutil.rmtree(work)
            print(f"{size}: {rows[size]['nats']}")
    PAGE.write_text(page(records.read(RESULTS)))


if __name__ == "__main__":
    main()
