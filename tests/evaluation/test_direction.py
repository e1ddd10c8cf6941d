"""Up or down: metrics, baselines and the bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.direction import (
    accuracy,
    daily_counts,
    interval,
    majority,
    mcc,
    momentum,
    movements,
)


@pytest.fixture
def drawn():
    """Movements [200, 8], with gaps, and calls of three models [3, 200, 8] that know a little."""
    rng = np.random.default_rng(0)
    movement = rng.choice([0.0, 1.0, np.nan], (200, 8), p=[0.35, 0.4, 0.25])
    calls = np.where(rng.random((3, 200, 8)) < 0.6, movement == 1, movement != 1)
    return movement, calls


def test_scores_are_those_of_all_days_together(drawn):
    movement, calls = drawn
    counts = daily_counts(movement, calls)
    assert counts.shape == (3, 200, 4)
    known = ~np.isnan(movement)
    for model in range(3):
        truth, called = movement[known] == 1, calls[model][known]
        assert accuracy(counts)[model] == pytest.approx((truth == called).mean())
        assert mcc(counts)[model] == pytest.approx(np.corrcoef(truth, called)[0, 1])


def test_turned_calls_turn_the_correlation(drawn):
    movement, calls = drawn
    counts, turned = daily_counts(movement, calls), daily_counts(movement, ~calls)
    np.testing.assert_allclose(mcc(turned), -mcc(counts))
    np.testing.assert_allclose(accuracy(turned), 1 - accuracy(counts))
    assert mcc(daily_counts(movement, np.ones_like(movement, bool))) == 0.0
    assert np.isnan(accuracy(daily_counts(movement * np.nan, calls))).all()


def test_calls_are_of_the_days_and_stocks(drawn):
    movement, calls = drawn
    for wrong in (calls[:, :-1], calls.astype(float)):
        with pytest.raises(
            ParameterError, match=r"calls must be of bool and shape \[..., 200, 8\]"
        ):
            daily_counts(movement, wrong)


def test_the_interval_covers_as_often_as_it_says():
    """Of independent calls, right with 0.6: the share of intervals that hold 0.6."""
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(120):
        right = rng.random((60, 3)) < 0.6
        counts = daily_counts(np.ones((60, 3)), right)
        low, high = interval(accuracy, counts, coverage=0.9, draws=150, seed=trial)
        held += low <= 0.6 <= high
    assert held / 120 == pytest.approx(0.9, abs=0.06)


def test_the_interval_knows_that_stocks_move_together():
    rng = np.random.default_rng(2)
    days = rng.random((100, 1)) < 0.5
    together = daily_counts(np.ones((100, 50)), np.repeat(days, 50, axis=1))
    apart = daily_counts(np.ones((100, 50)), rng.random((100, 50)) < 0.5)
    wide, narrow = (np.diff(interval(accuracy, counts))[0] for counts in (together, apart))
    assert wide > 5 * narrow


def test_the_interval_knows_of_seeds(drawn):
    movement, calls = drawn
    counts = daily_counts(movement, np.stack([calls[0], ~calls[0]]))
    low, high = interval(accuracy, counts)
    assert high - low > 0.15
    one = daily_counts(movement, calls[0])
    assert interval(mcc, one) == interval(mcc, one[None])
    assert interval(mcc, one, seed=1) != interval(mcc, one)
    with pytest.raises(ParameterError, match="coverage must be above 0 and below 1"):
        interval(mcc, one, coverage=95)


def test_baselines():
    assert majority(np.array([[1.0, np.nan], [0.0, 1.0]]), days=3).tolist() == [[True, True]] * 3
    assert not majority(np.array([[0.0], [np.nan]]), days=1).any()
    returns = np.array([[0.1, -0.1], [-0.2, np.nan], [0.1, 0.1]])
    assert momentum(returns).tolist() == [[False, False], [True, False], [False, False]]


def test_momentum_before_the_thresholds_of_a_known_pattern():
    """Returns that alternate: momentum is always wrong."""
    returns = np.where(np.arange(40) % 2, 0.01, -0.01)[:, None]
    counts = daily_counts(movements(returns)[1:], momentum(returns)[1:])
    assert accuracy(counts) == 0.0
    assert mcc(counts) == pytest.approx(-1.0)
