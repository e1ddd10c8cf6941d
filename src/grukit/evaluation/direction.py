"""Up or down: what counts as a movement, and how sure a score of calls is.

Shapes: [T, S] for T trading days and S stocks. A movement is 1 (up), 0 (down) or NaN (neither, or
unknown); a call is True for up. Scores are made from counts a day, since the stocks of a day move
together: a day is the unit of evidence, not a stock's day.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grukit.core.errors import ParameterError, must_be

UP, DOWN = 0.0055, -0.005
"""The thresholds of Xu and Cohen (2018): above 0.55 % is up, -0.5 % and below is down."""
Counts = np.ndarray
"""int64 [..., T, 4] of each day: up called up, down called up, down called down, up called down."""


def movements(returns: np.ndarray, up: float = UP, down: float = DOWN) -> np.ndarray:
    """1 for simple returns above `up`, 0 for those of `down` and below, NaN between.

    >>> movements(np.array([0.006, 0.0055, -0.004, -0.005]))
    array([ 1., nan, nan,  0.])
    """
    returns = np.asarray(returns, np.float64)
    return np.where(returns > up, 1.0, np.where(returns <= down, 0.0, np.nan))


def daily_counts(movement: np.ndarray, calls: np.ndarray) -> Counts:
    """What became of the calls of each day.

    movement: [T, S]. calls: [..., T, S], with any axes before, such as seeds.
    """
    calls, movement = np.asarray(calls), np.asarray(movement)
    if calls.dtype != bool or calls.shape[-2:] != movement.shape:
        wanted = f"of bool and shape [..., {movement.shape[0]}, {movement.shape[1]}]"
        raise ParameterError(must_be("calls", wanted, (calls.dtype.name, calls.shape)))
    rose, fell = movement == 1, movement == 0
    cells = (rose & calls, fell & calls, fell & ~calls, rose & ~calls)
    return np.stack([cell.sum(axis=-1) for cell in cells], axis=-1)


def accuracy(counts: Counts) -> np.ndarray:
    """The share of right calls of all days, [...] for counts [..., T, 4]; NaN without any.

    >>> float(accuracy(np.array([[2, 1, 1, 0], [0, 0, 0, 1]])))
    0.6
    """
    true_up, _, true_down, _ = _sums(counts)
    total = np.sum(counts, axis=(-2, -1)).astype(np.float64)
    return (true_up + true_down) / np.where(total == 0, np.nan, total)


def mcc(counts: Counts) -> np.ndarray:
    """Matthews' correlation of calls and movements (1975), from -1 to 1; 0 where all calls agree.

    >>> float(mcc(np.array([[2, 1, 1, 0]])))
    0.577
    """
    true_up, false_up, true_down, false_down = _sums(counts)
    product = (true_up + false_up) * (true_up + false_down)
    product = product * (true_down + false_up) * (true_down + false_down)
    scale = np.sqrt(np.where(product == 0, 1.0, product))
    return (true_up * true_down - false_up * false_down) / scale


def interval(
    metric: Callable[[Counts], np.ndarray],
    counts: Counts,
    *,
    coverage: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """A bootstrap interval (Efron 1979) for a metric over days, and over seeds where there are any.

    counts: [T, 4], or [K, T, 4] of K models that differ in their seed. Each draw takes T days and
    K models with replacement, and the mean of the metric over those models. It is an interval for
    the mean of models like these on days like these.
    """
    if not 0 < coverage < 1:
        raise ParameterError(must_be("coverage", "above 0 and below 1", coverage))
    counts = np.asarray(counts)
    counts = counts if counts.ndim == 3 else counts[None]
    models, days, _ = counts.shape
    rng = np.random.default_rng(seed)
    found = np.empty(draws)
    for draw in range(draws):
        weights = np.bincount(rng.integers(days, size=days), minlength=days)
        values = metric(weights[None, :, None] * counts)
        found[draw] = np.mean(values[rng.integers(models, size=models)])
    tail = (1 - coverage) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def majority(movement: np.ndarray, days: int) -> np.ndarray:
    """Calls [days, S]: the more frequent movement of a training part [T, S], for all."""
    return np.full((days, np.shape(movement)[1]), bool(np.nanmean(movement) >= 0.5))


def momentum(returns: np.ndarray) -> np.ndarray:
    """Calls [T, S]: the direction of the day before; down where that is unknown."""
    calls = np.zeros(np.shape(returns), bool)
    calls[1:] = np.asarray(returns)[:-1] > 0
    return calls


def _sums(counts: Counts) -> tuple[np.ndarray, ...]:
    sums = np.sum(counts, axis=-2).astype(np.float64)
    return tuple(sums[..., cell] for cell in range(4))
