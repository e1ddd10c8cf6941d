"""What a rule of trading would have earned after costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grukit.core.errors import ParameterError, must_be

DAYS_A_YEAR = 252


@dataclass(frozen=True, eq=False)
class StrategyCurve:
    """Daily simple returns [T] before and after costs, and the share of capital traded each day."""

    gross: np.ndarray
    net: np.ndarray
    turnover: np.ndarray

    @property
    def wealth(self) -> np.ndarray:
        """[T], what 1 at the start has become after costs."""
        return np.cumprod(1 + self.net)

    @property
    def annual_return(self) -> float:
        """The net return a year, compounded."""
        return float(self.wealth[-1] ** (DAYS_A_YEAR / len(self.net)) - 1)

    @property
    def sharpe(self) -> float:
        """The net Sharpe ratio a year (Sharpe 1966), cash at 0; 0 where nothing moves."""
        spread = self.net.std()
        return float(self.net.mean() / spread * np.sqrt(DAYS_A_YEAR)) if spread > 0 else 0.0

    @property
    def drawdown(self) -> float:
        """The deepest fall from a peak of wealth, from 0 to 1."""
        wealth = np.append(1.0, self.wealth)
        return float(1 - (wealth / np.maximum.accumulate(wealth)).min())


def strategy_curve(positions: np.ndarray, returns: np.ndarray, cost: float) -> StrategyCurve:
    """Hold `positions` over the day of `returns`, and pay for each change of them.

    positions: [T, S], shares of capital, decided before the day; negative is short. returns: [T, S]
    simple; a stock without one must not be held. cost: share of what is traded, 0.001 for 10 basis
    points a trade. The first day buys all; positions are set anew each day, and what prices did to
    them meanwhile counts as traded.

    >>> curve = strategy_curve(np.array([[1.0], [-1.0]]), np.array([[0.01], [0.01]]), cost=0.001)
    >>> curve.net.round(3)
    array([ 0.009, -0.012])
    """
    positions, returns = np.asarray(positions, np.float64), np.asarray(returns, np.float64)
    if positions.shape != returns.shape or positions.ndim != 2:
        raise ParameterError(must_be("positions", f"of shape {returns.shape}", positions.shape))
    if not np.isfinite(positions).all():
        raise ParameterError("positions must be finite, got others")
    if not cost >= 0:
        raise ParameterError(must_be("cost", "at least 0", cost))
    if (held := (positions != 0) & ~np.isfinite(returns)).any():
        day, stock = (int(index) for index in np.argwhere(held)[0])
        raise ParameterError(
            f"positions must be 0 where a return is unknown, got {positions[day, stock]} "
            f"at row {day}, column {stock}"
        )
    returns = np.where(positions == 0, 0.0, returns)
    gross = (positions * returns).sum(axis=1)
    if (ruin := gross <= -1).any():
        day = int(np.argmax(ruin))
        raise ParameterError(
            f"positions must not lose all capital in a day, got a return of {gross[day]:g} "
            f"at row {day}"
        )
    drifted = np.zeros_like(positions)
    drifted[1:] = (positions * (1 + returns))[:-1] / (1 + gross[:-1, None])
    turnover = np.abs(positions - drifted).sum(axis=1)
    return StrategyCurve(gross, gross - cost * turnover, turnover)
