"""The short form of the speed of the cells, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import cell_speed  # noqa: E402


@pytest.mark.parametrize("by", ["width", "parameters"])
def test_what_should_be_equal_is(by, monkeypatch):
    monkeypatch.setattr(cell_speed, "WARM_SECONDS", 0.0)
    cells = cell_speed.measured((5, 2, 16), by, rounds=1)["cells"]
    assert {"rnn", "lstm", "gru", "gru_before"} <= cells.keys()
    assert cells["gru"]["backend"] == cells["lstm"]["backend"]
    if by == "width":
        assert {own["units"] for own in cells.values()} == {16}
    else:
        wanted = cells["lstm"]["parameters"]
        assert all(own["parameters"] == pytest.approx(wanted, rel=0.05) for own in cells.values())
    for use in ("training", "inference"):
        assert cells["lstm"][use]["ratio"] == 1
        assert all(own[use]["us"] > 0 for own in cells.values())


def test_the_words_are_those_of_the_figures():
    rows = [
        {"by": by, "cells": {"gru": {"training": {"ratio": ratio}, "inference": {"ratio": 1.0}}}}
        for by, ratio in (("width", 0.7), ("width", 0.8), ("parameters", 1.1))
    ]
    words = cell_speed.told(rows)
    assert "at equal width 0.70 to 0.80 in training" in words
    assert "at equal parameters 1.10 to 1.10 in training" in words


def test_the_page_holds_the_saved_rows():
    if not cell_speed.RESULTS.exists():
        pytest.skip("the benchmark was not run yet")
    results = json.loads(cell_speed.RESULTS.read_text())
    assert cell_speed.PAGE.read_text() == cell_speed.page(results)
    other = copy.deepcopy(results)
    other["rows"][0]["cells"]["gru"]["training"]["us"] += 5
    assert cell_speed.PAGE.read_text() != cell_speed.page(other)
