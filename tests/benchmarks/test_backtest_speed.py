"""The short form of the backtest benchmark, and the page made from its saved row."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import backtest  # noqa: E402


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_both_ways_give_the_same_forecasts(threads):
    row = backtest.run(windows=30, rounds=1)
    assert row["largest_difference"] < 1e-5
    assert all(len(seconds) == 1 for seconds in row["seconds"].values())


def test_the_page_holds_the_saved_row():
    row = json.loads(backtest.RESULTS.read_text())
    assert backtest.PAGE.read_text() == backtest.page(row)
    other = copy.deepcopy(row)
    other["seconds"]["evaluate"] = [10.0]
    assert backtest.PAGE.read_text() != backtest.page(other)


def test_the_saved_row_reaches_the_goal():
    row = json.loads(backtest.RESULTS.read_text())
    assert row["windows"] == 1000
    assert min(backtest.ratio(row, way) for way in ("backtest", "evaluate")) >= backtest.GOAL
