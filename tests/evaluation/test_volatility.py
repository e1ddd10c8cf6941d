"""Forecasts of variance: QLIKE, EWMA, HAR."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.volatility import (
    ewma_forecast,
    from_log,
    har_regressors,
    least_squares,
    qlike,
)
from grukit.evaluation.walk_forward import Split

SPLIT = Split(slice(0, 300), slice(300, 400))


@pytest.fixture
def log_variance():
    """Five stocks that follow a HAR model, [400, 5]."""
    rng = np.random.default_rng(0)
    values = np.full((422, 5), -8.0)
    for day in range(22, 422):
        week, month = values[day - 5 : day].mean(0), values[day - 22 : day].mean(0)
        values[day] = -0.8 + 0.3 * values[day - 1] + 0.4 * week + 0.2 * month
        values[day] += 0.5 * rng.standard_normal(5)
    return values[22:]


def test_qlike_is_least_at_the_mean_of_a_noisy_variance():
    rng = np.random.default_rng(0)
    noisy = 4.0 * rng.chisquare(1, 100_000)
    factors = np.linspace(0.5, 2.0, 61)
    losses = [qlike(noisy, np.full_like(noisy, 4.0 * factor)).mean() for factor in factors]
    assert factors[np.argmin(losses)] == pytest.approx(1.0, abs=0.03)


def test_qlike_of_what_is_unknown_or_wrong():
    assert np.isnan(qlike(np.array([np.nan]), np.array([np.nan])))[0]
    for variance, forecast, message in (
        ([1.0], [0.0], "forecast must be positive"),
        ([1.0], [np.nan], "forecast must be positive"),
        ([1.0], [-1.0], "forecast must be positive"),
        ([0.0], [1.0], "variance must be positive"),
        ([1.0], [1.0, 2.0], "forecast must be of shape"),
    ):
        with pytest.raises(ParameterError, match=message):
            qlike(np.array(variance), np.array(forecast))


def test_ewma_by_a_loop():
    rng = np.random.default_rng(0)
    variance = rng.uniform(1, 2, (30, 2))
    variance[[0, 1, 7], 0] = np.nan
    forecast = ewma_forecast(variance, 0.9)
    state = None
    for day in range(30):
        assert np.isnan(forecast[day, 0]) if state is None else forecast[day, 0] == state
        now = variance[day, 0]
        if not np.isnan(now):
            state = now if state is None else 0.9 * state + (1 - 0.9) * now
    with pytest.raises(ParameterError, match="decay must be above 0 and below 1, got 1"):
        ewma_forecast(variance, 1)


def test_har_means_end_the_day_before():
    values = np.arange(60.0).reshape(30, 2)
    values[20, 0] = np.nan
    found = har_regressors(values)
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(
        found[25, 1], [values[24, 1], *(values[25 - n : 25, 1].mean() for n in (5, 22))]
    )
    np.testing.assert_allclose(found[25, 0, 1], np.nanmean(values[20:25, 0]))
    assert np.isnan(found[21, 0, 0]), "one of one day is missing"
    assert np.isnan(found[10, 1, 2]), "10 of 22 days are too few"
    assert not np.isnan(found[11, 1, 2])


@pytest.mark.parametrize("pooled", [False, True])
def test_least_squares_finds_the_model_behind(log_variance, pooled):
    regressors = har_regressors(log_variance)
    found = least_squares(regressors, log_variance, SPLIT, pooled=pooled)
    errors = (log_variance - found)[SPLIT.test]
    assert errors.std() == pytest.approx(0.5, rel=0.08)
    assert abs(errors.mean()) < 0.1


@pytest.mark.parametrize("pooled", [False, True])
def test_no_regression_sees_the_test_rows(log_variance, pooled):
    regressors = har_regressors(log_variance)
    found = least_squares(regressors, log_variance, SPLIT, pooled=pooled)
    other = log_variance.copy()
    other[SPLIT.test] += 100
    again = least_squares(regressors, other, SPLIT, pooled=pooled)
    np.testing.assert_array_equal(found, again)
    begun = Split(slice(100, 300), SPLIT.test)
    other[:100] -= 100
    again = [least_squares(regressors, t, begun, pooled=pooled) for t in (log_variance, other)]
    np.testing.assert_array_equal(*again)
    later = Split(slice(0, 301), SPLIT.test)
    assert np.nanmax(np.abs(least_squares(regressors, other, later, pooled=pooled) - found)) > 0.1


def test_a_stock_new_in_the_test_is_forecast_by_the_others(log_variance):
    log_variance[:300, 0] = np.nan
    regressors = har_regressors(log_variance)
    assert np.isnan(least_squares(regressors, log_variance, SPLIT)[:, 0]).all()
    pooled = least_squares(regressors, log_variance, SPLIT, pooled=True)
    assert not np.isnan(pooled[330:, 0]).any()


def test_the_way_back_from_logarithms_is_unbiased(log_variance):
    fitted = least_squares(har_regressors(log_variance), log_variance, SPLIT)
    forecast, variance = from_log(fitted, log_variance, SPLIT), np.exp(log_variance)
    ratio = variance / forecast
    assert np.nanmean(ratio[SPLIT.train]) == pytest.approx(1.0)
    # Of a normal error of 0.5 the exponential has the mean exp(0.5^2 / 2).
    assert np.nanmean(forecast / np.exp(fitted)) == pytest.approx(np.exp(0.125), rel=0.03)

    def loss(factor):
        losses = qlike(np.where(np.isnan(forecast), np.nan, variance), factor * forecast)
        return np.nanmean(losses[SPLIT.train])

    assert loss(1.0) < min(loss(0.97), loss(1.03))
    with pytest.raises(ParameterError, match="must have a value in the training rows"):
        from_log(np.full_like(fitted, np.nan), log_variance, SPLIT)
