"""The short form of the benchmark of stocks, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import stocknet  # noqa: E402


@pytest.fixture(scope="module")
def rows():
    return json.loads(stocknet.RESULTS.read_text())


def test_a_small_run_scores_every_day_once(data_folder):
    market = stocknet.short_market()
    rows = {"baselines": stocknet.run_baselines(market)}
    rows["0"] = stocknet.run(market, 0, **stocknet.SHORT)
    for test, days in ((stocknet.ACL18, 64), (stocknet.WALK, 421)):
        of_model = [rows["0"]["direction"], rows["baselines"]["majority"]]
        counts = stocknet._counts(of_model, test)
        assert counts.shape == (2, days, 4)
        np.testing.assert_array_equal(*counts.sum(axis=-1))
    assert len(stocknet._unpacked(rows["0"]["qlike"])) == 485
    assert "GRU, seed 0" in stocknet.page(rows, seeds=(0,))


def test_baselines_are_those_of_the_paper(rows):
    """3,720 movements in its test part (Xu and Cohen 2018, table 1)."""
    counts = stocknet._counts([rows["baselines"]["majority"]], stocknet.ACL18)
    assert counts.sum() == 3720
    assert 100 * stocknet.accuracy(counts)[0] == pytest.approx(51.29, abs=0.005)


def test_variance_is_forecast_better_than_by_ewma_and_har(rows):
    loss = np.mean([stocknet._unpacked(rows[str(seed)]["qlike"]) for seed in stocknet.SEEDS], 0)
    for name in ("EWMA", "HAR"):
        other = stocknet._unpacked(rows["baselines"]["qlike"][name])
        test = stocknet.diebold_mariano(loss, other)
        assert test.statistic < 0
        assert test.p_value < 0.01


def test_the_page_holds_the_saved_rows(rows):
    assert stocknet.PAGE.read_text() == stocknet.page(rows)
    other = copy.deepcopy(rows)
    first, _, rest = other["3"]["qlike"].partition(" ")
    other["3"]["qlike"] = f"{float(first) + 1} {rest}"
    tables = [
        stocknet._variance_table(own["baselines"], [own[str(seed)] for seed in stocknet.SEEDS])
        for own in (rows, other)
    ]
    assert tables[0] in stocknet.PAGE.read_text()
    assert tables[1] not in stocknet.PAGE.read_text()
