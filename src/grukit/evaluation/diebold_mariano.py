"""Whether one forecaster is better than another, or was merely luckier."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require


class DieboldMariano(NamedTuple):
    """The mean of loss - other, in units of the loss, its statistic, and the two-sided p-value."""

    difference: float
    statistic: float
    p_value: float


def diebold_mariano(loss: np.ndarray, other: np.ndarray, horizon: int = 1) -> DieboldMariano:
    """The test of Diebold and Mariano (1995) for equal accuracy, with small samples in mind.

    loss, other: [T], the losses of two forecasters at the same times. Of many series take the mean
    over series at each time: their errors of one day are no independent evidence. `horizon` is the
    number of steps ahead; losses h steps ahead are correlated over h - 1 steps.

    The statistic is d / sqrt((g_0 + 2 sum_{k<h} g_k) / T) for the mean difference d with
    autocovariances g, times sqrt((T + 1 - 2h + h(h-1)/T) / T), and is compared with Student's t of
    T - 1 degrees of freedom (Harvey, Leybourne and Newbold 1997). Below 0 `loss` is the smaller.

    >>> rng = np.random.default_rng(0)
    >>> good, bad = rng.normal(1.0, 0.1, 100), rng.normal(1.1, 0.1, 100)
    >>> diebold_mariano(good, bad).p_value < 0.01
    True

    Raises ParameterError for losses of other shapes, not finite, too few for the horizon, or that
    never differ.
    """
    loss, other = np.asarray(loss, np.float64), np.asarray(other, np.float64)
    if loss.ndim != 1 or loss.shape != other.shape:
        raise ParameterError(must_be("losses", "of one shape [T]", (loss.shape, other.shape)))
    differences = loss - other
    if not np.isfinite(differences).all():
        raise ParameterError("losses must be finite, got others; leave these times out")
    count = len(differences)
    if not 1 <= horizon < count / 2:
        wanted = f"at least 1 and less than half of the {count} times"
        raise ParameterError(must_be("horizon", wanted, horizon))
    mean = differences.mean()
    centred = differences - mean
    covariances = [centred[lag:] @ centred[: count - lag] / count for lag in range(horizon)]
    variance = (covariances[0] + 2 * sum(covariances[1:])) / count
    if variance <= 0:
        # Autocovariances may add up to less than 0; those of one step cannot (DM 1995, 1.1).
        variance = covariances[0] / count
    # Below this, differences are equal but for the rounding of the losses.
    rounding = (8 * np.finfo(np.float64).eps * np.abs([loss, other]).max()) ** 2 / count
    if variance <= rounding:
        raise ParameterError("losses must differ by more than a constant, got none that do")
    small = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    statistic = float(mean / np.sqrt(variance) * np.sqrt(small))
    tail = require("scipy.stats").t.sf(abs(statistic), df=count - 1)
    return DieboldMariano(float(mean), statistic, float(2 * tail))
