"""Rolling-origin backtest: many forecasts from the past, the baselines beside the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from grukit.data.encoding import Encoded
from grukit.evaluation.baselines import (
    Baseline,
    FittedBaseline,
    LastValue,
    SeasonalNaive,
    WindowMean,
    fit_baseline,
)
from grukit.evaluation.metrics import by_step, seasonal_naive_scale
from grukit.results import Evaluation, Score

# Windows held at once; and as many as settle the quantiles of their errors.
CHUNK, ENOUGH = 4096, 20_000


def baselines(season: int) -> tuple[Baseline, ...]:
    """The rules that every forecaster is shown beside."""
    return (LastValue(), SeasonalNaive(season), WindowMean())


def thinned(origins: np.ndarray, at_most: int | None = None) -> np.ndarray:
    """At most so many of the origins, `ENOUGH` by default, in their order, the same every time.

    By chance and not every n-th: all might fall on one hour of the day.
    """
    at_most = ENOUGH if at_most is None else at_most
    if len(origins) <= at_most:
        return origins
    chosen = np.random.default_rng(0).choice(len(origins), at_most, replace=False, shuffle=False)
    return origins[np.sort(chosen)]


def fit_baselines(
    encoded: Encoded,
    origins: np.ndarray,
    scales: np.ndarray,
    lookback: int,
    horizon: int,
    season: int,
    levels: Sequence[float],
) -> tuple[FittedBaseline, ...]:
    """Every baseline with the residual quantiles of its training windows, thinned.

    scales: float64 [S], from `series_scales`.
    """
    origins = thinned(origins)
    history, truth, series = histories(encoded, origins, max(lookback, season), horizon)
    return tuple(
        fit_baseline(baseline, history, truth, scales[series], levels)
        for baseline in baselines(season)
    )


def series_scales(encoded: Encoded, season: int, until: np.ndarray) -> np.ndarray:
    """float64 [S]: each series' own seasonal naive error, the unit of MASE and of residuals.

    until: int64 [S], how many rows of each series may be looked at.
    """
    return np.array(
        [
            seasonal_naive_scale(encoded.target[start : start + rows], season)
            for start, rows in zip(encoded.offsets[:-1], until, strict=True)
        ]
    )


def backtest(
    name: str,
    encoded: Encoded,
    origins: np.ndarray,
    forecast: Callable[[np.ndarray], np.ndarray],
    fitted: Sequence[FittedBaseline],
    scales: Mapping[str, float],
    lookback: int,
    horizon: int,
    season: int,
    levels: Sequence[float],
) -> Evaluation:
    """Score a model, and the baselines, at `origins`; only `CHUNK` windows are held at once.

    forecast: from n origins to their quantiles, float64 [n, H, Q].
    scales: of the series, learned in training; another series takes the scale of what lies before
        its first origin.
    """
    scale_of_series = _known_scales(encoded, origins, season, scales)
    pools = {who: Pool() for who in (name, *(rule.name for rule in fitted))}
    observations = 0
    for at in np.split(origins, np.arange(CHUNK, len(origins), CHUNK)):
        history, truth, series = histories(encoded, at, max(lookback, season), horizon)
        scale = scale_of_series[series]
        observations += int(np.isfinite(truth).sum())
        pools[name].add(truth, scale, by_step(truth, forecast(at), levels, scale))
        for rule in fitted:
            quantiles, point = rule.quantiles(history, scale), rule.point(history)
            pools[rule.name].add(truth, scale, by_step(truth, quantiles, levels, scale, point))
    return Evaluation(
        scores=tuple(Score(who, pool.overall()) for who, pool in pools.items()),
        windows=len(origins),
        observations=observations,
        horizon=horizon,
        season=season,
        first_origin=encoded.times[origins - 1].min(),
        last_origin=encoded.times[origins - 1].max(),
        by_step={who: pool.by_step() for who, pool in pools.items()},
    )


class Pool:
    """The mean of each metric over chunks of windows, each step weighted by its observations.

    RMSE is pooled as its square; MASE counts the windows of positive scale alone.
    """

    def __init__(self) -> None:
        self.totals: dict[str, np.ndarray] = {}
        self.weights: dict[str, np.ndarray] = {}

    def add(self, truth: np.ndarray, scale: np.ndarray, steps: Mapping[str, np.ndarray]) -> None:
        """Metrics [H] of the windows with this truth [N, H] and these scales [N]."""
        observed = np.isfinite(truth)
        for metric, values in steps.items():
            weight = observed[scale > 0].sum(axis=0) if metric == "mase" else observed.sum(axis=0)
            means = values**2 if metric == "rmse" else values
            total = np.where(weight > 0, weight * means, 0.0)
            self.totals[metric] = self.totals.get(metric, 0.0) + total
            self.weights[metric] = self.weights.get(metric, 0) + weight

    def by_step(self) -> dict[str, np.ndarray]:
        """Each metric at each step, float64 [H]; NaN where nothing was observed."""
        return {
            metric: _mean(metric, total, self.weights[metric])
            for metric, total in self.totals.items()
        }

    def overall(self) -> dict[str, float]:
        """Each metric over all steps."""
        return {
            metric: float(_mean(metric, total.sum(), self.weights[metric].sum()))
            for metric, total in self.totals.items()
        }


def _mean(metric: str, total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    mean = np.where(weight > 0, total / np.maximum(weight, 1), np.nan)
    return np.sqrt(mean) if metric == "rmse" else mean


def _known_scales(
    encoded: Encoded, origins: np.ndarray, season: int, scales: Mapping[str, float]
) -> np.ndarray:
    first = np.full(len(encoded.ids), len(encoded.times))
    np.minimum.at(first, encoded.series_of(origins), origins)
    before = np.minimum(first, encoded.offsets[1:]) - encoded.offsets[:-1]
    own = series_scales(encoded, season, before)
    return np.array([scales.get(name, scale) for name, scale in zip(encoded.ids, own, strict=True)])


def histories(
    encoded: Encoded, origins: np.ndarray, history: int, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """History [N, history], NaN before a series began, truth [N, H] and series [N]."""
    series = encoded.series_of(origins)
    rows = origins[:, None] + np.arange(-history, 0)
    inside = rows >= encoded.offsets[series][:, None]
    past = np.where(inside, encoded.target[np.maximum(rows, 0)], np.nan)
    return past, encoded.target[origins[:, None] + np.arange(horizon)], series
