"""The short form of the speed of the minGRU, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import mingru_speed  # noqa: E402


@pytest.mark.needs_core
def test_every_time_is_measured_and_the_ways_agree(monkeypatch):
    monkeypatch.setattr(mingru_speed, "SECONDS", 0.0)
    row = mingru_speed.compare(mingru_speed.SHORT, rounds=1)
    # What differs is not float32's own, but the sum of logarithms.
    assert all(difference < 1e-4 for difference in row["difference"].values())
    for use in ("training", "inference"):
        assert row[use].keys() == mingru_speed.ways(1).keys()
        assert all(times["milliseconds"] > 0 for times in row[use].values())
        assert row[use][mingru_speed.NATIVE]["ratio"] == 1


def test_the_page_holds_the_saved_rows():
    results = json.loads(mingru_speed.RESULTS.read_text())
    assert mingru_speed.PAGE.read_text() == mingru_speed.page(results)
    other = copy.deepcopy(results)
    other["rows"][0]["training"]["loop in torch ops"]["ratio"] *= 1.5
    assert mingru_speed.PAGE.read_text() != mingru_speed.page(other)
