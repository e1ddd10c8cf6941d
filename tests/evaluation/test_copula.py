"""The copula: finds a planted dependence, and never bends what each step is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from grukit.evaluation.copula import draw_levels, fit_copula


def planted(windows: int, rho: float = 0.8, steps: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """P(Y <= y) of windows [N, H] whose steps hang together as rho^|i - j|, and that."""
    at = np.arange(steps)
    wanted = rho ** np.abs(at[:, None] - at)
    scores = np.random.default_rng(0).multivariate_normal(np.zeros(steps), wanted, windows)
    return ndtr(scores), wanted


@pytest.mark.parametrize("rho", [0.8, 0.0, -0.6])
def test_a_planted_correlation_is_found(rho):
    probability, wanted = planted(20_000, rho)
    np.testing.assert_allclose(fit_copula(probability), wanted, atol=0.02)


def test_ranks_alone_count_and_missing_values_are_left_out():
    probability, wanted = planted(20_000)
    found = fit_copula(probability)
    np.testing.assert_allclose(fit_copula(probability**3), found)
    holed = np.where(np.random.default_rng(1).random(probability.shape) < 0.3, np.nan, probability)
    np.testing.assert_allclose(fit_copula(holed), wanted, atol=0.03)


@pytest.mark.parametrize("windows", [1, 2, 10])
def test_few_windows_give_something_that_can_be_drawn_from(windows):
    for steps in (1, 2, 30):
        probability, _ = planted(windows, steps=steps)
        probability[: windows // 2, 0] = np.nan
        correlation = fit_copula(probability)
        np.testing.assert_allclose(np.diag(correlation), 1)
        np.testing.assert_allclose(correlation, correlation.T, atol=1e-12)
        levels = draw_levels(correlation, 1, 3, np.random.default_rng(0))
        assert levels.shape == (1, 3, steps)


def test_a_step_that_nothing_is_known_of():
    probability, _ = planted(500)
    probability[:, 2] = np.nan
    correlation = fit_copula(probability)
    assert np.isfinite(correlation).all()
    np.linalg.cholesky(correlation)


def test_levels_fill_each_step_evenly_and_hang_together():
    _, wanted = planted(1)
    levels = draw_levels(wanted, 2, 4000, np.random.default_rng(0))
    assert 0 < levels.min() < levels.max() < 1
    parts = np.sort(np.floor(levels * 4000), axis=1)
    np.testing.assert_array_equal(parts, np.broadcast_to(np.arange(4000)[:, None], parts.shape))
    np.testing.assert_allclose(fit_copula(levels.reshape(-1, 5)), wanted, atol=0.05)
    between = np.corrcoef(levels[0, :, 0], levels[1, :, 0])[0, 1]
    assert abs(between) < 0.05


def test_the_same_generator_gives_the_same_levels():
    _, wanted = planted(1)
    one, other, third = (
        draw_levels(wanted, 2, 10, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)
