"""AN4: spelled names, numbers and commands of speakers who were not heard in training.

The features are the 13 MFCC, 100 a second, that come with the corpus. Official split: 948
utterances of 74 speakers to learn from, 130 of 10 others as test. Of the 74, six are held out for
validation.

    python benchmarks/an4.py            into benchmarks/results, and the page
    python benchmarks/an4.py --short    a small network on 200 utterances, nothing written

Training saves its state every five minutes; the same command goes on from there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from grukit.core import env
from grukit.data.augmentation import Augmentation

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
        stretch=0.15, warp=0.1, time_masks=2, time_share=0.08, feature_masks=1, feature_share=0.2
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
