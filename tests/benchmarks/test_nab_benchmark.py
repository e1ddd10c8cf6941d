"""The short form of the NAB benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import nab  # noqa: E402


def test_six_series_with_little_training(data_folder):
    row = nab.run(seed=0, short=True)
    assert row["series"] == 6
    # All alarms at the right place give 100; these series got 80, without their alarms 0.
    assert row["fixed"]["standard"] > 55
    assert row["best"] >= row["fixed"]["standard"] - 1e-9
    assert row["metrics"]["recall"] > 0.6


def test_a_detector_that_is_told_the_windows_late_scores_less(data_folder):
    corpus = nab.series(nab.SHORT)
    windows = [spans for _, spans in corpus]
    early, late = ([nab._flags(len(values), []) for values, _ in corpus] for _ in range(2))
    for own, others, spans in zip(early, late, windows, strict=True):
        for first, last in spans:
            own[first], others[last] = True, True
    assert nab._nab(early, windows) == pytest.approx(100)
    assert nab._nab(late, windows) < 60
