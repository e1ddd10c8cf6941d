"""Forecasts of tomorrow's variance, and how they are scored.

Shapes: [T, S] for T trading days and S stocks, NaN where a variance is unknown; a forecast at row t
uses rows before t alone.
"""

from __future__ import annotations

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.evaluation.walk_forward import Split

HAR_DAYS = (1, 5, 22)
"""A day, a week and a month of trading (Corsi 2009)."""


def qlike(variance: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """The loss v / f - log(v / f) - 1 of each forecast, without unit; 0 where it is right.

    Patton 2011, "Volatility forecast comparison using imperfect volatility proxies": with it and
    with the squared error alone, a noisy but unbiased measure of the variance ranks forecasts as
    the true variance would. Too low a forecast costs more than one too high by the same factor.

    >>> qlike(np.array([1.0, 2.0, 2.0]), np.array([1.0, 1.0, 4.0])).round(3)
    array([0.   , 0.307, 0.193])

    NaN where the variance is; ParameterError for another shape, for a variance or a forecast of a
    known variance that is not positive and finite.
    """
    variance, forecast = np.asarray(variance, np.float64), np.asarray(forecast, np.float64)
    if forecast.shape != variance.shape:
        raise ParameterError(must_be("forecast", f"of shape {variance.shape}", forecast.shape))
    known = ~np.isnan(variance)
    for name, values in (("variance", variance), ("forecast", forecast)):
        wrong = known & ~((values > 0) & np.isfinite(values))
        if wrong.any():
            raise ParameterError(must_be(name, "positive and finite", float(values[wrong][0])))
    ratio = variance / forecast
    return ratio - np.log(ratio) - 1


def ewma_forecast(variance: np.ndarray, decay: float = 0.94) -> np.ndarray:
    """The exponentially weighted mean: f_t = decay f_{t-1} + (1 - decay) v_{t-1}.

    0.94 is that of RiskMetrics (J.P. Morgan 1996) for daily data. A stock starts from its first
    known variance, before which the forecast is NaN; unknown days change nothing.

    >>> ewma_forecast(np.array([[1.0], [2.0], [2.0]])).ravel()
    array([ nan, 1.  , 1.06])
    """
    if not 0 < decay < 1:
        raise ParameterError(must_be("decay", "above 0 and below 1", decay))
    variance = np.asarray(variance, np.float64)
    forecast = np.empty_like(variance)
    state = np.full(variance.shape[1:], np.nan)
    for day, now in enumerate(variance):
        forecast[day] = state
        moved = np.where(np.isnan(state), now, decay * state + (1 - decay) * now)
        state = np.where(np.isnan(now), state, moved)
    return forecast


def har_regressors(values: np.ndarray) -> np.ndarray:
    """[T, S, 3]: the means of the 1, 5 and 22 days before each day.

    Corsi 2009, "A simple approximate long-memory model of realized volatility". A mean needs half
    of its days.
    """
    values = np.asarray(values, np.float64)
    return np.stack([_mean_before(values, days) for days in HAR_DAYS], axis=-1)


def least_squares(
    regressors: np.ndarray, target: np.ndarray, split: Split, *, pooled: bool = False
) -> np.ndarray:
    """Fitted and forecast values [T, S] of a linear regression on the split's training rows.

    regressors: [T, S, K], known before the target [T, S]. A constant is added. Each stock has its
    own coefficients, or with `pooled` one set for all, and its own mean in training as another
    regressor (the mean over stocks for one without training rows). NaN where a regressor is, and
    for a stock with fewer than 10 training rows a coefficient.
    """
    days, stocks, _ = regressors.shape
    if pooled:
        seen = target[split.train]
        known = ~np.isnan(seen)
        overall = np.nanmean(seen)
        own = np.where(known, seen, 0).sum(0) / np.maximum(known.sum(0), 1)
        own = np.where(known.any(0), own, overall)
        own = np.broadcast_to(own[:, None], (days, stocks, 1))
        regressors = np.concatenate([regressors, own], axis=-1)
    design = np.concatenate([np.ones((days, stocks, 1)), regressors], axis=-1)
    usable = ~np.isnan(design).any(axis=-1) & ~np.isnan(target)
    usable[: split.train.start] = False
    usable[split.train.stop :] = False
    if pooled:
        return design @ _coefficients(design[usable], target[usable])
    fitted = np.full(target.shape, np.nan)
    for stock in range(stocks):
        rows = usable[:, stock]
        beta = _coefficients(design[rows, stock], target[rows, stock])
        fitted[:, stock] = design[:, stock] @ beta
    return fitted


def from_log(log_forecast: np.ndarray, log_variance: np.ndarray, split: Split) -> np.ndarray:
    """Forecasts of the variance from those of its logarithm, unbiased on the training rows.

    The exponential of a mean is below the mean of the exponential. The factor that mends it is the
    mean of v / exp(f) over the training rows (Duan 1983, "Smearing estimate"), which of all factors
    has the least QLIKE there.
    """
    ratio = np.exp(log_variance[split.train] - log_forecast[split.train])
    if np.isnan(ratio).all():
        raise ParameterError("log_forecast must have a value in the training rows, got none")
    return np.exp(log_forecast) * np.nanmean(ratio)


def _mean_before(values: np.ndarray, days: int) -> np.ndarray:
    known = ~np.isnan(values)
    sums = _sum_before(np.where(known, values, 0.0), days)
    counts = _sum_before(known.astype(np.float64), days)
    enough = counts >= (days + 1) // 2
    return np.where(enough, sums / np.maximum(counts, 1), np.nan)


def _sum_before(values: np.ndarray, days: int) -> np.ndarray:
    total = np.cumsum(np.pad(values, ((days + 1, 0), (0, 0))), axis=0)
    return total[days:-1] - total[: -days - 1]


def _coefficients(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    if len(target) < 10 * design.shape[1]:
        return np.full(design.shape[1], np.nan)
    return np.linalg.lstsq(design, target)[0]
