"""Rolling-origin backtest: many forecasts from the past, the baselines beside the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
from grukit.evaluation.metrics import by_step, score, seasonal_naive_scale
from grukit.results import Evaluation


def baselines(season: int) -> tuple[Baseline, ...]:
    """The rules that every forecaster is shown beside."""
    return (LastValue(), SeasonalNaive(season), WindowMean())


def fit_baselines(
    encoded: Encoded,
    origins: np.ndarray,
    lookback: int,
    horizon: int,
    season: int,
    levels: Sequence[float],
) -> tuple[FittedBaseline, ...]:
    """Every baseline with the residual quantiles of its training windows."""
    history, truth, series = _windows(encoded, origins, max(lookback, season), horizon)
    scale = series_scales(encoded, season)[series]
    return tuple(
        fit_baseline(baseline, history, truth, scale, levels) for baseline in baselines(season)
    )


def series_scales(encoded: Encoded, season: int) -> np.ndarray:
    """float64 [S]: each series' own seasonal naive error, the unit of MASE and of residuals."""
    return np.array(
        [
            seasonal_naive_scale(encoded.target[start:stop], season)
            for start, stop in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
        ]
    )


def backtest(
    name: str,
    encoded: Encoded,
    origins: np.ndarray,
    quantiles: np.ndarray,
    fitted: Sequence[FittedBaseline],
    scales: Mapping[str, float],
    lookback: int,
    season: int,
    levels: Sequence[float],
) -> Evaluation:
    """Score the quantile forecasts [N, H, Q] made at `origins`, and the baselines there.

    scales: of the series, learned in training; another series takes the scale of what lies before
        its first origin.
    """
    horizon = quantiles.shape[1]
    history, truth, series = _windows(encoded, origins, max(lookback, season), horizon)
    scale = _known_scales(encoded, origins, season, scales)[series]
    forecasts = [(name, quantiles, None)]
    forecasts += [
        (rule.name, rule.quantiles(history, scale), rule.point(history)) for rule in fitted
    ]
    return Evaluation(
        scores=tuple(
            score(name, truth, answer, levels, scale, point) for name, answer, point in forecasts
        ),
        windows=len(origins),
        observations=int(np.isfinite(truth).sum()),
        horizon=horizon,
        season=season,
        first_origin=encoded.times[origins - 1].min(),
        last_origin=encoded.times[origins - 1].max(),
        by_step={
            name: by_step(truth, answer, levels, scale, point) for name, answer, point in forecasts
        },
    )


def _known_scales(
    encoded: Encoded, origins: np.ndarray, season: int, scales: Mapping[str, float]
) -> np.ndarray:
    known = np.zeros(len(encoded.ids))
    series = encoded.series_of_row[origins]
    for at in np.unique(series):
        name, start = encoded.ids[at], encoded.offsets[at]
        before = encoded.target[start : origins[series == at].min()]
        known[at] = scales.get(name, seasonal_naive_scale(before, season))
    return known


def _windows(
    encoded: Encoded, origins: np.ndarray, history: int, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """History [N, history], NaN before a series began, truth [N, H] and series [N]."""
    series = encoded.series_of_row[origins]
    rows = origins[:, None] + np.arange(-history, 0)
    inside = rows >= encoded.offsets[series][:, None]
    past = np.where(inside, encoded.target[np.maximum(rows, 0)], np.nan)
    return past, encoded.target[origins[:, None] + np.arange(horizon)], series
