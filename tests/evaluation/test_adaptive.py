from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.data.encoding import PanelEncoder
from grukit.data.frames import to_panel
from grukit.evaluation.adaptive import RATE, AdaptiveIntervals, adaptive
from grukit.evaluation.calibration import LARGEST, SMALLEST, fit_stretch, stretched
from grukit.evaluation.metrics import coverage

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
NORMAL = np.array([-1.96, -1.2816, 0.0, 1.2816, 1.96])
SERIES, HORIZON, CHANGE, STEPS = 100, 3, 400, 900
RECOVERY = 200


@pytest.fixture(scope="module")
def changed():
    """Truth [T, S] whose spread triples at `CHANGE`, and the forecasts [T, S, H, Q] of a stream."""
    rng = np.random.default_rng(0)
    spread = np.where(np.arange(STEPS + HORIZON) < CHANGE, 1.0, 3.0)
    truth = spread[:, None] * rng.normal(size=(STEPS + HORIZON, SERIES))
    quantiles = np.tile(NORMAL, (SERIES, HORIZON, 1))
    intervals = AdaptiveIntervals(LEVELS, HORIZON, SERIES)
    made = []
    for now in truth[:STEPS]:
        made.append(intervals.calibrated(quantiles))
        intervals.observe(now)
    return truth, np.stack(made)


def covered(truth, made, step, within, nominal):
    low, high = {0.95: (0, 4), 0.8: (1, 3)}[nominal]
    times = np.arange(*within)
    of_step = made[times, :, step]
    return coverage(truth[times + step], of_step[..., low], of_step[..., high])


@pytest.mark.parametrize("step", range(HORIZON))
@pytest.mark.parametrize("nominal", [0.8, 0.95])
def test_coverage_comes_back_after_a_change_of_spread(changed, step, nominal):
    truth, made = changed
    before = covered(truth, made, step, (100, CHANGE - HORIZON), nominal)
    assert before == pytest.approx(nominal, abs=0.01)
    assert covered(truth, made, step, (CHANGE, CHANGE + 20), nominal) < nominal - 0.2
    after = covered(truth, made, step, (CHANGE + RECOVERY, STEPS), nominal)
    assert after == pytest.approx(nominal, abs=0.03)


def test_split_calibration_does_not_come_back(changed):
    truth, _ = changed
    windows = truth[np.arange(CHANGE - HORIZON)[:, None] + np.arange(HORIZON)]
    windows = windows.transpose(0, 2, 1).reshape(-1, HORIZON)
    quantiles = np.tile(NORMAL, (len(windows), HORIZON, 1))
    factors = fit_stretch(windows, quantiles, LEVELS)
    made = stretched(np.tile(NORMAL, (STEPS, SERIES, HORIZON, 1)), factors, LEVELS)
    assert covered(truth, made, 0, (CHANGE + RECOVERY, STEPS), 0.8) < 0.4


def test_an_interval_grown_by_mistake_comes_back_too():
    intervals = AdaptiveIntervals(LEVELS, 1)
    intervals.factors[:] = np.where(np.array(LEVELS) == 0.5, 1.0, 5.0)
    rng = np.random.default_rng(0)
    for truth in rng.normal(size=3000):
        intervals.calibrated(NORMAL[None, None])
        intervals.observe(truth)
    np.testing.assert_allclose(intervals.factors[0, 0], 1.0, rtol=0.5)


def test_the_share_of_misses_is_bounded_whatever_comes():
    """The sum of the update telescopes: |misses / T - m| <= log(largest / smallest) / (rate T)."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=2000) * np.exp(np.sin(np.arange(2000) / 100))
    intervals = AdaptiveIntervals(LEVELS, 1)
    beyond = np.zeros(2)
    for now in truth:
        low, high = intervals.calibrated(NORMAL[None, None])[0, 0, [1, 3]]
        beyond += now < low, now > high
        intervals.observe(now)
    assert np.abs(beyond / len(truth) - 0.1).max() <= np.log(LARGEST / SMALLEST) / RATE / len(truth)


def test_a_step_is_judged_by_its_own_truth_when_that_arrives():
    intervals = AdaptiveIntervals(LEVELS, 3)
    intervals.calibrated(np.tile(NORMAL, (1, 3, 1)))
    before = intervals.factors.copy()
    for step, truth in enumerate([100.0, -100.0, 0.0]):
        intervals.observe(truth)
        changed = (intervals.factors != before).any(axis=(0, 2))
        assert changed.tolist() == [at == step for at in range(3)]
        grown = intervals.factors[0, step] > before[0, step]
        wanted = {0: [0, 0, 0, 1, 1], 1: [1, 1, 0, 0, 0], 2: [0, 0, 0, 0, 0]}[step]
        assert grown.tolist() == [bool(grows) for grows in wanted]
        before = intervals.factors.copy()
    intervals.observe(100.0)
    np.testing.assert_array_equal(intervals.factors, before)


def test_what_is_missing_or_has_no_width_changes_nothing():
    intervals = AdaptiveIntervals(LEVELS, 1, series=2)
    intervals.calibrated(np.stack([NORMAL, np.zeros(5)])[:, None])
    intervals.observe(np.array([np.nan, 3.0]))
    np.testing.assert_array_equal(intervals.factors, np.ones((2, 1, 5)))


def test_the_median_keeps_its_place_and_quantiles_stay_in_order(changed):
    _, made = changed
    assert (made[..., 2] == 0).all()
    assert (np.diff(made, axis=-1) >= 0).all()


@pytest.fixture(scope="module")
def encoded():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    rows = [
        pandas.DataFrame(
            {
                "unique_id": name,
                "ds": pandas.date_range("2024", periods=60, freq="h"),
                "y": 5 * rng.normal(size=60),
            }
        )
        for name in "ab"
    ]
    panel = to_panel(pandas.concat(rows))
    return PanelEncoder.fit(panel).encode(panel)


def plain(origins):
    return np.tile(NORMAL, (len(origins), HORIZON, 1)) * (1 + origins % 5)[:, None, None]


@pytest.mark.parametrize("stride", [1, 2, 7])
def test_a_backtest_is_the_stream_of_each_series(encoded, stride):
    first = np.arange(10, 55, stride)
    origins = np.concatenate([first, 60 + first])
    forecast = adaptive(plain, encoded, LEVELS, HORIZON)
    in_chunks = np.concatenate([forecast(part) for part in np.split(origins, [3, 10])])
    for series in (0, 1):
        intervals = AdaptiveIntervals(LEVELS, HORIZON)
        expected = []
        for row in range(60 * series + 10, 60 * series + 55):
            if row in origins:
                expected.append(intervals.calibrated(plain(np.array([row])))[0])
            intervals.observe(encoded.target[row])
        half = slice(0, len(first)) if series == 0 else slice(len(first), None)
        np.testing.assert_array_equal(in_chunks[half], np.stack(expected))
    assert (in_chunks != plain(origins)).any()


def test_nothing_after_the_origin_is_used(encoded):
    origins = np.arange(10, 40)
    before = adaptive(plain, encoded, LEVELS, HORIZON)(origins)
    target = encoded.target.copy()
    target[40:] = 1e6
    object.__setattr__(encoded, "target", target)
    np.testing.assert_array_equal(adaptive(plain, encoded, LEVELS, HORIZON)(origins), before)


def test_bad_shapes_and_rates_are_refused():
    with pytest.raises(ParameterError, match="rate must be a number above 0 and below 1, got 2"):
        AdaptiveIntervals(LEVELS, 1, rate=2)
    with pytest.raises(ParameterError, match=r"levels must have 0.5"):
        AdaptiveIntervals((0.1, 0.9), 1)
    intervals = AdaptiveIntervals(LEVELS, 2, series=3)
    with pytest.raises(ParameterError, match=r"quantiles must be of shape \(3, 2, 5\)"):
        intervals.calibrated(np.zeros((3, 1, 5)))
    with pytest.raises(ParameterError, match=r"truth must be of shape \(3,\)"):
        intervals.observe(1.0)
