"""What a Forecaster has learned: from encoded series to distributions, paths and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from grukit.core.errors import DataError, ParameterError
from grukit.data.encoding import Encoded, PanelEncoder
from grukit.data.windows import Windows, WindowShape
from grukit.evaluation.adaptive import adaptive
from grukit.evaluation.backtest import backtest, thinned
from grukit.evaluation.baselines import FittedBaseline
from grukit.evaluation.calibration import fit_stretch, stretched
from grukit.evaluation.copula import draw_levels, fit_copula
from grukit.evaluation.occurrence import OccurrenceBaselines, backtest_occurrence
from grukit.nn.heads import in_units
from grukit.nn.recursive import RecursiveForecaster
from grukit.results import Evaluation
from grukit.results.cells import NAMES
from grukit.results.distributions import Bernoulli, Calibrated, Distribution
from grukit.tasks.forecast_families import Family
from grukit.tasks.forecast_network import Network, answer
from grukit.tasks.forecast_recursion import PATHS, WINDOWS_AT_ONCE, of_samples, sampled

_BATCH = 1024
# Enough to stop training by and to calibrate on; each costs as many sequences as it has paths.
_RECURSIVE_ORIGINS = 500


@dataclass(frozen=True, eq=False)
class ForecastModel:
    """Everything that forecasts and scores need, without the user's table.

    Attributes:
        network: in eval mode.
        encoder: from panels to numbers.
        shape: of the windows.
        levels: Q quantile levels.
        season: steps of one season, for the baselines.
        baselines: with the residuals of the training windows.
        scales: the seasonal naive error of each training series.
        context: the last lookback of each training series.
        series_column: what the user calls it; None where the table was one series.
        trained_until: the last time of the training data.
        stretch: float64 [H, Q], or [N, H, Q] for N origins, calibrates the distance of each
            quantile from the median; ones for counts and events.
        family: of the distributions that it answers with.
        occurrence: the baselines of events; None for any other target.
        copula: float64 [H, H], how the steps hang together; None where no windows were held out.
    """

    network: Network
    encoder: PanelEncoder
    shape: WindowShape
    levels: tuple[float, ...]
    season: int
    baselines: tuple[FittedBaseline, ...]
    scales: Mapping[str, float]
    context: Encoded
    series_column: str | None
    trained_until: np.datetime64
    stretch: np.ndarray
    family: Family
    occurrence: OccurrenceBaselines | None = None
    copula: np.ndarray | None = None

    def calibrated(self, encoded: Encoded, origins: np.ndarray) -> ForecastModel:
        """This model with intervals that cover as they should at `origins`, thinned.

        Those of counts and events stay as they are: stretched, they would not be whole numbers.
        """
        if not self.family.continuous:
            return self
        origins = thinned(origins)
        truth = encoded.target[origins[:, None] + np.arange(self.shape.horizon)]
        factors = fit_stretch(truth, self.quantiles(encoded, origins), self.levels)
        return replace(self, stretch=self.stretch * factors)

    def validated(self, encoded: Encoded, origins: np.ndarray) -> tuple[ForecastModel, Evaluation]:
        """This model calibrated at `origins`, with its copula, and its scores there.

        The scores of the earlier half are those of intervals calibrated on the later half, and the
        other way round, so that no coverage is right by construction.
        """
        if self.recursive:
            origins = thinned(origins, _RECURSIVE_ORIGINS)
        if not self.family.continuous:
            return self._joined(encoded, origins), self.score(encoded, origins)
        times = encoded.times[origins]
        middle = np.sort(times)[len(times) // 2]
        early = times < middle
        of_early, of_late = (
            self.calibrated(encoded, origins[other]) if other.any() else self
            for other in (~early, early)
        )

        def forecast(at: np.ndarray) -> np.ndarray:
            early = (encoded.times[at] < middle)[:, None, None]
            stretch = np.where(early, of_early.stretch, of_late.stretch)
            return replace(self, stretch=stretch).quantiles(encoded, at)

        model = self.calibrated(encoded, origins)._joined(encoded, origins)
        return model, self.score(encoded, origins, forecast)

    def _joined(self, encoded: Encoded, origins: np.ndarray) -> ForecastModel:
        """This model with the copula of what happened at `origins`, thinned.

        The steps of a recursive model hang together as it goes.
        """
        if self.recursive:
            return self
        origins = thinned(origins)
        truth = encoded.target[origins[:, None] + np.arange(self.shape.horizon)][..., None]
        known = self.distribution(encoded, origins)
        probability = known.cdf(truth)
        if not self.family.continuous:
            share = np.random.default_rng(0).random(truth.shape)
            probability -= share * (probability - known.cdf(truth - 1))
        return replace(self, copula=fit_copula(probability[..., 0]))

    def paths(self, encoded: Encoded, origins: np.ndarray, count: int, seed: int) -> np.ndarray:
        """Sample paths, float64 [N, M, H] in units of the data.

        Raises ParameterError for a direct model without a copula.
        """
        random = np.random.default_rng(seed)
        if self.recursive:
            draws = draw_levels(np.eye(self.shape.horizon), len(origins), count, random)
            values = self._samples(encoded, origins, draws)
            known = self.distribution(encoded, origins)
            if isinstance(known, Calibrated):
                values = known.moved(values)
            return values.swapaxes(1, 2)
        if self.copula is None:
            raise ParameterError(
                "simulate needs a model whose validation windows told how steps hang together, got "
                "one without: fit it with validation, to the end"
            )
        levels = draw_levels(self.copula, len(origins), count, random)
        values = self.distribution(encoded, origins).quantile(levels.swapaxes(1, 2))
        return values.swapaxes(1, 2)

    def quantiles(self, encoded: Encoded, origins: np.ndarray) -> np.ndarray:
        """float64 [N, H, Q] in units of the data; DataError if not finite."""
        return self.distribution(encoded, origins).quantile(self.levels)

    def distribution(self, encoded: Encoded, origins: np.ndarray) -> Distribution:
        """Calibrated, in units of the data, for each of [N, H]; DataError if not finite."""
        raw = self._raw(encoded, origins)
        if not self.family.continuous:
            return raw
        before = raw.quantile(self.levels)
        return Calibrated(raw, before, stretched(before, self.stretch, self.levels))

    def probabilities(self, encoded: Encoded, origins: np.ndarray) -> np.ndarray:
        """Of events, float64 [N, H]; DataError if not finite."""
        events = self.distribution(encoded, origins)
        assert isinstance(events, Bernoulli)
        return events.probability

    @property
    def recursive(self) -> bool:
        """Whether its forecasts are made of sample paths, step by step."""
        return isinstance(self.network, RecursiveForecaster)

    def _samples(self, encoded: Encoded, origins: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """float64 [N, H, M] of a recursive model, from levels [N or 1, M, H]."""
        assert isinstance(self.network, RecursiveForecaster)
        windows, parts = Windows(encoded, origins, self.shape), []
        for indices in torch.arange(len(origins)).split(WINDOWS_AT_ONCE):
            own = draws if len(draws) == 1 else draws[indices.numpy()]
            batch = windows.batch(indices)
            parts.append(sampled(self.network, self.family, batch, self.levels, own))
        return _finite(np.concatenate(parts))

    def _raw(self, encoded: Encoded, origins: np.ndarray) -> Distribution:
        if self.recursive:
            # The same draws for every window, so that a forecast depends on its window alone.
            random = np.random.default_rng(0)
            draws = draw_levels(np.eye(self.shape.horizon), 1, PATHS, random)
            return of_samples(self.family, self._samples(encoded, origins, draws))
        windows = Windows(encoded, origins, self.shape)
        parts = []
        with torch.no_grad():
            for indices in torch.arange(len(origins)).split(_BATCH):
                batch = windows.batch(indices)
                scaled = answer(self.network, batch).cpu().double()
                spread = batch.spread[:, None]
                base = batch.center[:, None] + spread * batch.base
                parts.append(
                    in_units(scaled, self.family.kinds, spread[..., None], base[..., None])
                )
        return self.family.answer(_finite(torch.cat(parts).numpy()), np.array(self.levels))

    def score(
        self,
        encoded: Encoded,
        origins: np.ndarray,
        forecast: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> Evaluation:
        """The model beside the baselines; `forecast` stands in for its own quantiles."""
        if self.occurrence is not None:
            return backtest_occurrence(
                self._name,
                encoded,
                origins,
                lambda at: self.probabilities(encoded, at),
                self.occurrence,
                self.shape.lookback,
                self.shape.horizon,
                self.season,
            )
        return backtest(
            self._name,
            encoded,
            origins,
            forecast or (lambda at: self.quantiles(encoded, at)),
            self.baselines,
            self.scales,
            self.shape.lookback,
            self.shape.horizon,
            self.season,
            self.levels,
        )

    def adaptive(self, encoded: Encoded) -> Callable[[np.ndarray], np.ndarray]:
        """From origins to quantiles whose intervals adapt to what was observed by then."""
        return adaptive(
            lambda at: self.quantiles(encoded, at), encoded, self.levels, self.shape.horizon
        )

    @property
    def _name(self) -> str:
        return f"grukit {NAMES[self.network.cell]}"


def _finite(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DataError(
            "the forecast must be finite, got values that are not: the data lies too far from "
            "what was trained on; check its units, or train on data like it"
        )
    return values
