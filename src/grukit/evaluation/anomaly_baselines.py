"""Detectors that every other must beat."""

from __future__ import annotations

import math

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer


def random_scores(rows: int, seed: int = 0) -> np.ndarray:
    """Scores that know nothing, uniform in [0, 1), float64 [T].

    >>> random_scores(2).round(2)
    array([0.64, 0.27])
    """
    return np.random.default_rng(seed).random(rows)


def windowed_gaussian(values: np.ndarray, window: int = 6400, step: int = 100) -> np.ndarray:
    """How far each value lies out in a normal distribution fitted to those before it.

    The baseline of NAB (Lavin & Ahmad 2015), with the window that did best there. The score of a
    value x is 1 - P(X > |x|), measured from the mean, with mean and standard deviation of all
    values before it; once there are `window` of them, of a window that moves on in steps of `step`
    rows. So a score is 0.5 in the middle and 1 far out; the first is 0. Of several channels it is
    the largest. A missing value scores 0 and is left out.

    values: [T] or [T, C], NaN where missing. Returns float64 [T].

    >>> windowed_gaussian(np.array([1.0, 2.0, 1.0, 2.0, 9.0])).round(2)
    array([0.  , 1.  , 0.84, 0.92, 1.  ])
    """
    natural = integer(at_least=1)
    check({"window": window, "step": step}, {"window": natural, "step": natural})
    values = np.asarray(values, np.float64)
    if values.ndim not in (1, 2) or np.isinf(values).any():
        raise ParameterError(
            must_be("values", "finite or NaN, of shape [T] or [T, C]", values.shape)
        )
    if values.ndim == 1:
        return _one_channel(values, window, step)
    channels = [_one_channel(channel, window, step) for channel in values.T]
    return np.max([np.zeros(len(values)), *channels], axis=0)


def _one_channel(values: np.ndarray, window: int, step: int) -> np.ndarray:
    scores = np.zeros(len(values))
    known = np.flatnonzero(~np.isnan(values))
    seen = np.ascontiguousarray(values[known])
    mean, deviation = 0.0, 1.0
    for count, value in enumerate(seen.tolist()):
        if count:
            out = abs(value - mean) / deviation
            scores[known[count]] = 1 - 0.5 * math.erfc(out / math.sqrt(2))
        if (beyond := count + 1 - window) > 0 and beyond % step:
            continue
        fitted = seen[max(beyond, 0) : count + 1]
        mean, deviation = fitted.mean(), fitted.std() or 1e-6
    return scores
