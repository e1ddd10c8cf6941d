"""Single spoken digits: recognized by a new file, by a new voice, and told from unknown words.

FSDD has 3,000 recordings of digits by six speakers, at 8 kHz. Files 0 to 4 of each speaker and
digit are the test, the others are learned; or all of one speaker are the test, and those of the
five others are learned; or two digits are not learned, and must be rejected.

    python benchmarks/spoken_digits.py            into benchmarks/results, and the page
    python benchmarks/spoken_digits.py --short    a small network on few recordings, nothing written

Each run is saved when it is done; the same command goes on with the others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import records

from grukit import FitConfig, SpeechRecognizer
from grukit.data import catalog
from grukit.data.augmentation import Augmentation
from grukit.data.recordings import recordings

if TYPE_CHECKING:
    import pandas

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "spoken_digits.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "spoken-digits.md"
SETTINGS: dict[str, Any] = {
    "rate": 8000,
    "hidden_size": 96,
    "num_layers": 2,
    "stride": 2,
    "dropout": 0.2,
    "augmentation": Augmentation(
        speed=0.1, pauses=0.1, time_masks=1, time_share=0.1, feature_masks=1, feature_share=0.15
    ),
}
TRAINING: dict[str, Any] = {
    "epochs": 14,
    "batch_size": 32,
    "learning_rate": 4e-3,
    "average": 0.99,
    "patience": None,
}
UNKNOWN = ("four", "nine")
THRESHOLDS = (0.5, 0.9, 0.99)


def rows_of() -> pandas.DataFrame:
    """All recordings; see `grukit.data.speech_sets.fsdd`."""
    return catalog.load("fsdd")


def runs(frame: pandas.DataFrame) -> dict[str, tuple[pandas.DataFrame, pandas.DataFrame]]:
    """By name what is learned, and what is the test."""
    train, test = (frame[frame["part"] == part] for part in ("train", "test"))
    folds = {
        f"without {speaker}": (
            frame[frame["speaker"] != speaker],
            frame[frame["speaker"] == speaker],
        )
        for speaker in sorted(frame["speaker"].unique())
    }
    return {"files": (train, test), **folds, "unknown": (train[~train["text"].isin(UNKNOWN)], test)}


def measured(
    train: pandas.DataFrame,
    test: pandas.DataFrame,
    settings: dict[str, Any],
    training: dict[str, Any],
) -> dict[str, Any]:
    """Learn, then recognize each recording of the test."""
    model = SpeechRecognizer(mode="words", **settings, training=FitConfig(**training))
    started = time.monotonic()
    model.fit(train, validation=None)
    took = time.monotonic() - started
    answers = [model.recognize(one, threshold=0.0) for one in recordings(test)]
    likeliest = [max(own.chances, key=lambda word: own.chances[word]) for own in answers]
    evaluation = model.evaluate(test)
    baselines = {one.name: one.metrics["accuracy"] for one in evaluation.scores[1:]}
    return {
        "learned": len(train),
        "training_seconds": round(took),
        "parameters": sum(parameter.numel() for parameter in model.network_.parameters()),
        "accuracy": right(likeliest, test["text"].tolist()),
        "baselines": baselines,
        "thresholds": thresholds(likeliest, [max(own.chances.values()) for own in answers], test),
        "confused": confused(likeliest, test["text"].tolist()),
    }


def right(words: Sequence[str], truth: Sequence[str]) -> float:
    """The share of words that are as they should be."""
    return float(np.mean([word == own for word, own in zip(words, truth, strict=True)]))


def thresholds(
    words: Sequence[str], chances: Sequence[float], test: pandas.DataFrame
) -> list[dict[str, float]]:
    """At each threshold how many of the known are right, and how many of the unknown rejected."""
    truth, sure = test["text"].to_numpy(), np.array(chances)
    unknown = np.isin(truth, UNKNOWN)
    good = np.array(words) == truth
    return [
        {
            "threshold": threshold,
            "known_right": float((good & (sure >= threshold))[~unknown].mean()),
            "unknown_rejected": float((sure < threshold)[unknown].mean()),
        }
        for threshold in THRESHOLDS
    ]


def confused(words: Sequence[str], truth: Sequence[str]) -> list[list[Any]]:
    """What was most often taken for something else, and how often."""
    pairs = [pair for pair in zip(truth, words, strict=True) if pair[0] != pair[1]]
    counts = {pair: pairs.count(pair) for pair in pairs}
    return [[*pair, counts[pair]] for pair in sorted(counts, key=lambda p: (-counts[p], p))[:3]]


def short() -> dict[str, Any]:
    """A small network on few recordings."""
    frame = rows_of()
    train, test = (
        frame[(frame["part"] == part) & frame["speaker"].isin(["theo"])]
        for part in ("train", "test")
    )
    settings = {**SETTINGS, "hidden_size": 48, "num_layers": 1, "augmentation": None}
    training = {"epochs": 9, "batch_size": 16, "learning_rate": 1e-2, "patience": None}
    return measured(train, test, settings, training)


def page(row: dict[str, Any]) -> str:
    """The documentation page, from the saved row."""
    own, found = row["runs"], []
    for name, one in own.items():
        if name != "unknown":
            linear, most = one["baselines"].values()
            what = "files 0 to 4 of everybody" if name == "files" else name.removeprefix("without ")
            told = ", ".join(f"{a} as {b} ({n})" for a, b, n in one["confused"])
            figures = " | ".join(
                f"{100 * figure:.1f}" for figure in (one["accuracy"], linear, most)
            )
            found.append(f"| {what} | {figures} | {told} |")
    folds = [one["accuracy"] for name, one in own.items() if name.startswith("without")]
    table = "\n".join(found)
    rejected = "\n".join(
        f"| {threshold} | {100 * known:.1f} | {100 * unknown:.1f} |"
        for threshold, known, unknown in (one.values() for one in own["unknown"]["thresholds"])
    )
    minutes = sum(one["training_seconds"] for one in own.values()) / 60
    return f"""\
# Spoken digits: FSDD

3,000 recordings of ten digits by six speakers, at 8 kHz. The answer is the word to which CTC gives
the greatest chance of all that could be said alone. In the first row files 5 to 49 of each speaker
and digit are learned; in the others the recordings of the five other speakers, so that the voice,
the accent, the microphone and the room are new.

| test | accuracy, % | linear, of mean features | most frequent | most often confused |
| --- | --- | --- | --- | --- |
{table}

Mean over the six new voices: {100 * np.mean(folds):.1f} %.

Words that were never learned ({" and ".join(UNKNOWN)}), among the files 0 to 4 of all digits; an
answer with less chance than the threshold is rejected:

| threshold | known words right, % | unknown words rejected, % |
| --- | --- | --- |
{rejected}

{own["files"]["parameters"]:,} parameters; {len(own)} trainings of {minutes:.0f} minutes together.

Settings: `{row["settings"]}`, `{row["training"]}`.

From `python benchmarks/spoken_digits.py` on {row["date"]}: {row["machine"]}; Python
{row["python"]}, torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small network, nothing written")
    if parser.parse_args().short:
        print(short())
        return
    told = {"settings": repr(SETTINGS), "training": repr(TRAINING)}
    row = records.read(RESULTS)
    if {key: row.get(key) for key in told} != told:
        row = {**told, "runs": {}}
    for name, (train, test) in runs(rows_of()).items():
        if name not in row["runs"]:
            row["runs"][name] = measured(train, test, SETTINGS, TRAINING)
            records.write(RESULTS, {**row, **records.circumstances()})
            print(name, row["runs"][name], flush=True)
    PAGE.write_text(page(records.read(RESULTS)), encoding="utf-8")


if __name__ == "__main__":
    main()
