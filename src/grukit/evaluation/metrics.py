"""Metrics of point and quantile forecasts.

Shapes: truth [N, H], point predictions [N, H], quantiles [N, H, Q], for N windows, H steps and
Q levels. NaN in the truth is a missing value and is left out; each mean runs over all observed
values of all windows together. Everything is computed in float64, one level at a time, so that
beside the arrays given only a few of shape [N, H] are held.

Every metric raises ParameterError if shapes do not fit or a prediction is not finite, and
DataError if the truth is infinite somewhere or observed nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.results import Score, central_coverages, check_levels, level_index


def mae(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean absolute error, mean |y - f|, in units of the data.

    >>> mae(np.array([[1.0, 2.0, np.nan]]), np.array([[2.0, 2.0, 2.0]]))
    0.5
    """
    return _mean(np.abs(_errors(truth, prediction)))


def rmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean squared error, sqrt(mean (y - f)^2), in units of the data."""
    return float(np.sqrt(_mean(_errors(truth, prediction) ** 2)))


def mase(truth: np.ndarray, prediction: np.ndarray, scale: np.ndarray) -> float:
    """Mean absolute scaled error, mean |y - f| / scale, without unit (Hyndman & Koehler 2006).

    `scale` [N] is the in-sample error of the seasonal naive forecast of each window's series
    (`seasonal_naive_scale`). Windows of scale 0, from constant series, have no scaled error and
    are left out; DataError if there are no others.
    """
    errors = np.abs(_errors(truth, prediction))
    scale = check_scale(scale, len(errors))
    scaled = scale > 0
    if np.isnan(errors[scaled]).all():
        raise DataError("MASE must have an observed value in a series that is not constant")
    return _mean(errors[scaled] / scale[scaled, None])


def seasonal_naive_scale(history: np.ndarray, season: int = 1) -> np.ndarray:
    """Mean |y[t] - y[t - season]| of each series over its observed pairs, in units of the data.

    Takes [..., T] with NaN for missing values and gives float64 [...]. A series without a pair
    that far apart is scaled by its pairs of neighbours, and one without any by 0.
    """
    if season < 1:
        raise ParameterError(must_be("season", "an integer of at least 1", season))
    history = np.asarray(history, np.float64)
    scale = np.full(history.shape[:-1], np.nan)
    for lag in (season, 1):
        differences = np.abs(history[..., lag:] - history[..., :-lag])
        pairs = np.isfinite(differences).sum(axis=-1)
        mean = np.nansum(differences, axis=-1) / np.maximum(pairs, 1)
        scale = np.where(np.isnan(scale) & (pairs > 0), mean, scale)
    return np.where(np.isnan(scale), 0.0, scale)


def check_scale(scale: np.ndarray, windows: int) -> np.ndarray:
    """The scales as float64 [N]; ParameterError unless finite and not negative, one a window."""
    scale = np.asarray(scale, np.float64)
    if scale.shape != (windows,):
        raise ParameterError(must_be("scale", f"of shape ({windows},)", scale.shape))
    bad = ~(np.isfinite(scale) & (scale >= 0))
    if bad.any():
        raise ParameterError(must_be("scale", "finite and not negative", float(scale[bad][0])))
    return scale


def smape(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Symmetric mean absolute percentage error, mean 200 |y - f| / (|y| + |f|), from 0 to 200 %.

    The form of the M3 and M4 competitions (Makridakis & Hibon 2000), with absolute values in the
    denominator; 0 where truth and prediction are both 0.
    """
    errors = np.abs(_errors(truth, prediction))
    size = np.abs(truth) + np.abs(prediction)
    return 200 * _mean(errors / np.where(size == 0, 1.0, size))


def pinball(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> float:
    """Mean pinball (quantile) loss over observed values and levels, in units of the data.

    At level a: max(a (y - q), (a - 1) (y - q)) (Koenker & Bassett 1978; Gneiting & Raftery 2007).
    """
    return float(np.mean(_pinball_by_level(truth, quantiles, check_levels(levels))))


def crps(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> float:
    """Continuous ranked probability score, in units of the data (Gneiting & Raftery 2007).

    CRPS is the integral over levels in (0, 1) of twice the pinball loss. Here it is a weighted sum
    in which each level stands for the part of (0, 1) nearest to it: the trapezoid rule between the
    levels, the loss of the outermost ones continued to 0 and 1. With levels symmetric around 0.5
    the score of a point mass is exactly its MAE. For a normal distribution with the true quantiles,
    the levels 0.025, 0.1, 0.25, 0.5 and their mirrors give 3 % less than the closed form, the
    nine levels 0.1 to 0.9 5 % more, and 99 even ones 0.1 % more.
    """
    levels = check_levels(levels)
    middles = (np.array(levels[1:]) + levels[:-1]) / 2
    weights = np.diff(middles, prepend=0.0, append=1.0)
    return 2 * float(weights @ _pinball_by_level(truth, quantiles, levels))


def coverage(truth: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of the observed values within [lower, upper], from 0 to 1."""
    above, below = _errors(truth, lower), _errors(truth, upper)
    return _mean(np.where(np.isnan(above), np.nan, (above >= 0) & (below <= 0)))


def score(
    name: str,
    truth: np.ndarray,
    quantiles: np.ndarray,
    levels: Sequence[float],
    scale: np.ndarray,
    point: np.ndarray | None = None,
) -> Score:
    """Every metric of one forecaster, in the order of `Score`.

    `point` [N, H] is the point forecast, the median if not given. MASE is NaN when no series with
    an observed value has a positive scale.
    """
    levels = check_levels(levels)
    if point is None:
        point = quantiles[..., level_index(levels, 0.5)]
    metrics = {"mae": mae(truth, point), "rmse": rmse(truth, point)}
    try:
        metrics["mase"] = mase(truth, point, scale)
    except DataError:
        metrics["mase"] = float("nan")
    metrics["smape"] = smape(truth, point)
    metrics["pinball"] = pinball(truth, quantiles, levels)
    metrics["crps"] = crps(truth, quantiles, levels)
    for nominal in central_coverages(levels):
        lower, upper = (
            quantiles[..., level_index(levels, (1 + side * nominal) / 2)] for side in (-1, 1)
        )
        metrics[f"coverage_{100 * nominal:g}"] = coverage(truth, lower, upper)
    return Score(name, metrics)


def by_step(
    truth: np.ndarray,
    quantiles: np.ndarray,
    levels: Sequence[float],
    scale: np.ndarray,
    point: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Every metric of `score` at each step, float64 [H]; NaN at a step observed nowhere."""
    rows = []
    for step in range(truth.shape[1]):
        at = slice(step, step + 1)
        if np.isnan(truth[:, at]).all():
            rows.append({})
            continue
        own = None if point is None else point[:, at]
        rows.append(score("", truth[:, at], quantiles[:, at], levels, scale, own).metrics)
    names = max(rows, key=len)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def _errors(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """truth - prediction, float64 [N, H], NaN where the truth is missing."""
    truth, prediction = np.asarray(truth, np.float64), np.asarray(prediction, np.float64)
    if truth.ndim != 2:
        raise ParameterError(must_be("truth", "of shape [N, H]", truth.shape))
    if prediction.shape != truth.shape:
        raise ParameterError(must_be("prediction", f"of shape {truth.shape}", prediction.shape))
    finite = np.isfinite(prediction)
    if not finite.all():
        raise ParameterError(must_be("prediction", "finite", float(prediction[~finite][0])))
    if np.isinf(truth).any():
        raise DataError(must_be("truth", "finite, or NaN where it is missing", float("inf")))
    if np.isnan(truth).all():
        raise DataError(must_be("truth", "observed somewhere", "missing values alone"))
    return truth - prediction


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values))


def _pinball_by_level(
    truth: np.ndarray, quantiles: np.ndarray, levels: tuple[float, ...]
) -> np.ndarray:
    """Mean pinball loss of each level, float64 [Q]."""
    if quantiles.ndim != 3 or quantiles.shape[-1] != len(levels):
        raise ParameterError(
            must_be("quantiles", f"of shape [N, H, {len(levels)}]", quantiles.shape)
        )
    losses = np.empty(len(levels))
    for index, level in enumerate(levels):
        errors = _errors(truth, quantiles[..., index])
        losses[index] = _mean(np.maximum(level * errors, (level - 1) * errors))
    return losses
