from __future__ import annotations

import numpy as np
import pytest

from grukit.evaluation.calibration import LARGEST, SMALLEST, fit_stretch, stretched
from grukit.evaluation.metrics import coverage

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
NORMAL = np.array([-1.96, -1.2816, 0.0, 1.2816, 1.96])


def overconfident(windows: int, seed: int, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Truth that is `spread` times as wide as its forecasts, and wider at later steps."""
    rng = np.random.default_rng(seed)
    median = rng.normal(size=(windows, 4))
    widths = np.arange(1.0, 5.0)
    truth = median + spread * widths * rng.normal(size=median.shape)
    truth[rng.random(truth.shape) < 0.1] = np.nan
    return truth, median[..., None] + widths[:, None] * NORMAL


def test_calibrated_intervals_cover_new_windows():
    factors = fit_stretch(*overconfident(3000, seed=0), LEVELS)
    truth, quantiles = overconfident(3000, seed=1)
    assert coverage(truth, quantiles[..., 1], quantiles[..., 3]) < 0.4
    after = stretched(quantiles, factors, LEVELS)
    assert coverage(truth, after[..., 1], after[..., 3]) == pytest.approx(0.8, abs=0.02)
    assert coverage(truth, after[..., 0], after[..., 4]) == pytest.approx(0.95, abs=0.01)
    np.testing.assert_allclose(factors, np.tile([3, 3, 1, 3, 3], (4, 1)), rtol=0.1)


def test_each_side_has_its_own_factor():
    truth, quantiles = overconfident(3000, seed=0)
    median = quantiles[..., 2]
    truth = np.where(truth < median, (truth + 2 * median) / 3, truth)
    factors = fit_stretch(truth, quantiles, LEVELS)
    np.testing.assert_allclose(factors, np.tile([1, 1, 1, 3, 3], (4, 1)), rtol=0.1)


def test_each_step_has_its_own_factor():
    truth, quantiles = overconfident(3000, seed=0)
    median = quantiles[:, 1, 2]
    truth[:, 1] = (truth[:, 1] + 2 * median) / 3
    factors = fit_stretch(truth, quantiles, LEVELS)
    np.testing.assert_allclose(factors[1], np.ones(5), rtol=0.1)
    np.testing.assert_allclose(factors[[0, 2, 3]][:, [0, 1, 3, 4]], 3, rtol=0.1)


def test_few_windows_change_little():
    wide, narrow = overconfident(3000, seed=0), overconfident(20, seed=0)
    few = fit_stretch(*narrow, LEVELS)[:, [0, 1, 3, 4]]
    many = fit_stretch(*wide, LEVELS)[:, [0, 1, 3, 4]]
    assert (few > 1).all()
    assert (few < 2).all()
    assert (few < many).all()


def test_the_median_keeps_its_place_and_quantiles_stay_in_order():
    _, quantiles = overconfident(50, seed=0)
    factors = np.tile([SMALLEST, LARGEST, 1.0, 0.3, 2.0], (4, 1))
    after = stretched(quantiles, factors, LEVELS)
    np.testing.assert_array_equal(after[..., 2], quantiles[..., 2])
    assert (np.diff(after, axis=-1) >= 0).all()


def test_factors_stay_within_bounds_whatever_the_truth():
    _, quantiles = overconfident(10_000, seed=0)
    far = fit_stretch(quantiles[..., 2] + 1e6, quantiles, LEVELS)
    expected = np.tile([SMALLEST, SMALLEST, 1, LARGEST, LARGEST], (4, 1))
    np.testing.assert_allclose(far, expected, atol=0.1)
    assert (far >= SMALLEST).all()
    assert (far <= LARGEST).all()
    unknown = fit_stretch(np.full((50, 4), np.nan), quantiles[:50], LEVELS)
    np.testing.assert_array_equal(unknown, np.ones((4, 5)))
