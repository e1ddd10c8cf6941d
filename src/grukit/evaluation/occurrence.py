"""Forecasts of events: probabilities of 1 against what happened, 0 or 1.

Shapes: truth and probability [N, H] for N windows; NaN in the truth is a missing value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.data.encoding import Encoded
from grukit.evaluation.backtest import CHUNK, Pool, histories
from grukit.evaluation.baselines import LastValue
from grukit.results import Evaluation, Score

# A probability is taken to be no nearer than this to 0 and 1, so that the log loss is finite.
SUREST = 1e-6


def brier(truth: np.ndarray, probability: np.ndarray) -> float:
    """Mean (p - y)^2, from 0 to 1 (Brier 1950); 0.25 for a constant 0.5.

    >>> brier(np.array([[1.0, 0.0, np.nan]]), np.array([[0.8, 0.4, 0.9]]))
    0.1
    """
    truth, probability = _checked(truth, probability)
    return float(np.nanmean((probability - truth) ** 2))


def log_loss(truth: np.ndarray, probability: np.ndarray) -> float:
    """Mean -log of the probability given to what happened, in nats; log 2 for a constant 0.5.

    >>> log_loss(np.array([[1.0, 0.0]]), np.array([[0.8, 0.4]]))
    0.3669
    """
    truth, probability = _checked(truth, probability)
    probability = probability.clip(SUREST, 1 - SUREST)
    given = np.where(truth == 1, probability, 1 - probability)
    return float(np.nanmean(np.where(np.isnan(truth), np.nan, -np.log(given))))


@dataclass(frozen=True, eq=False)
class OccurrenceBaselines:
    """Probabilities without a model: climatology and persistence.

    Attributes:
        shares: of events in each training series, which climatology answers at every step.
        share: of events in all of them, for another series.
        persistence: float64 [H, 2], the share of events at each step after a last value of 0 or 1.
    """

    shares: Mapping[str, float]
    share: float
    persistence: np.ndarray

    def probabilities(self, history: np.ndarray, series: list[str]) -> dict[str, np.ndarray]:
        """Each baseline's [N, H], from history [N, L] of the series named."""
        climate = np.array([self.shares.get(name, self.share) for name in series])
        last = LastValue().point(history, 1)[:, 0].astype(int)
        return {
            "climatology": np.repeat(climate[:, None], len(self.persistence), axis=1),
            "persistence": self.persistence.T[last],
        }


def fit_occurrence(
    encoded: Encoded, origins: np.ndarray, until: np.ndarray, lookback: int, horizon: int
) -> OccurrenceBaselines:
    """Learn shares from the first `until` [S] rows of each series, persistence from windows.

    Each share counts one event and one non-event more than there were (Laplace), so that nothing
    is held impossible.
    """
    rows = [
        encoded.target[start : start + seen]
        for start, seen in zip(encoded.offsets[:-1], until, strict=True)
    ]
    history, truth, _ = histories(encoded, origins, lookback, horizon)
    last = LastValue().point(history, 1)
    return OccurrenceBaselines(
        {name: float(_share(seen)) for name, seen in zip(encoded.ids, rows, strict=True)},
        float(_share(np.concatenate(rows))),
        np.stack([_share(np.where(last == value, truth, np.nan)) for value in (0, 1)], axis=-1),
    )


def backtest_occurrence(
    name: str,
    encoded: Encoded,
    origins: np.ndarray,
    forecast: Callable[[np.ndarray], np.ndarray],
    baselines: OccurrenceBaselines,
    lookback: int,
    horizon: int,
    season: int,
) -> Evaluation:
    """Score a model's probabilities beside the baselines'; as `backtest`, by chunks of windows.

    forecast: from n origins to probabilities, float64 [n, H].
    """
    pools: dict[str, Pool] = {}
    observations = 0
    for at in np.split(origins, np.arange(CHUNK, len(origins), CHUNK)):
        history, truth, series = histories(encoded, at, lookback, horizon)
        observations += int(np.isfinite(truth).sum())
        names = [encoded.ids[place] for place in series]
        answers = {name: forecast(at), **baselines.probabilities(history, names)}
        for who, probability in answers.items():
            pools.setdefault(who, Pool()).add(truth, np.ones(len(at)), _by_step(truth, probability))
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


def _by_step(truth: np.ndarray, probability: np.ndarray) -> dict[str, np.ndarray]:
    """Each metric at each step, float64 [H]; NaN at a step observed nowhere."""
    steps = {}
    for metric in (brier, log_loss):
        steps[metric.__name__] = np.array(
            [
                np.nan if np.isnan(y).all() else metric(y[:, None], p[:, None])
                for y, p in zip(truth.T, probability.T, strict=True)
            ]
        )
    return steps


def _share(truth: np.ndarray) -> np.ndarray:
    """Of events along the first axis."""
    return (np.nansum(truth, axis=0) + 1) / (np.isfinite(truth).sum(axis=0) + 2)


def _checked(truth: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, probability = np.asarray(truth, np.float64), np.asarray(probability, np.float64)
    if probability.shape != truth.shape:
        raise ParameterError(must_be("probability", f"of shape {truth.shape}", probability.shape))
    for what, values, bad in (
        ("truth", truth, ~(np.isnan(truth) | (truth == 0) | (truth == 1))),
        ("probability", probability, ~((probability >= 0) & (probability <= 1))),
    ):
        if bad.any():
            wanted = "0, 1 or NaN" if what == "truth" else "between 0 and 1"
            raise ParameterError(must_be(what, wanted, float(values[bad][0])))
    if np.isnan(truth).all():
        raise ParameterError(must_be("truth", "observed somewhere", "missing values alone"))
    return truth, probability
