"""Returns and ranges of stocks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import DataError
from grukit.data.stocks import daily_measures, log_returns, parkinson_variance


def test_returns_add_up_to_the_whole_change():
    price = np.array([[10.0, 1.0], [11.0, np.nan], [9.0, 2.0]])
    returns = log_returns(price)
    assert np.isnan(returns[0]).all()
    assert returns[1:, 0].sum() == pytest.approx(math.log(0.9))
    assert np.isnan(returns[1:, 1]).all()


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.inf])
def test_prices_are_positive(wrong):
    with pytest.raises(DataError, match="price must be positive and finite, or NaN, got"):
        log_returns(np.array([1.0, wrong]))


def test_parkinson_is_unbiased_for_a_random_walk():
    rng = np.random.default_rng(0)
    steps = 0.02 / math.sqrt(2000) * rng.standard_normal((2000, 2000))
    path = np.cumsum(steps, axis=1)
    high = np.exp(np.maximum(path.max(axis=1), 0))
    low = np.exp(np.minimum(path.min(axis=1), 0))
    # A walk of 2000 steps misses some of the range of the continuous one: 3.6 % here.
    assert parkinson_variance(high, low).mean() == pytest.approx(0.02**2, rel=0.06)


def test_a_day_without_a_range_says_nothing():
    found = parkinson_variance(np.array([2.0, np.nan, 2.0]), np.array([2.0, 1.0, 1.0]))
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(math.log(2) ** 2 / (4 * math.log(2)))
    for high, low in ((1.0, 2.0), (1.0, 0.0), (np.inf, 1.0)):
        with pytest.raises(DataError, match="must be positive and finite, high at least low"):
            parkinson_variance(np.array([high]), np.array([low]))


@pytest.fixture
def prices():
    rng = np.random.default_rng(0)
    days = pd.bdate_range("2024-01-01", periods=30)
    parts = []
    for name in ("b", "a"):
        close = 100 * np.exp(0.01 * rng.standard_normal(30).cumsum())
        high, low = close * (1 + rng.uniform(0.001, 0.02, 30)), close * 0.99
        volume = rng.uniform(1, 2, 30)
        rows = {"high": high, "low": low, "close": close, "volume": volume}
        parts.append(pd.DataFrame({"unique_id": name, "ds": days, **rows}))
    return pd.concat(parts, ignore_index=True)


def test_measures_of_a_day_by_hand(prices):
    table = daily_measures(prices)
    assert table["unique_id"].tolist() == ["a"] * 30 + ["b"] * 30
    own = prices[prices["unique_id"] == "b"].reset_index()
    row = table.iloc[59]
    log_variance = np.log(np.log(own["high"] / own["low"]) ** 2 / (4 * math.log(2)))
    assert row["log_return"] == pytest.approx(math.log(own["close"][29] / own["close"][28]))
    assert row["log_variance"] == pytest.approx(log_variance[29])
    assert row["variance"] == pytest.approx(math.exp(log_variance[29]))
    assert row["week"] == pytest.approx(log_variance[25:].mean())
    assert row["month"] == pytest.approx(log_variance[8:].mean())
    volume = np.log(own["volume"])
    assert row["log_volume"] == pytest.approx(volume[29] - volume[8:].mean())
    day = table[table["ds"] == row["ds"]]
    assert row["market_return"] == pytest.approx(day["log_return"].mean())
    assert row["market_log_variance"] == pytest.approx(day["log_variance"].mean())
    days = table.groupby("ds")["log_variance"].mean()
    assert row["market_week"] == pytest.approx(days.iloc[-5:].mean())
    assert row["market_month"] == pytest.approx(days.iloc[-22:].mean())
    assert np.isnan(table["log_return"][30]), "the first day of b must not follow the last of a"


def test_a_row_knows_nothing_of_later_days(prices):
    whole = daily_measures(prices)
    cut = prices["ds"] <= prices["ds"][19]
    before = daily_measures(prices[cut])
    same = whole[whole["ds"] <= prices["ds"][19]].reset_index(drop=True)
    pd.testing.assert_frame_equal(before, same)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="volume"), r"got none for \['volume'\]"),
        (lambda rows: pd.concat([rows, rows[3:4]]), "got two of 'b' on 2024-01-04"),
        (lambda rows: rows.assign(ds=rows["ds"].astype(str)), "ds must be dates without a zone"),
        (lambda rows: rows.assign(ds=rows["ds"].dt.tz_localize("UTC")), "dates without a zone"),
    ],
)
def test_a_table_of_another_form_is_refused(prices, change, message):
    with pytest.raises(DataError, match=message):
        daily_measures(change(prices))
