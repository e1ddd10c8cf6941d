"""The short form of the ETTh1 benchmark, and the page made from its saved rows."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import ett  # noqa: E402
import records  # noqa: E402


def test_a_small_model_beats_the_naive_rules(data_folder):
    row = ett.run(horizon=96, seed=0, short=True)
    model, last_value, seasonal_naive, *_ = row["scores"].values()
    assert row["windows"] == len(range(0, 2785, 24))
    assert model["mse"] < seasonal_naive["mse"] < last_value["mse"]


def test_the_baselines_are_those_of_every_test_window(data_folder):
    values = ett.wide().to_numpy()
    # Computed once by another program from the same file.
    assert ett.mean_by_hour(values, 96) == pytest.approx({"mse": 0.406, "mae": 0.396}, abs=5e-4)


def test_the_page_holds_the_saved_rows():
    rows = records.read(ett.RESULTS)
    assert ett.PAGE.read_text() == ett.page(rows)
    assert rows["96-0"]["windows"] == 2785
    other = copy.deepcopy(rows)
    next(iter(other["96-0"]["scores"].values()))["mse"] += 0.01
    assert ett.PAGE.read_text() != ett.page(other)
