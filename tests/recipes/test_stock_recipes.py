"""The recipe of stocks, on a market made up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit import FitConfig
from grukit.data.calendar import Calendar
from grukit.evaluation.volatility import qlike
from grukit.evaluation.walk_forward import Split
from grukit.recipes.stocks import (
    Market,
    market_regressors,
    return_forecasts,
    variance_baselines,
    variance_forecasts,
)

DAYS, STOCKS, PARTS = 260, 4, 30
SPLIT = Split(slice(0, 219), slice(220, DAYS))
QUICK = {"hidden_size": 4, "training": FitConfig(epochs=2, batch_size=64, learning_rate=1e-2)}


def make_prices(trend: float = 0.0) -> pd.DataFrame:
    """Stocks whose log variance is persistent and shared; with `trend` their returns go on."""
    rng = np.random.default_rng(0)
    days = Calendar("NYSE").times(np.datetime64("2020-01-02", "us"), DAYS)
    log_variance = np.full((DAYS, STOCKS), -9.0)
    drift = np.zeros((DAYS, STOCKS))
    for day in range(1, DAYS):
        shock = 0.3 * rng.standard_normal() + 0.1 * rng.standard_normal(STOCKS)
        log_variance[day] = -9 + 0.95 * (log_variance[day - 1] + 9) + shock
        drift[day] = trend * np.sign(rng.standard_normal()) if day % 20 == 0 else drift[day - 1]
    parts = []
    for stock in range(STOCKS):
        size = np.sqrt(np.exp(log_variance[:, stock : stock + 1]) / PARTS)
        steps = drift[:, stock : stock + 1] / PARTS + size * rng.standard_normal((DAYS, PARTS))
        path = np.exp(np.cumsum(steps.ravel())).reshape(DAYS, PARTS)
        values = {"high": path.max(1), "low": path.min(1), "close": path[:, -1]}
        volume = np.exp(rng.standard_normal(DAYS))
        rows = pd.DataFrame({"unique_id": f"S{stock}", "ds": days, **values, "volume": volume})
        parts.append(rows[rows["ds"] >= days[30 * stock]])
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def prices():
    return make_prices()


@pytest.fixture(scope="module")
def market(prices):
    return Market.from_prices(prices)


@pytest.fixture(scope="module")
def forecast(market):
    return variance_forecasts(market, SPLIT, **QUICK)


def changed_from(prices: pd.DataFrame, day: np.datetime64) -> Market:
    """The market if every price were another from a day on."""
    later = prices["ds"] >= day
    other = prices.copy()
    other.loc[later, "high"] *= 1.5
    other.loc[later, "volume"] *= 7
    other.loc[later, "close"] = prices["low"]
    return Market.from_prices(other)


def test_matrices_and_columns_are_the_same_numbers(prices, market):
    assert market.stocks == ("S0", "S1", "S2", "S3")
    assert market.row("2020-01-04") == 2, "a Saturday: the next trading day counts"
    variance = market.matrix("variance")
    assert variance.shape == (DAYS, STOCKS)
    assert np.isnan(variance[:30, 1]).all()
    np.testing.assert_array_equal(market.column(variance), market.table["variance"])
    rows = market.rows(40, 42)
    assert set(rows["ds"]) == set(market.days[40:42])


def test_forecasts_of_variance_are_of_the_test_days_alone_and_good(market, forecast):
    assert np.isnan(forecast[: SPLIT.test.start]).all()
    assert (forecast[SPLIT.test] > 0).all()
    variance = market.matrix("variance")[SPLIT.test]
    naive = np.broadcast_to(np.nanmean(market.matrix("variance")[SPLIT.train], 0), variance.shape)
    assert qlike(variance, forecast[SPLIT.test]).mean() < 0.9 * qlike(variance, naive).mean()


def test_no_forecast_knows_its_day_or_a_later_one(prices, market, forecast):
    day = SPLIT.test.start + 10
    other = changed_from(prices, market.days[day])
    upto = slice(SPLIT.test.start, day + 1)
    again = variance_forecasts(other, SPLIT, **QUICK)
    np.testing.assert_allclose(again[upto], forecast[upto], rtol=1e-6)
    assert not np.allclose(again[day + 1], forecast[day + 1], rtol=1e-3)
    before, after = (variance_baselines(m, SPLIT.test.start) for m in (market, other))
    assert list(before) == ["EWMA", "HAR", "log HAR", "log HAR + market"]
    for name, values in before.items():
        np.testing.assert_array_equal(values[upto], after[name][upto], err_msg=name)
        assert not np.allclose(values[day + 1], after[name][day + 1], rtol=1e-3), name
    np.testing.assert_array_equal(
        market_regressors(market)[: day + 1], market_regressors(other)[: day + 1]
    )


def test_baselines_begin_with_the_first_row_asked_for(market):
    for name, values in variance_baselines(market, 200).items():
        assert np.isnan(values[:200]).all(), name
        assert np.isfinite(values[200:]).all(), name
        assert (values[200:] > 0).all(), name


def test_a_seed_gives_the_same_forecasts_and_another_seed_others(market, forecast):
    np.testing.assert_array_equal(variance_forecasts(market, SPLIT, **QUICK), forecast)
    other = variance_forecasts(market, SPLIT, seed=1, **QUICK)
    assert not np.array_equal(other[SPLIT.test], forecast[SPLIT.test])


def test_directions_that_can_be_told_are_told():
    prices = make_prices(trend=0.03)
    market = Market.from_prices(prices)
    found = return_forecasts(market, SPLIT, validation_days=20, **QUICK)
    truth = market.matrix("log_return")[SPLIT.test]
    assert np.isnan(found[: SPLIT.test.start]).all()
    assert ((found[SPLIT.test] > 0) == (truth > 0)).mean() > 0.65
    day = SPLIT.test.start + 10
    again = return_forecasts(
        changed_from(prices, market.days[day]), SPLIT, validation_days=20, **QUICK
    )
    upto = slice(SPLIT.test.start, day + 1)
    np.testing.assert_allclose(again[upto], found[upto], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("recipe", [return_forecasts, variance_forecasts])
def test_a_network_sees_neither_embargo_nor_test_nor_stocks_too_new(market, recipe, monkeypatch):
    seen = {}

    def stop(self, table, validation):
        seen.update(table=table, validation=validation)
        raise StopIteration

    monkeypatch.setattr("grukit.recipes.stocks.Forecaster.fit", stop)
    with pytest.raises(StopIteration):
        recipe(market, Split(slice(0, 140), slice(145, 150)))
    assert seen["table"]["ds"].max() == market.days[139]
    assert set(seen["table"]["unique_id"]) == {"S0", "S1", "S2"}, "S3 has 50 days, fewer than 60"
    if recipe is return_forecasts:
        assert seen["validation"] == market.days[140 - 42]
