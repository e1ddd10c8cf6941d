"""Forecasts without learning, each with honest intervals, that a model has to beat.

A baseline is a rule for a point forecast. Fitting measures how far the rule was off at each step
on training windows; the quantiles of these residuals, put around the point, make it a peer of a
probabilistic model in pinball loss, CRPS and coverage. Series may lie on different scales:
residuals are pooled in units of each series' own scale, the one MASE divides by.

Shapes: history [N, L] with NaN for missing values, truth [N, H], scale [N], for N windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.rules import check, integer
from grukit.evaluation.metrics import check_scale
from grukit.results import check_levels


class Baseline(Protocol):
    """A rule that continues a window of history."""

    @property
    def name(self) -> str:
        """What a table calls it."""
        ...

    def point(self, history: np.ndarray, horizon: int) -> np.ndarray:
        """Continue history [N, L] by [N, horizon]; DataError if a window has nothing observed."""
        ...


@dataclass(frozen=True)
class LastValue:
    """The last observed value, for every step.

    >>> LastValue().point(np.array([[1.0, 3.0, np.nan]]), horizon=2)
    array([[3., 3.]])
    """

    name = "last value"

    def point(self, history: np.ndarray, horizon: int) -> np.ndarray:
        last = _last_observed(_check_history(history))
        return np.repeat(last[:, None], horizon, axis=1)


@dataclass(frozen=True)
class SeasonalNaive:
    """The last observed value at the same phase of the season.

    A step whose phase is observed nowhere in the window takes the last observed value.

    >>> SeasonalNaive(season=2).point(np.array([[1.0, 2.0, 3.0, np.nan]]), horizon=3)
    array([[3., 2., 3.]])
    """

    season: int

    name = "seasonal naive"

    def __post_init__(self) -> None:
        check({"season": self.season}, {"season": integer(at_least=1)})

    def point(self, history: np.ndarray, horizon: int) -> np.ndarray:
        history = _check_history(history)
        windows, lookback = history.shape
        point = np.empty((windows, horizon))
        last = _last_observed(history)
        for step in range(min(self.season, horizon)):
            same_phase = history[:, (lookback + step) % self.season :: self.season]
            value = _last_observed(same_phase)
            value = np.where(np.isnan(value), last, value)
            point[:, step :: self.season] = value[:, None]
        return point


@dataclass(frozen=True)
class WindowMean:
    """The mean of the observed values of the window, for every step.

    >>> WindowMean().point(np.array([[1.0, 3.0, np.nan]]), horizon=2)
    array([[2., 2.]])
    """

    name = "window mean"

    def point(self, history: np.ndarray, horizon: int) -> np.ndarray:
        mean = np.nanmean(_check_history(history), axis=1)
        return np.repeat(mean[:, None], horizon, axis=1)


@dataclass(frozen=True, eq=False)
class FittedBaseline:
    """A baseline with the residual quantiles of its training windows.

    Attributes:
        baseline: the rule.
        levels: Q quantile levels, rising.
        residuals: float64 [H, Q], quantiles of (truth - point) / scale at each step.
    """

    baseline: Baseline
    levels: tuple[float, ...]
    residuals: np.ndarray

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.baseline.name

    def point(self, history: np.ndarray) -> np.ndarray:
        """The rule's own forecast, float64 [N, H]."""
        return self.baseline.point(history, len(self.residuals))

    def quantiles(self, history: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Quantile forecasts, float64 [N, H, Q], in units of the data.

        At scale 0, of a series that never changed in training, every quantile is the point.
        """
        point = self.point(history)
        scale = check_scale(scale, len(point))
        return point[:, :, None] + scale[:, None, None] * self.residuals


def fit_baseline(
    baseline: Baseline,
    history: np.ndarray,
    truth: np.ndarray,
    scale: np.ndarray,
    levels: Sequence[float],
) -> FittedBaseline:
    """Measure the residual quantiles of `baseline` at each step of training windows.

    Windows with nothing observed, windows of scale 0 and missing true values are left out. If all
    series have scale 0, so has every interval. DataError if a step has no residual otherwise.

    >>> history, truth = np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([[4.0], [5.0]])
    >>> fitted = fit_baseline(LastValue(), history, truth, scale=np.ones(2), levels=[0.5])
    >>> fitted.quantiles(np.array([[10.0, 20.0]]), scale=np.ones(1))
    array([[[21.5]]])
    """
    levels = check_levels(levels)
    history, truth = np.asarray(history, np.float64), np.asarray(truth, np.float64)
    if history.ndim != 2:
        raise ParameterError(must_be("history", "of shape [N, L]", history.shape))
    if truth.ndim != 2 or len(truth) != len(history):
        raise ParameterError(must_be("truth", f"of shape [{len(history)}, H]", truth.shape))
    scale = check_scale(scale, len(history))
    horizon = truth.shape[1]
    if not scale.any():
        return FittedBaseline(baseline, levels, np.zeros((horizon, len(levels))))
    usable = (scale > 0) & np.isfinite(history).any(axis=1)
    point = baseline.point(history[usable], horizon)
    scaled = (truth[usable] - point) / scale[usable, None]
    residuals = np.empty((horizon, len(levels)))
    for step in range(horizon):
        observed = scaled[np.isfinite(scaled[:, step]), step]
        if not observed.size:
            raise DataError(
                f"training windows must have an observed value at every step of the horizon, "
                f"got none at step {step + 1} of {horizon}; lower the horizon or give more data"
            )
        residuals[step] = np.quantile(observed, levels)
    return FittedBaseline(baseline, levels, residuals)


def _last_observed(history: np.ndarray) -> np.ndarray:
    """The last value of each row that is not NaN, [N]; NaN where there is none."""
    if not history.shape[1]:
        return np.full(len(history), np.nan)
    back = np.argmax(np.isfinite(history[:, ::-1]), axis=1)
    return history[np.arange(len(history)), history.shape[1] - 1 - back]


def _check_history(history: np.ndarray) -> np.ndarray:
    history = np.asarray(history, np.float64)
    if history.ndim != 2:
        raise ParameterError(must_be("history", "of shape [N, L]", history.shape))
    empty = np.isnan(history).all(axis=1)
    if empty.any():
        raise DataError(
            f"history must have an observed value in every window, got none in {empty.sum()} of "
            f"{len(history)}, the first at index {np.argmax(empty)}; leave these windows out"
        )
    return history
