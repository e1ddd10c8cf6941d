"""The short form of the Beijing benchmark, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import beijing  # noqa: E402


def test_a_small_model_beats_persistence(data_folder):
    row = beijing.run(seed=0, short=True)
    assert row["origins"] == 365
    assert row["at_24h"]["seasonal naive"]["rmse"] == pytest.approx(3.5, abs=0.2)
    assert beijing.gain(row) > 0.08


def test_the_page_holds_the_saved_rows():
    rows = json.loads(beijing.RESULTS.read_text())
    ordered = [rows[str(seed)] for seed in beijing.SEEDS]
    assert beijing.PAGE.read_text() == beijing.page(ordered)
    other = copy.deepcopy(ordered)
    other[0]["at_24h"]["seasonal naive"]["rmse"] += 0.01
    assert beijing.PAGE.read_text() != beijing.page(other)
