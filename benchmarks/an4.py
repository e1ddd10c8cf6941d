"""AN4: spelled names, numbers and commands of speakers who were not heard in training.

The features are the 13 MFCC, 100 a second, that come with the corpus. Official split: 948
utterances of 74 speakers to learn from, 130 of 10 others as test. Of the 74, six are held out for
validation.

    python benchmarks/an4.py            into benchmarks/results, and the page
    python benchmarks/an4.py --short    a small network on 200 utterances, nothing written

Training saves its state every five minutes; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import records
import torch

from grukit import FitConfig, SpeechRecognizer
from grukit.core import env
from grukit.data.augmentation import Augmentation
from grukit.decoding.ctc import GREEDY, CtcDecoder, CtcSearch
from grukit.decoding.ngram import NgramModel

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "an4.json"
WORK = HERE / "results" / "an4.training"
PAGE = HERE.parent / "docs" / "benchmarks" / "an4.md"
HELD_OUT = 6
SETTINGS: dict[str, Any] = {
    "features": "mfcc",
    "hidden_size": 256,
    "num_layers": 3,
    "dropout": 0.3,
    "augmentation": Augmentation(
        stretch=0.15,
        warp=0.1,
        equalizer=0,
        time_masks=2,
        time_share=0.08,
        feature_masks=1,
        feature_share=0.2,
    ),
}
TRAINING: dict[str, Any] = {
    "epochs": 45,
    "batch_size": 8,
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "average": 0.999,
    "patience": None,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "whole": {},
    "live": {"look_ahead": 0.45},
}
WEIGHTS, BONUSES = (0.3, 0.6, 1.0, 1.5), (0.0, 1.0, 2.0)
Pairs = list[tuple[Path, str]]


def folder() -> Path:
    """Where the corpus is."""
    data = env.data_folder()
    if data is None:
        raise SystemExit("GRUKIT_DATA must name the folder of the data sets")
    return data / "speech" / "an4_mfcc" / "an4"


def utterances(part: str) -> Pairs:
    """The feature files of "train" or "test" with their transcripts."""
    etc = folder() / "etc"
    names = (etc / f"an4_{part}.fileids").read_text().split()
    lines = (etc / f"an4_{part}.transcription").read_text().splitlines()
    texts = (line.rpartition("(")[0].replace("<s>", "").replace("</s>", "") for line in lines)
    return [
        (folder() / "feat" / f"{name}.mfc", " ".join(text.split()))
        for name, text in zip(names, texts, strict=True)
    ]


def parts() -> tuple[Pairs, Pairs, Pairs]:
    """What is learned, validated on and tested on, by speaker."""
    every = utterances("train")
    speakers = sorted({path.parent.name for path, _ in every})
    held_out = set(np.random.default_rng(0).permutation(speakers)[:HELD_OUT])
    learned = [pair for pair in every if pair[0].parent.name not in held_out]
    judged = [pair for pair in every if pair[0].parent.name in held_out]
    return learned, judged, utterances("test")


def run(work: Path, short: bool = False) -> dict[str, Any]:
    """Train both networks, with checkpoints in `work`, and score them on the test."""
    torch.set_num_threads(1)
    learned, judged, test = parts()
    settings, training = SETTINGS, TRAINING
    if short:
        learned, judged, test = learned[:200], judged[:20], test[:20]
        settings = {**SETTINGS, "hidden_size": 64, "num_layers": 1, "augmentation": None}
        training = {**TRAINING, "epochs": 16, "learning_rate": 8e-3, "average": 0.9}
    row: dict[str, Any] = {
        "settings": {**settings, "augmentation": str(settings["augmentation"])},
        "training": training,
        "utterances": [len(learned), len(judged), len(test)],
    }
    for name, own in NETWORKS.items():
        if short and name == "live":
            continue
        model = SpeechRecognizer(**settings, **own, training=FitConfig(**training))
        fit = partial(model.fit, learned, judged, language="transcripts", resume=True)
        folder = work / name
        if (folder / "model").exists():
            seconds = json.loads((folder / "seconds.json").read_text())
            model = SpeechRecognizer.load(folder / "model")
        else:
            work.mkdir(exist_ok=True)
            seconds = records.timed(folder, lambda checkpoint, fit=fit: fit(checkpoint=checkpoint))
            model.save(folder / "model")
        row[name] = {
            "training_seconds": round(seconds),
            "parameters": sum(p.numel() for p in model.network_.parameters()),
            **scores(model, judged, test),
        }
    return {**row, **records.circumstances()}


def scores(model: SpeechRecognizer, judged: Pairs, test: Pairs) -> dict[str, Any]:
    """Word and character errors on the test by each way to search.

    The weights of the 3-gram are chosen on the validation utterances.
    """
    chosen, best = CtcSearch(), float("inf")
    for weight in WEIGHTS:
        for bonus in BONUSES:
            for closed in (False, True):
                search = CtcSearch(language_weight=weight, word_bonus=bonus, closed=closed)
                errors = model.evaluate(judged, model.decoder(search)).words.rate
                if errors < best:
                    chosen, best = search, errors
    unigrams = folder() / "etc" / "an4.ug.lm"
    corpus = NgramModel.from_arpa(unigrams)
    ways = {
        "no language model, likeliest token": model.decoder(GREEDY),
        "no language model, beam 16": CtcDecoder(model.alphabet_, CtcSearch()),
        "3-gram of the training transcripts": model.decoder(chosen),
        "the corpus's own 1-gram": model.decoder(replace(chosen, closed=False), corpus),
    }
    found = {}
    for name, decoder in ways.items():
        evaluation = model.evaluate(test, decoder)
        found[name] = {
            "wer": evaluation.words.rate,
            "cer": evaluation.characters.rate,
            "edits": str(evaluation.words),
            "real_time_factor": evaluation.real_time_factor,
            "confusions": [list(one) for one in evaluation.confusions[:5]],
        }
    return {
        "validation_wer": best,
        "weight": chosen.language_weight,
        "bonus": chosen.word_bonus,
        "closed": chosen.closed,
        "scores": found,
    }


def page(row: dict[str, Any]) -> str:
    """The documentation page, from the saved row."""
    lines = []
    for name in NETWORKS:
        for way, own in row[name]["scores"].items():
            lines.append(
                f"| {name} | {way} | {own['wer']:.1%} | {own['cer']:.1%} | {own['edits']} | "
                f"{own['real_time_factor']:.3f} |"
            )
    table = "\n".join(lines)
    networks = "\n".join(
        f"- {name}: {own['parameters']:,} parameters, trained in "
        f"{own['training_seconds'] / 60:.0f} minutes of one core; its 3-gram has weight "
        f"{own['weight']}, bonus {own['bonus']}"
        f"{', and only its words may occur' if own['closed'] else ''}, chosen on the validation "
        f"utterances, where {own['validation_wer']:.1%} of words are wrong."
        for name in NETWORKS
        for own in (row[name],)
    )
    learned, judged, test = row["utterances"]
    confused = ", ".join(
        f"{said} for {heard} ({count})"
        for said, heard, count in row["whole"]["scores"]["3-gram of the training transcripts"][
            "confusions"
        ]
    )
    return f"""\
# Transcription: AN4

Spelled names, numbers and commands; {learned:,} utterances to learn from, {judged} of six other
speakers for validation, and the {test} of the official test, of ten more. 13 MFCC at 100 frames a
second, as they come with the corpus. "whole" reads an utterance in both directions; "live" answers
a stream, and looks ahead {NETWORKS["live"]["look_ahead"]} s.

| network | search | word errors | character errors | in words | real-time factor |
| --- | --- | --- | --- | --- | --- |
{table}

{networks}

Most often wrong, with the 3-gram: {confused} (said for heard). Two words of the test, THIRTEEN
and NOVEMBER, are in no training transcript. Published for a deep bidirectional network on audio:
10.6 %.

Settings: `{row["settings"]}`, `{row["training"]}`.

From `python benchmarks/an4.py` on {row["date"]}: {row["machine"]}; Python {row["python"]}, torch
{row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small network, nothing written")
    if parser.parse_args().short:
        with tempfile.TemporaryDirectory() as work:
            print(run(Path(work), short=True)["whole"])
        return
    row = run(WORK)
    records.write(RESULTS, row)
    shutil.rmtree(WORK)
    PAGE.write_text(page(row), encoding="utf-8")
    print(page(row))


if __name__ == "__main__":
    main()
