"""The short form of the NAB benchmark, and the page made from its saved rows."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import nab  # noqa: E402
import records  # noqa: E402


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


def test_the_page_holds_the_saved_rows():
    rows = records.read(nab.RESULTS)

    def page(rows):
        return nab.page([rows[str(seed)] for seed in nab.SEEDS], rows["baselines"])

    assert nab.PAGE.read_text() == page(rows)
    assert all(rows[str(seed)]["series"] == 58 for seed in nab.SEEDS)
    other = copy.deepcopy(rows)
    other["0"]["fixed"]["standard"] += 1
    assert nab.PAGE.read_text() != page(other)
