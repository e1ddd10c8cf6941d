"""What a rule of trading earns after costs."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.strategy import strategy_curve


def wallet(positions, returns, cost):
    """The same by keeping books: cash and shares held, costs paid from the day's earnings."""
    held, net = np.zeros(positions.shape[1]), []
    for wanted, moved in zip(positions, returns, strict=True):
        traded = np.abs(wanted - held).sum()
        earned = (wanted * moved).sum()
        net.append(earned - cost * traded)
        held = wanted * (1 + moved) / (1 + earned)
    return np.array(net)


def test_it_is_what_the_books_say():
    rng = np.random.default_rng(0)
    positions, returns = rng.normal(0, 0.3, (50, 4)), rng.normal(0, 0.02, (50, 4))
    curve = strategy_curve(positions, returns, cost=0.002)
    np.testing.assert_allclose(curve.net, wallet(positions, returns, 0.002), atol=1e-15)
    np.testing.assert_allclose(curve.gross, (positions * returns).sum(1))
    np.testing.assert_allclose(curve.gross - curve.net, 0.002 * curve.turnover)
    assert curve.wealth[-1] == pytest.approx(np.prod(1 + curve.net))


def test_holding_one_stock_is_bought_once():
    curve = strategy_curve(np.ones((252, 1)), np.full((252, 1), 0.001), cost=0.01)
    assert curve.turnover[0] == 1
    np.testing.assert_allclose(curve.turnover[1:], 0, atol=1e-12)
    assert curve.annual_return == pytest.approx(1.001**251 * 0.991 - 1)
    assert curve.drawdown == pytest.approx(0.009)


def test_nothing_is_free_but_nothing():
    still = strategy_curve(np.zeros((10, 2)), np.full((10, 2), np.nan), cost=0.01)
    assert still.wealth[-1] == 1
    assert (still.sharpe, still.drawdown, still.annual_return) == (0, 0, 0)
    rng = np.random.default_rng(0)
    signs, returns = rng.choice([-1.0, 1.0], (500, 1)), rng.normal(0, 0.01, (500, 1))
    assert strategy_curve(signs, returns, 0.005).annual_return < -0.5


@pytest.mark.parametrize(
    ("positions", "returns", "cost", "message"),
    [
        (np.ones((2, 1)), np.ones((3, 1)), 0.0, "positions must be of shape"),
        (np.full((1, 1), np.nan), np.ones((1, 1)), 0.0, "positions must be finite"),
        (np.ones((1, 1)), np.ones((1, 1)), -0.1, "cost must be at least 0"),
        (np.ones((1, 1)), np.full((1, 1), np.nan), 0.0, "0 where a return is unknown, got 1.0"),
        (np.full((2, 1), 4.0), np.full((2, 1), -0.25), 0.0, "a return of -1 at row 0"),
    ],
)
def test_bad_input_is_refused(positions, returns, cost, message):
    with pytest.raises(ParameterError, match=message):
        strategy_curve(positions, returns, cost)
