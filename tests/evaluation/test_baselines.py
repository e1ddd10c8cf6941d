from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import DataError, ParameterError
from grukit.evaluation import metrics
from grukit.evaluation.baselines import LastValue, SeasonalNaive, WindowMean, fit_baseline

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
NAN = float("nan")
EVERY = [LastValue(), SeasonalNaive(24), WindowMean()]


def test_points_computed_by_hand():
    history = np.array([[1.0, 2.0, 3.0, 4.0, NAN], [NAN, 7.0, NAN, NAN, NAN]])
    np.testing.assert_array_equal(LastValue().point(history, 2), [[4, 4], [7, 7]])
    np.testing.assert_array_equal(WindowMean().point(history, 2), [[2.5, 2.5], [7, 7]])
    # phases of a season of 3 after five values: 2, 0, 1, 2; the last value of phase 1 is missing
    got = SeasonalNaive(3).point(history, 4)
    np.testing.assert_array_equal(got, [[3, 4, 2, 3], [7, 7, 7, 7]])


@pytest.mark.parametrize("lookback", [1, 5, 24, 50])
@pytest.mark.parametrize("season", [1, 7, 24, 60])
def test_seasonal_naive_equals_a_plain_loop(lookback, season):
    random = np.random.default_rng(lookback * season)
    history = random.normal(size=(20, lookback))
    history[random.random(history.shape) < 0.3] = NAN
    history[:, 0] = 1.0
    expected = np.empty((20, 30))
    for n in range(20):
        observed = [value for value in history[n] if not np.isnan(value)]
        for h in range(30):
            at = lookback + h
            while at >= lookback or (at >= 0 and np.isnan(history[n, at])):
                at -= season
            expected[n, h] = history[n, at] if at >= 0 else observed[-1]
    np.testing.assert_array_equal(SeasonalNaive(season).point(history, 30), expected)


def test_seasonal_naive_is_exact_on_its_season_and_on_no_other():
    signal = np.sin(2 * np.pi * np.arange(96) / 24)[None]
    history, truth = signal[:, :60], signal[:, 60:]
    assert metrics.mae(truth, SeasonalNaive(24).point(history, 36)) < 1e-12
    assert metrics.mae(truth, SeasonalNaive(23).point(history, 36)) > 0.1


def panel(windows: int, scales: tuple[float, ...], seed: int):
    """Random walks with a daily season, one equal share of windows from each scale."""
    random = np.random.default_rng(seed)
    scale = np.repeat(scales, windows)
    start = random.integers(24, size=len(scale))
    season = np.sin(2 * np.pi * (start[:, None] + np.arange(60)) / 24)
    values = random.normal(0, 0.3, (len(scale), 60)).cumsum(axis=1) + season + 5
    values = values * scale[:, None]
    return values[:, :48], values[:, 48:], scale


@pytest.mark.parametrize("baseline", EVERY, ids=lambda baseline: baseline.name)
def test_intervals_cover_small_and_large_series_alike(baseline):
    history, truth, scale = panel(2_000, (1.0, 1000.0), seed=0)
    fitted = fit_baseline(baseline, history, truth, scale, LEVELS)
    history, truth, scale = panel(2_000, (1.0, 1000.0), seed=1)
    quantiles = fitted.quantiles(history, scale)
    assert quantiles.shape == (4_000, 12, 5)
    assert np.all(np.diff(quantiles, axis=-1) >= 0)
    for series in (scale == 1, scale == 1000):
        low, high = quantiles[series, :, 1], quantiles[series, :, 3]
        assert metrics.coverage(truth[series], low, high) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("baseline", EVERY, ids=lambda baseline: baseline.name)
def test_one_scale_for_all_would_cover_neither(baseline):
    history, truth, scale = panel(500, (1.0, 1000.0), seed=0)
    fitted = fit_baseline(baseline, history, truth, np.ones_like(scale), LEVELS)
    quantiles = fitted.quantiles(history, np.ones_like(scale))
    for series in (scale == 1, scale == 1000):
        low, high = quantiles[series, :, 1], quantiles[series, :, 3]
        assert abs(metrics.coverage(truth[series], low, high) - 0.8) > 0.1


def test_residual_quantiles_are_those_of_each_step():
    history, truth, scale = panel(300, (2.0,), seed=0)
    fitted = fit_baseline(LastValue(), history, truth, scale, LEVELS)
    residual = truth - history[:, -1:]
    expected = np.quantile(residual, LEVELS, axis=0).T
    np.testing.assert_allclose(fitted.residuals * 2.0, expected)
    width = fitted.residuals[:, 4] - fitted.residuals[:, 0]
    assert width[-1] > 2 * width[0]


def test_intervals_make_a_better_peer_than_a_point_mass():
    history, truth, scale = panel(500, (1.0,), seed=0)
    fitted = fit_baseline(LastValue(), history, truth, scale, LEVELS)
    history, truth, scale = panel(500, (1.0,), seed=1)
    mass = np.repeat(fitted.point(history)[..., None], len(LEVELS), axis=-1)
    honest = metrics.crps(truth, fitted.quantiles(history, scale), LEVELS)
    assert honest < 0.9 * metrics.crps(truth, mass, LEVELS)


def test_missing_values_in_training_are_left_out():
    history, truth, scale = panel(300, (1.0,), seed=0)
    whole = fit_baseline(LastValue(), history[:200], truth[:200], scale[:200], LEVELS)
    history[200:250] = NAN
    truth[250:] = NAN
    holed = fit_baseline(LastValue(), history, truth, scale, LEVELS)
    np.testing.assert_array_equal(holed.residuals, whole.residuals)


def test_a_constant_series_gets_its_value_alone():
    history, truth = np.full((5, 48), 3.0), np.full((5, 12), 3.0)
    for baseline in EVERY:
        fitted = fit_baseline(baseline, history, truth, np.zeros(5), LEVELS)
        assert np.all(fitted.quantiles(history, np.zeros(5)) == 3.0)


def test_a_constant_series_does_not_narrow_the_others():
    history, truth, scale = panel(300, (1.0, 0.0), seed=0)
    mixed = fit_baseline(LastValue(), history, truth, scale, LEVELS)
    alone = fit_baseline(LastValue(), history[:300], truth[:300], scale[:300], LEVELS)
    np.testing.assert_array_equal(mixed.residuals, alone.residuals)


@pytest.mark.parametrize("baseline", EVERY, ids=lambda baseline: baseline.name)
def test_a_window_with_nothing_observed_is_refused(baseline):
    history, truth, scale = panel(10, (1.0,), seed=0)
    fitted = fit_baseline(baseline, history, truth, scale, LEVELS)
    history[3] = NAN
    with pytest.raises(DataError, match="none in 1 of 10, the first at index 3"):
        fitted.quantiles(history, scale)


def test_bad_input_is_refused():
    history, truth, scale = panel(10, (1.0,), seed=0)
    unseen = truth.copy()
    unseen[:, 4] = NAN
    with pytest.raises(DataError, match="none at step 5 of 12"):
        fit_baseline(LastValue(), history, unseen, scale, LEVELS)
    with pytest.raises(DataError, match="none at step 1 of 12"):
        fit_baseline(LastValue(), history * NAN, truth, scale, LEVELS)
    with pytest.raises(ParameterError, match="truth must be of shape"):
        fit_baseline(LastValue(), history, truth[1:], scale, LEVELS)
    with pytest.raises(ParameterError, match="scale must be"):
        fit_baseline(LastValue(), history, truth, scale * NAN, LEVELS)
    with pytest.raises(ParameterError, match="history must be of shape"):
        fit_baseline(LastValue(), history[0], truth, scale, LEVELS)
    with pytest.raises(ParameterError, match="season must be"):
        SeasonalNaive(0)
