from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from grukit.core.errors import DataError, ParameterError
from grukit.evaluation import metrics

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
NAN = float("nan")

TRUTH = np.array([[1.0, 2.0, NAN], [4.0, 0.0, -3.0]])
POINT = np.array([[2.0, 2.0, 9.0], [1.0, 0.0, 3.0]])


def test_numbers_computed_by_hand():
    # observed errors: -1, 0 | 3, 0, -6
    assert metrics.mae(TRUTH, POINT) == pytest.approx(10 / 5)
    assert metrics.rmse(TRUTH, POINT) == pytest.approx(math.sqrt(46 / 5))
    scale = np.array([2.0, 3.0])
    assert metrics.mase(TRUTH, POINT, scale) == pytest.approx((0.5 + 0 + 1 + 0 + 2) / 5)
    smape = 200 * (1 / 3 + 0 + 3 / 5 + 0 + 6 / 6) / 5
    assert metrics.smape(TRUTH, POINT) == pytest.approx(smape)
    quantiles = np.stack([POINT - 1, POINT + 1], axis=-1)
    # errors at level 0.1: 0, 1, 4, 1, -5; at level 0.9: -2, -1, 2, -1, -7
    low, high = (0.1 * 6 + 0.9 * 5) / 5, (0.9 * 2 + 0.1 * 11) / 5
    assert metrics.pinball(TRUTH, quantiles, (0.1, 0.9)) == pytest.approx((low + high) / 2)
    assert metrics.crps(TRUTH, quantiles, (0.1, 0.9)) == pytest.approx(low + high)
    assert metrics.coverage(TRUTH, POINT - 1, POINT + 1) == pytest.approx(3 / 5)


def test_by_step_is_the_score_of_each_column():
    quantiles = np.stack([POINT - 1, POINT, POINT + 1], axis=-1)
    scale = np.ones(len(TRUTH))
    steps = metrics.by_step(TRUTH, quantiles, (0.1, 0.5, 0.9), scale)
    np.testing.assert_allclose(steps["mae"], [2.0, 0.0, 6.0])
    np.testing.assert_allclose(steps["rmse"], [math.sqrt(5), 0.0, 6.0])
    for step in range(3):
        at = slice(step, step + 1)
        column = metrics.score("", TRUTH[:, at], quantiles[:, at], (0.1, 0.5, 0.9), scale)
        assert column.metrics == {name: values[step] for name, values in steps.items()}


def test_a_step_observed_nowhere_has_no_score():
    truth = np.array([[1.0, NAN]])
    steps = metrics.by_step(truth, np.zeros((1, 2, 1)), (0.5,), np.ones(1))
    assert steps["mae"][0] == 1
    assert np.isnan(steps["mae"][1])


FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


@st.composite
def cases(draw):
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    truth = draw(arrays(np.float64, shape, elements=st.one_of(FINITE, st.just(NAN))))
    truth[0, 0] = draw(FINITE)
    quantiles = draw(arrays(np.float64, (*shape, len(LEVELS)), elements=FINITE))
    return truth, np.sort(quantiles, axis=-1)


@given(cases())
def test_every_metric_equals_a_plain_loop(case):
    truth, quantiles = case
    scale = np.arange(1.0, len(truth) + 1)
    absolute, squared, scaled, percent, losses, inside = [], [], [], [], [], []
    for n in range(truth.shape[0]):
        for h in range(truth.shape[1]):
            y, f = float(truth[n, h]), float(quantiles[n, h, 2])
            if math.isnan(y):
                continue
            absolute.append(abs(y - f))
            squared.append((y - f) ** 2)
            scaled.append(abs(y - f) / scale[n])
            percent.append(200 * abs(y - f) / (abs(y) + abs(f)) if y or f else 0.0)
            inside.append(quantiles[n, h, 1] <= y <= quantiles[n, h, 3])
            for level, q in zip(LEVELS, quantiles[n, h], strict=True):
                losses.append(level * (y - q) if y >= q else (1 - level) * (q - y))
    got = metrics.score("loop", truth, quantiles, LEVELS, scale).metrics
    assert list(got) == [
        *("mae", "rmse", "mase", "smape", "pinball", "crps", "coverage_80", "coverage_95")
    ]
    assert got["mae"] == pytest.approx(np.mean(absolute))
    assert got["rmse"] == pytest.approx(math.sqrt(np.mean(squared)))
    assert got["mase"] == pytest.approx(np.mean(scaled))
    assert got["smape"] == pytest.approx(np.mean(percent))
    assert got["pinball"] == pytest.approx(np.mean(losses))
    assert got["coverage_80"] == pytest.approx(np.mean(inside))


def normal_forecast(levels, mean=0.0, spread=1.0, windows=20_000):
    truth = np.random.default_rng(1).normal(size=(windows, 1))
    quantiles = np.array([NormalDist(mean, spread).inv_cdf(level) for level in levels])
    return truth, np.broadcast_to(quantiles, (windows, 1, len(levels)))


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (0.7, 1.0), (0.0, 2.5)])
def test_crps_with_dense_levels_is_the_closed_form_for_a_normal(mean, spread):
    levels = tuple(np.arange(1, 1000) / 1000)
    truth, quantiles = normal_forecast(levels, mean, spread, windows=2_000)
    normal = NormalDist()
    z = (truth[:, 0] - mean) / spread
    closed = [
        spread * (v * (2 * normal.cdf(v) - 1) + 2 * normal.pdf(v) - 1 / math.sqrt(math.pi))
        for v in z
    ]
    assert metrics.crps(truth, quantiles, levels) == pytest.approx(np.mean(closed), rel=2e-4)


def test_crps_of_few_levels_is_as_near_as_its_docstring_says():
    exact = 1 / math.sqrt(math.pi)
    few = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
    even = tuple(np.arange(1, 10) / 10)
    assert metrics.crps(*normal_forecast(few, windows=200_000), few) == pytest.approx(
        0.97 * exact, rel=0.005
    )
    assert metrics.crps(*normal_forecast(even, windows=200_000), even) == pytest.approx(
        1.05 * exact, rel=0.005
    )


@given(cases())
def test_crps_of_a_point_mass_is_its_mae(case):
    truth, quantiles = case
    point = quantiles[..., 0]
    mass = np.repeat(point[..., None], len(LEVELS), axis=-1)
    assert metrics.crps(truth, mass, LEVELS) == pytest.approx(metrics.mae(truth, point))


def test_coverage_of_true_quantiles_is_nominal():
    got = metrics.score("true", *normal_forecast(LEVELS), LEVELS, np.ones(20_000)).metrics
    assert got["coverage_80"] == pytest.approx(0.8, abs=0.01)
    assert got["coverage_95"] == pytest.approx(0.95, abs=0.01)


def seasonal_quantiles():
    hours = np.arange(48) + np.arange(30)[:, None]
    truth = 10 + np.sin(2 * np.pi * hours / 24) + np.random.default_rng(0).normal(0, 0.1, (30, 48))
    signal = 10 + np.sin(2 * np.pi * hours / 24)
    return truth, signal[..., None] + 0.1 * np.array([-1.96, -1.28, 0, 1.28, 1.96])


@pytest.mark.parametrize(
    "sabotage",
    [
        lambda truth: np.roll(truth, 1, axis=1),
        lambda truth: np.roll(truth, 6, axis=1),
        lambda truth: truth[:, ::-1],
        lambda truth: truth + 1,
        lambda truth: -truth,
    ],
    ids=["one step late", "a quarter late", "reversed", "shifted up", "sign"],
)
def test_a_spoilt_truth_worsens_every_metric(sabotage):
    truth, quantiles = seasonal_quantiles()
    scale = np.ones(len(truth))
    right = metrics.score("right", truth, quantiles, LEVELS, scale).metrics
    wrong = metrics.score("wrong", sabotage(truth), quantiles, LEVELS, scale).metrics
    for name in ("mae", "rmse", "mase", "smape", "pinball", "crps"):
        assert wrong[name] > 1.2 * right[name], name
    for name in ("coverage_80", "coverage_95"):
        assert wrong[name] < right[name] - 0.1, name


def test_swapped_levels_worsen_pinball_and_crps():
    truth, quantiles = seasonal_quantiles()
    swapped = quantiles[..., ::-1]
    assert metrics.pinball(truth, swapped, LEVELS) > 1.5 * metrics.pinball(truth, quantiles, LEVELS)
    assert metrics.crps(truth, swapped, LEVELS) > 1.5 * metrics.crps(truth, quantiles, LEVELS)
    assert metrics.coverage(truth, quantiles[..., 3], quantiles[..., 1]) == 0


def test_a_given_point_replaces_the_median_in_point_metrics_alone():
    truth, quantiles = seasonal_quantiles()
    scale = np.ones(len(truth))
    median = metrics.score("median", truth, quantiles, LEVELS, scale).metrics
    other = metrics.score("other", truth, quantiles, LEVELS, scale, quantiles[..., 0]).metrics
    assert other["mae"] == metrics.mae(truth, quantiles[..., 0]) > median["mae"]
    assert other["pinball"] == median["pinball"]


def test_scale_is_the_seasonal_naive_error_in_sample():
    history = np.array([[1.0, 5.0, 2.0, 9.0, NAN, 9.0], [3.0, NAN, NAN, NAN, NAN, NAN]])
    np.testing.assert_allclose(metrics.seasonal_naive_scale(history, 2), [(1 + 4 + 0) / 3, 0])
    np.testing.assert_allclose(metrics.seasonal_naive_scale(history), [(4 + 3 + 7) / 3, 0])
    assert metrics.seasonal_naive_scale(np.array([1.0, 2.0, 4.0]), 3) == 1.5
    assert metrics.seasonal_naive_scale(np.array([1.0, 2.0, 4.0]), 7) == 1.5
    with pytest.raises(ParameterError, match="season must be"):
        metrics.seasonal_naive_scale(history, 0)


def test_mase_of_the_seasonal_naive_in_sample_is_one():
    series = np.random.default_rng(0).normal(size=(3, 200)).cumsum(axis=1) * [[1], [10], [1000]]
    scale = metrics.seasonal_naive_scale(series, 24)
    assert metrics.mase(series[:, 24:], series[:, :-24], scale) == pytest.approx(1.0)
    assert metrics.mase(series[:, 24:], series[:, :-24], scale[::-1]) > 2


def test_constant_series_are_left_out_of_mase():
    truth, point = np.array([[1.0], [5.0]]), np.array([[2.0], [9.0]])
    assert metrics.mase(truth, point, np.array([2.0, 0.0])) == 0.5
    with pytest.raises(DataError, match="not constant"):
        metrics.mase(truth, point, np.zeros(2))
    quantiles = np.repeat(point[..., None], len(LEVELS), axis=-1)
    constant = metrics.score("constant", truth, quantiles, LEVELS, np.zeros(2)).metrics
    assert math.isnan(constant.pop("mase"))
    assert np.isfinite(list(constant.values())).all()


@pytest.mark.parametrize("metric", [metrics.mae, metrics.rmse, metrics.smape])
@pytest.mark.parametrize(
    ("truth", "prediction", "error", "message"),
    [
        ([[NAN, NAN]], [[1.0, 1.0]], DataError, "observed somewhere"),
        ([[np.inf, 1.0]], [[1.0, 1.0]], DataError, "truth must be finite"),
        ([[1.0, 1.0]], [[NAN, 1.0]], ParameterError, "prediction must be finite, got nan"),
        ([[1.0, NAN]], [[1.0, -np.inf]], ParameterError, "prediction must be finite, got -inf"),
        ([[1.0, 1.0]], [[1.0]], ParameterError, r"shape \(1, 2\), got \(1, 1\)"),
        ([1.0], [1.0], ParameterError, r"shape \[N, H\]"),
        (np.empty((0, 3)), np.empty((0, 3)), DataError, "observed somewhere"),
    ],
)
def test_bad_input_is_refused(metric, truth, prediction, error, message):
    with pytest.raises(error, match=message):
        metric(np.array(truth), np.array(prediction))


def test_bad_quantiles_levels_and_scales_are_refused():
    truth, quantiles = seasonal_quantiles()
    for metric in (metrics.pinball, metrics.crps):
        with pytest.raises(ParameterError, match=r"\[N, H, 5\], got \(30, 48, 4\)"):
            metric(truth, quantiles[..., 1:], LEVELS)
        with pytest.raises(ParameterError, match="rising"):
            metric(truth, quantiles, LEVELS[::-1])
        with pytest.raises(ParameterError, match="finite"):
            metric(truth, np.where(quantiles > 11, NAN, quantiles), LEVELS)
    with pytest.raises(ParameterError, match="finite"):
        metrics.coverage(truth, quantiles[..., 0] * NAN, quantiles[..., 4])
    for scale in (np.ones(29), np.full(30, NAN), np.full(30, -1.0)):
        with pytest.raises(ParameterError, match="scale must be"):
            metrics.mase(truth, quantiles[..., 2], scale)
    with pytest.raises(ParameterError, match=r"0\.5 among"):
        metrics.score("none", truth, quantiles[..., :2], LEVELS[:2], np.ones(30))
