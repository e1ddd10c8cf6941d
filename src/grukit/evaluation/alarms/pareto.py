"""The tail of a distribution, from what exceeds a high level.

Whatever the distribution, the excesses over a high level are nearly those of a generalized Pareto
distribution (Balkema & de Haan 1974, Pickands 1975), with

    P(excess > y) = (1 + shape * y / scale) ** (-1 / shape)

and exp(-y / scale) where the shape is 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from grukit.core.extras import require

FEWEST_EXCESSES = 10
_SMALLEST = 1e-4


class Tail(NamedTuple):
    """Shape, without unit, and scale, in units of the excesses."""

    shape: float
    scale: float

    def exceeded_with(self, probability: float) -> float:
        """The excess that is exceeded with that probability.

        >>> round(Tail(shape=0.0, scale=2.0).exceeded_with(0.01), 2)
        9.21
        """
        if self.shape == 0:
            return -self.scale * math.log(probability)
        return self.scale / self.shape * (probability**-self.shape - 1)


def fit_tail(excesses: np.ndarray, censored: np.ndarray | None = None) -> Tail:
    """The most likely tail of the excesses [n], all positive (Grimshaw 1993, Technometrics 35).

    Where `censored` [n] is True the excess is not known but to be at least as large: it counts
    with the probability to exceed it. With x = shape / scale, the likelihood is largest at

        shape(x) = sum of log(1 + x y) / number of y that are known

    and x is left, as the root of the derivative of what remains, in which of all roots is the
    most likely one, or the exponential distribution (x = 0). Shapes below -1 are not looked at,
    since there the likelihood has no bound. Fewer than 10 known excesses cannot tell a shape: they
    are taken for exponential.

    >>> tail = fit_tail(np.random.default_rng(0).pareto(4.0, 100_000))
    >>> round(tail.shape, 2), round(tail.scale, 2)
    (0.26, 0.25)
    """
    known = np.ones(len(excesses), bool) if censored is None else ~censored
    count, unit = int(known.sum()), float(excesses.sum() / known.sum())
    best, likelihood = Tail(0.0, unit), -1.0
    if count < FEWEST_EXCESSES:
        return best
    brentq = require("scipy.optimize").brentq
    y = excesses / unit
    grid = _grid(float(y.max()))
    values = [_slope(x, y, known) for x in grid]
    for index in np.flatnonzero(np.diff(np.sign(values))):
        low, high = grid[index], grid[index + 1]
        if low * high < 0:  # 0 is a root of its own: the exponential distribution
            continue
        x = brentq(_slope, low, high, args=(y, known), xtol=1e-12)
        logs = np.log1p(x * y)
        shape = float(logs.sum() / count)
        found = -math.log(shape / x) - 1 - float(logs[known].mean())
        if shape > -1 and found > likelihood:
            best, likelihood = Tail(shape, unit * shape / x), found
    return best


def _slope(x: float, y: np.ndarray, known: np.ndarray) -> float:
    """x times the derivative of the mean log-likelihood of the known."""
    scaled = x * y
    share = scaled / (1 + scaled)
    return float(1 - share.sum() / np.log1p(scaled).sum() - share[known].mean())


def _grid(most: float) -> np.ndarray:
    """Where to look for roots, from just above -1 / most on."""
    near_the_end = -(1 - np.geomspace(1e-6, 0.1, 8)) / most
    below = -np.geomspace(0.85 / most, min(_SMALLEST, 0.5 / most), 12)
    above = np.geomspace(_SMALLEST, 1e8, 24)
    return np.concatenate([near_the_end, below, above])
