"""The short form of the suite of known answers, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import synthetic  # noqa: E402

CASES = pytest.mark.parametrize("name", synthetic.CASES)


@pytest.fixture(scope="module")
def saved():
    return json.loads(synthetic.RESULTS.read_text())


@CASES
def test_the_saved_score_is_what_is_required(saved, name):
    assert synthetic.reached(name, saved[name])


def test_the_saved_leaks_are_all_caught_and_nothing_else(saved):
    assert synthetic.reached("planted leaks", saved["planted leaks"])


def test_missing_what_is_required_is_told(saved):
    worse = copy.deepcopy(saved)
    worse["trend"]["pinball"] *= 1.5
    worse["seasonality"]["best_baseline"] = 0.1
    worse["planted leaks"]["suspected"] = ["noise"]
    assert not any(
        synthetic.reached(name, worse[name]) for name in ("trend", "seasonality", "planted leaks")
    )
    assert synthetic.page(worse).count("missed") == 2


def test_the_page_holds_the_saved_rows(saved):
    assert synthetic.PAGE.read_text() == synthetic.page(saved)
    other = copy.deepcopy(saved)
    other["trend"]["pinball"] *= 1.01
    assert synthetic.PAGE.read_text() != synthetic.page(other)


def test_a_small_run_comes_near_the_oracle():
    row = synthetic.run("intermittent counts", train=400, test=60, epochs=2)
    assert 0.9 < synthetic.ratio(row) < 1.3


@CASES
def test_the_oracle_cannot_be_beaten_by_a_shifted_or_wider_one(name):
    case = synthetic.CASES[name]
    table = synthetic.table_of(case, 600, 0).dropna()
    mean, truth = table["mean"].to_numpy()[:, None], table.y.to_numpy()[:, None]
    levels = (0.1, 0.5, 0.9)
    best = synthetic._oracle(name, mean, levels)
    loss = synthetic.pinball(truth, best, levels)
    center = best[..., [1]]
    for other in (best + 0.7, best - 0.7, center + 2.5 * (best - center)):
        assert synthetic.pinball(truth, other, levels) > loss


def test_the_planted_leaks_are_what_they_say():
    (caught,) = [name for name in synthetic._leaks(_rows()) if name == "planted"]
    assert caught == "planted"


def _rows():
    random = np.random.default_rng(0)
    table = synthetic.table_of(synthetic.CASES["seasonality"], 400, 0)
    table = table[table.unique_id == "series 0"][["ds", "y"]]
    return table.assign(planted=table.y.shift(-1), noise=random.normal(size=len(table)))
