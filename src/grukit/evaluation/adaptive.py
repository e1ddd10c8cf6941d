"""Intervals that go on covering when the world changes: conformal calibration while a stream runs.

Each quantile's distance from the median is stretched by a factor of its own for each series, step
and level. Whenever a truth arrives, it is held against the forecasts that were made for it: where
it lies beyond a quantile the factor grows, otherwise it shrinks a little, so that the share beyond
tends to what the level says. With a miss as 1 or 0, m the share of misses that the level wants and
eta the rate,

    log factor <- log factor + eta * (miss - m)

This is adaptive conformal inference (Gibbs and Candes 2021, arXiv:2106.00170) in the form that
tracks the quantile itself (Angelopoulos, Candes and Tibshirani 2023, arXiv:2307.16895), on the
logarithm of a factor, so that it is the same in every unit. Summing the line above over T truths
bounds the miscoverage whatever the data do: the share of misses among them is within
log(100) / (eta T) of m, as long as the factor stays within its bounds, 0.1 and 10. Misses are those
of the factor in use when a truth arrives; the interval that was issued for step h had the factor of
h steps before, so that for later steps the bound holds only as far as the factor changes slowly.
Beside split calibration, which it multiplies, it needs no held-out windows and never becomes stale.

The truth of step h arrives h steps after the forecast; until then nothing of it is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer, number
from grukit.data.encoding import Encoded
from grukit.evaluation.calibration import LARGEST, SMALLEST, stretched
from grukit.results import check_levels, level_index

# Where the spread triples, intervals cover to within 3 points again after 200 steps; where nothing
# changes, wavering costs 0.9 % of the pinball loss (normal errors; 0.05: 350 steps and 0.45 %).
RATE = 0.1


class AdaptiveIntervals:
    """The factors of S series while their streams run, in step.

    >>> intervals = AdaptiveIntervals(levels=(0.1, 0.5, 0.9), horizon=2)
    >>> quantiles = np.array([[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0]]])  # one series, two steps
    >>> for truth in [3.0, -3.0, 3.0, -3.0] * 50:
    ...     forecast = intervals.calibrated(quantiles)
    ...     intervals.observe(truth)
    >>> forecast[0, 0].round()  # now the truth lies within
    array([-3., 0., 3.])

    levels: Q quantile levels, rising, 0.5 among them.
    horizon: H, steps of each forecast.
    series: S.
    rate: eta; a larger one adapts sooner and wavers more.

    After each step: ``factors``, float64 [S, H, Q], 1 for the median.
    """

    def __init__(
        self, levels: Sequence[float], horizon: int, series: int = 1, rate: float = RATE
    ) -> None:
        check(
            {"horizon": horizon, "series": series, "rate": rate},
            {
                "horizon": integer(at_least=1),
                "series": integer(at_least=1),
                "rate": number(above=0, below=1),
            },
        )
        self.levels = check_levels(levels)
        self._median = level_index(self.levels, 0.5)
        self._misses = np.minimum(self.levels, 1 - np.array(self.levels))
        self._rate = rate
        self.factors = np.ones((series, horizon, len(self.levels)))
        self._waiting: deque[np.ndarray | None] = deque([None] * horizon, maxlen=horizon)

    def calibrated(self, quantiles: np.ndarray) -> np.ndarray:
        """The quantiles of the forecast made now, [S, H, Q], stretched and still in order.

        It is remembered as this step's forecast, in the place of an earlier one of the same step.
        """
        quantiles = np.asarray(quantiles, np.float64)
        if quantiles.shape != self.factors.shape:
            wanted = f"of shape {self.factors.shape}"
            raise ParameterError(must_be("quantiles", wanted, quantiles.shape))
        self._waiting[0] = quantiles
        return stretched(quantiles, self.factors, self.levels)

    def observe(self, truth: np.ndarray | float) -> None:
        """The truth of this step arrives, [S], NaN where it is missing; the next step begins."""
        truth = np.atleast_1d(np.asarray(truth, np.float64))
        if truth.shape != self.factors.shape[:1]:
            raise ParameterError(
                must_be("truth", f"of shape {self.factors.shape[:1]}", truth.shape)
            )
        made = {step: past[:, step] for step, past in enumerate(self._waiting) if past is not None}
        if made:
            steps, quantiles = list(made), np.stack(list(made.values()), axis=1)
            self.factors[:, steps] = self._adapted(self.factors[:, steps], quantiles, truth)
        self._waiting.appendleft(None)

    def _adapted(self, factors: np.ndarray, made: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """The factors [S, n, Q] after a truth [S] for which quantiles [S, n, Q] had been given."""
        median = made[..., [self._median]]
        distance = made - median
        error = truth[:, None, None] - median
        miss = error * np.sign(distance) > factors * np.abs(distance)
        grown = factors * np.exp(self._rate * (miss - self._misses))
        usable = np.isfinite(error) & (distance != 0)
        return np.where(usable, grown.clip(SMALLEST, LARGEST), factors)


def adaptive(
    forecast: Callable[[np.ndarray], np.ndarray],
    encoded: Encoded,
    levels: Sequence[float],
    horizon: int,
) -> Callable[[np.ndarray], np.ndarray]:
    """`forecast` with intervals adapted, at each origin, to what had been observed by then.

    forecast: from n origins to quantiles, float64 [n, H, Q]. Origins must come series by series,
        each in order of time, in one or several calls, as `backtest` makes them.
    """
    series_of_row = encoded.series_of_row
    intervals = AdaptiveIntervals(levels, horizon)
    row = 0

    def adapted(origins: np.ndarray) -> np.ndarray:
        nonlocal intervals, row
        answers = []
        for origin, quantiles in zip(origins, forecast(origins), strict=True):
            if series_of_row[origin] != series_of_row[row]:
                intervals, row = AdaptiveIntervals(levels, horizon), origin
            for truth in encoded.target[row:origin]:
                intervals.observe(truth)
            row = origin
            answers.append(intervals.calibrated(quantiles[None])[0])
        return np.stack(answers)

    return adapted
