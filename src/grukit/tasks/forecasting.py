"""Forecasting: from a table of series to the distribution of what comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from torch import Tensor

from grukit.core.errors import Interrupted, ParameterError, must_be
from grukit.core.model_folder import write_model_folder
from grukit.core.rules import check, flag, integer, number, optional
from grukit.data.frames import Panel
from grukit.data.windows import WindowBatch
from grukit.evaluation.leaks import LIMIT, Lead
from grukit.nn.recursive import RecursiveForecaster
from grukit.results import Columns as AnswerColumns
from grukit.results import Evaluation, Explanation, Forecast, SamplePaths
from grukit.tasks.base import Estimator, settings_of
from grukit.tasks.forecast_backtest import backtest_frame
from grukit.tasks.forecast_card import forecast_card
from grukit.tasks.forecast_explain import explain_forecast
from grukit.tasks.forecast_families import FAMILIES
from grukit.tasks.forecast_folder import from_folder, to_folder
from grukit.tasks.forecast_job import Job, prepare
from grukit.tasks.forecast_leaks import check_forecaster
from grukit.tasks.forecast_model import ForecastModel
from grukit.tasks.forecast_network import Network
from grukit.tasks.forecast_origins import ahead_of, past_origins, read_table
from grukit.tasks.forecast_recursion import recursive_loss
from grukit.tasks.forecast_refit import Refit, check_unchanged, go_on, with_fewer_epochs
from grukit.tasks.forecast_settings import LEVELS, SEED, check_settings, columns_of
from grukit.tasks.forecast_space import forecast_space, reporter
from grukit.tasks.forecast_split import LARGEST_EPOCH
from grukit.tasks.tuning import Tuning, tune
from grukit.training.fit import AfterEpoch, FitConfig, FitResult, LossSum, fit
from grukit.training.learning_rate import LearningRateSearch, find_learning_rate
from grukit.training.progress import Stages

if TYPE_CHECKING:
    from grukit.plots.forecast import ForecastDisplay


class Forecaster(Estimator):
    """Forecasts many series with one recurrent network: a distribution at each step ahead.

    >>> import pandas as pd
    >>> from grukit import FitConfig, Forecaster
    >>> from grukit.data.synthetic import seasonal_series
    >>> data = pd.DataFrame(seasonal_series(count=2, length=240))
    >>> model = Forecaster(horizon=12, lookback=48, hidden_size=8, training=FitConfig(epochs=1))
    >>> forecast = model.fit(data).predict()
    >>> forecast.values.shape  # series, steps, quantiles
    (2, 12, 7)

    The data is long: a row for each series and time, from a pandas, polars or Arrow frame or a
    CSV or Parquet file. Gaps in time and missing values are masked, and counted in ``report_``.

    horizon: how many steps ahead to forecast.
    lookback: how many steps back to look; by default three seasons (from 16 to 336 steps) or the
        horizon, whichever is more, but no more than a third of the longest training series.
    time, target, series: names of these columns; without a series column there is one series.
    freq: the step, as a pandas frequency ("h", "D", "B", "MS", ...); inferred by default.
    past_covariates: columns known up to the present; future_covariates: known ahead as well;
        static_covariates: properties of a series. Numbers or categories.
    issued_at: a column that says from when on the future covariates of a row were known, where they
        are forecasts themselves, issued anew again and again; it is missing in the rows of the
        target. A window reads the newest issue that was out at its last known time, never a later.
    levels: quantile levels of the answer, 0.5 among them.
    distribution: what is learned at each step: "quantiles" of any shape; the parameters of a
        "student_t", for heavy tails, of a "mixture" of three normals, for several peaks, or of a
        "negative_binomial", for counts; or "bernoulli", the probability of a 1 among 0 and 1.
    mode: "direct" forecasts all steps of the horizon at once; "recursive" the next one, and goes on
        from samples of it (DeepAR): slower, and without past covariates.
    network: "steps" reads the lookback step by step, "segments" a whole segment at a time (SegRNN);
        "auto" takes segments from a horizon of 96 steps on.
    segment: how many steps a segment has; by default one season, and never more than the lookback
        or the horizon.
    cell: "gru", "gru_before", "lstm", "rnn" or "mingru" (`grukit.nn.by_name`), or "gru_d" (GRU-D)
        where much of the lookback is missing: what was last observed fades towards the mean as time
        goes by. By steps only, and slower.
    hidden_size, num_layers, dropout: of the recurrent layers and the decoder that follows them.
    series_embedding: the size of a vector learned for each series, 0 for none: what the series have
        in common is learned together, and what one has alone by its vector. A series that training
        never saw gets the mean of them.
    ensemble: how many networks are trained at once, on the same batches; member k begins with the
        weights of seed + k. Their quantiles are averaged (Lichtendahl et al. 2013), and so are the
        parameters of a distribution other than a mixture.
    scaling: "window" standardizes by the mean and spread of the window itself, so that a level that
        wanders or grows is no surprise; "series" by those of the series in training, better where
        the level itself says something, as a temperature does; "last" subtracts the last value
        seen, and leaves the spread of the series: better over long horizons of short lookbacks.
    calendar: whether the network reads the hour of the day, the day of the week and the like: of
        each cycle that training held twice.
    differencing: forecast the change from the last value of the same phase this many steps before:
        1 for the last value, the season for the last season; 0 forecasts the value. By default 1,
        and for counts and events, which are never differenced, 0.
    training: how to train; an epoch draws a million windows where there are more, unless
        ``items_per_epoch`` says otherwise.
    seed: decides initial weights, batch order and dropout; the same seed gives the same model.

    After ``fit`` or ``load``: ``network_``, ``lookback_``, ``season_`` and ``trained_until_``, the
    last time seen. After ``fit`` alone: ``history_`` (losses of each epoch), ``report_`` (what the
    data lacked) and ``validation_`` (the model beside baselines on the windows that training was
    stopped by, None without); after ``refit`` also ``refit_``, the losses before and after it. An
    interrupted ``fit`` leaves the best weights so far, ready for ``predict`` and ``save``, but no
    ``history_`` and no ``validation_``.
    """

    task: ClassVar[str] = "forecast"

    def __init__(
        self,
        horizon: int = 24,
        *,
        lookback: int | None = None,
        time: str = "ds",
        target: str = "y",
        series: str | None = "unique_id",
        freq: str | None = None,
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_covariates: Sequence[str] = (),
        issued_at: str | None = None,
        levels: Sequence[float] = LEVELS,
        distribution: str = "quantiles",
        mode: str = "direct",
        network: str = "auto",
        segment: int | None = None,
        cell: str = "gru",
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        series_embedding: int = 0,
        ensemble: int = 1,
        scaling: str = "window",
        calendar: bool = True,
        differencing: int | None = None,
        training: FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.horizon = horizon
        self.lookback = lookback
        self.time = time
        self.target = target
        self.series = series
        self.freq = freq
        self.past_covariates = past_covariates
        self.future_covariates = future_covariates
        self.static_covariates = static_covariates
        self.issued_at = issued_at
        self.levels = levels
        self.distribution = distribution
        self.mode = mode
        self.network = network
        self.segment = segment
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.series_embedding = series_embedding
        self.ensemble = ensemble
        self.scaling = scaling
        self.calendar = calendar
        self.differencing = differencing
        self.training = training
        self.seed = seed

    def fit(
        self,
        data: Any,
        validation: float | str | np.datetime64 | None = 0.15,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        callback: Callable[[int, float], None] | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> Forecaster:
        """Learn from a table, and return self.

        data: a frame or the path of a CSV or Parquet file.
        validation: what the weights never learn from, but decides when training stops and how wide
            intervals are: the last share of the rows in time, no less than one horizon, or every
            row from a time on. None trains for all epochs and leaves intervals as they come.
        checkpoint, resume, after_epoch: see `grukit.training.fit.fit`.
        callback: called after each epoch with its number and the pinball loss (of events, Brier's)
            on the validation windows, at most 2,000 of them, in units of the data. What it raises
            ends the training and leaves this estimator as it was.

        Raises DataError if the data cannot be used as it is, ParameterError for arguments outside
        their rules, DivergenceError if the loss is no longer finite, and Interrupted after Ctrl-C
        or SIGTERM, with the best weights so far in this estimator.
        """
        job = self._prepare(data, validation)
        watchers = [] if after_epoch is None else [after_epoch]
        if callback is not None:
            watchers.append(reporter(callback, job.model, job.encoded, job.judge))
        try:
            result = fit(
                job.model.network,
                self._loss,
                job.learn,
                job.judged,
                self._fit_config,
                seed=int(self.seed),
                checkpoint=checkpoint,
                resume=resume,
                settings={
                    **{k: v for k, v in self._settings().items() if k != "training"},
                    "data": job.encoded.digest(),
                },
                after_epoch=watchers,
            )
        except Interrupted:
            self._become(job.model, job.panel, None, None)
            raise
        if job.judge is None:
            self._become(job.model, job.panel, result, None)
        else:
            with Stages(self._fit_config.progress) as stage:
                stage(f"scoring {len(job.judge):,} validation windows")
                model, scores = job.model.validated(job.encoded, job.judge)
            self._become(model, job.panel, result, scores)
        return self

    def refit(
        self,
        data: Any,
        validation: float | str | np.datetime64 = 0.15,
        *,
        training: FitConfig | None = None,
    ) -> Forecaster:
        """Go on learning from new rows, from the weights there are, and return self.

        data: a table with the columns and the frequency of the first training, the lookback
            before the new rows included.
        validation: as in `fit`; its rows should be ones that no training has seen.
        training: how; by default as the first time, with a fifth of the epochs.

        Scales, categories and the lookback stay; intervals and baselines are fitted anew. If no
        epoch does better on the validation windows than the weights before, these stay.
        ``refit_`` has both losses. Raises what `fit` does, and then leaves the estimator as it was.
        """
        self._check_fitted()
        check_unchanged(self._settings(), self._trained_with)
        job = self._prepare(data, validation, start=self._model)
        if job.judge is None or (judged := job.judged) is None:
            raise ParameterError(must_be("validation", "a share or a time", validation))
        training = training or with_fewer_epochs(self._fit_config)
        result, refitted = go_on(
            job.model.network, self._loss, job.learn, judged, training, int(self.seed)
        )
        model, scores = job.model.validated(job.encoded, job.judge)
        self._become(model, job.panel, result, scores, refitted)
        return self

    def tune(
        self,
        data: Any,
        space: Callable[[Any], dict[str, Any]] | None = None,
        *,
        trials: int = 20,
        validation: float | str | np.datetime64 = 0.15,
        storage: str | Path | None = None,
    ) -> Tuning:
        """Try settings, and return the best forecaster, fitted, with a table of the trials.

        space: from an optuna trial to the arguments that change, such as ``lambda trial:
            {"hidden_size": trial.suggest_int("hidden_size", 8, 128, log=True)}``. By default
            `grukit.tasks.forecast_space.forecast_space`.

        The score is the pinball loss (of events, Brier's) on the validation windows, in units of
        the data: the last rows of `data`, so hold back later ones to evaluate on. This estimator
        stays as it is. For the other arguments see `grukit.tasks.tuning.tune`; it needs the extra
        "tune".
        """
        check_settings(self)
        return tune(
            self,
            data,
            space or forecast_space(self),
            trials=trials,
            validation=validation,
            storage=storage,
        )

    def find_learning_rate(
        self, data: Any, validation: float | str | np.datetime64 | None = 0.15
    ) -> LearningRateSearch:
        """Try rising learning rates on the training part of the data; the estimator is unchanged.

        Takes and raises what `fit` does; see `grukit.training.learning_rate.find_learning_rate`.
        """
        job = self._prepare(data, validation)
        return find_learning_rate(
            job.model.network, self._loss, job.learn, self.training, seed=int(self.seed)
        )

    def predict(self, data: Any = None, future: Any = None) -> Forecast:
        """Quantiles of the `horizon` steps after the data.

        data: the recent past of the same or other series, at least `lookback_` rows each; None
            goes on from the end of the training data.
        future: a table of the known-future covariates at the steps forecast, or of their issues.

        Raises DataError if the data does not reach back far enough, has nothing observed there,
        or a known-future covariate is missing.
        """
        self._check_fitted()
        encoded, at, about = ahead_of(self._model, columns_of(self), data, future)
        distribution = self._model.distribution(encoded, at)
        levels = self._model.levels
        values = distribution.quantile(levels)
        return Forecast(levels=levels, values=values, distribution=distribution, **about)

    def simulate(
        self, data: Any = None, future: Any = None, *, paths: int = 100, seed: int | None = None
    ) -> SamplePaths:
        """Possible futures of the `horizon` steps after the data, whose steps belong together.

        At each step they have the distribution that `predict` forecasts; how steps move together is
        learned from the validation windows: see `grukit.evaluation.copula`.

        data, future: as for `predict`, which says what is raised.
        paths: how many for each series.
        seed: of the paths; by default the model's own.

        Raises ParameterError for a model that was fitted without validation.
        """
        self._check_fitted()
        rules = {"paths": integer(at_least=1), "seed": optional(SEED)}
        check({"paths": paths, "seed": seed}, rules)
        encoded, at, about = ahead_of(self._model, columns_of(self), data, future)
        values = self._model.paths(encoded, at, paths, self.seed if seed is None else seed)
        return SamplePaths(values=values, **about)

    def explain(
        self, data: Any = None, future: Any = None, *, step: int | None = None, level: float = 0.5
    ) -> Explanation:
        """What each input, at each time, added to the forecast after the data.

        data, future: as for `predict`, which says what is raised.
        step: which step ahead to explain, from 1 to the horizon; by default the mean of all.
        level: which quantile.

        Integrated gradients, against the training means: see `grukit.tasks.forecast_explain`.
        Raises ParameterError for forecasts of counts and events.
        """
        self._check_fitted()
        check({"step": step}, {"step": optional(integer(at_least=1))})
        if step is not None and step > self._model.shape.horizon:
            raise ParameterError(must_be("step", f"at most {self._model.shape.horizon}", step))
        encoded, at, _ = ahead_of(self._model, columns_of(self), data, future)
        return explain_forecast(self._model, encoded, at, step, level, self.target)

    def evaluate(
        self, data: Any, *, start: Any = None, stride: int = 1, adaptive: bool = False
    ) -> Evaluation:
        """A rolling-origin backtest beside last value, seasonal naive and window mean.

        data: a table with the lookback before the first origin and the truth after it.
        start: the first time forecast; by default the first after the training data.
        stride: steps from one origin to the next.
        adaptive: widen and narrow the model's intervals at each origin by how earlier ones have
            covered, as a stream would; see `grukit.evaluation.adaptive`.

        Raises DataError if no window of the data has its horizon at `start` or later.
        """
        self._check_fitted()
        rules = {"stride": integer(at_least=1), "adaptive": flag()}
        check({"stride": stride, "adaptive": adaptive}, rules)
        if adaptive and not self._model.family.continuous:
            wanted = f"False with distribution={self.distribution!r}"
            raise ParameterError(must_be("adaptive", wanted, adaptive))
        model = self._model
        encoded, at, report = past_origins(model, columns_of(self), data, start, stride)
        forecast = model.adaptive(encoded) if adaptive else None
        return replace(model.score(encoded, at, forecast), report=report)

    def backtest(
        self, data: Any, *, start: Any = None, stride: int = 1, backend: str = "pandas"
    ) -> Any:
        """The forecasts that `evaluate` scores, as a long frame, to score them your own way.

        A row for each origin and step: the series, ``origin`` (the last time known), the time
        forecast, the truth (NaN where it is missing), and a column for each level (``q0.5``), or
        ``probability`` of events. Takes and raises what `evaluate` does; `backend` is "pandas",
        "polars" or "pyarrow".
        """
        self._check_fitted()
        check({"stride": stride}, {"stride": integer(at_least=1)})
        encoded, at, _ = past_origins(self._model, columns_of(self), data, start, stride)
        columns = AnswerColumns(self._model.series_column, self.time, self.target)
        return backtest_frame(self._model, encoded, at, columns, backend)

    def check_leaks(self, data: Any, *, limit: float = LIMIT) -> tuple[Lead, ...]:
        """Raise LeakError if a forecast, or a past covariate, knows what comes after its origin.

        data: a table to look at; that of the training will do.
        limit: the largest correlation that a past covariate may have with the target's future,
            beyond what the target's own past tells.

        Returns how well each past covariate tells the target's future. At eight origins forecasts
        must stay the same when later targets and past covariates are changed. Raises DataError if
        the data holds too few windows for either check; see `grukit.evaluation.leaks`.
        """
        self._check_fitted()
        check({"limit": limit}, {"limit": number(above=0)})
        return check_forecaster(self._model, self._read(data), limit)

    def plot(
        self,
        forecast: Forecast,
        data: Any = None,
        *,
        unit: str | None = None,
        title: str | None = None,
    ) -> ForecastDisplay:
        """A picture of a forecast, with the history before it and, where `data` has it, the truth.

        data: the table that holds them; by default the end of the training data.

        Raises ParameterError if there is nothing from before the forecast of a series.
        """
        from grukit.plots.forecast import ForecastDisplay

        self._check_fitted()
        rows = self._model.context if data is None else self._read(data)
        return ForecastDisplay.from_rows(forecast, rows, unit, title)

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch; an error or a crash leaves an older one whole."""
        self._check_fitted()
        config, weights = to_folder(self._model)
        config = {"task": self.task, "settings": self._trained_with, **config}
        write_model_folder(path, config, weights, {"README.md": self._card})

    @classmethod
    def _of_folder(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], texts: dict[str, str]
    ) -> Self:
        # Models of before there was a choice go by steps.
        self = cls(**{"network": "steps", **settings_of(config)})
        check_settings(self)
        self._remember(from_folder(self, config, tensors), texts["README.md"])
        return self

    def _prepare(self, data: Any, validation: Any, start: ForecastModel | None = None) -> Job:
        check_settings(self)
        with Stages(self._fit_config.progress) as stage:
            return prepare(self, data, validation, start, stage)

    def _become(
        self,
        model: ForecastModel,
        panel: Panel,
        result: FitResult | None,
        scores: Evaluation | None,
        refitted: Refit | None = None,
    ) -> None:
        """Take over what was learned; a fit that fails before this leaves the estimator as it was.

        result, scores: None after an interruption, scores also without validation.
        """
        self._remember(model, forecast_card(model, panel, result, scores, refitted))
        self.report_, self.validation_, self.refit_ = panel.report, scores, refitted
        self.history_ = () if result is None else result.history

    def _remember(self, model: ForecastModel, card: str) -> None:
        self._model, self._card, self._trained_with = model, card, self._settings()
        self.network_ = model.network
        self.lookback_, self.season_ = model.shape.lookback, model.season
        self.trained_until_ = model.trained_until

    def _read(self, data: Any) -> Panel:
        return read_table(self._model, columns_of(self), data)

    @property
    def _fit_config(self) -> FitConfig:
        training = self.training or FitConfig()
        return replace(training, items_per_epoch=training.items_per_epoch or LARGEST_EPOCH)

    def _loss(self, network: Network, batch: WindowBatch) -> LossSum:
        family = FAMILIES[self.distribution]
        if isinstance(network, RecursiveForecaster):
            return recursive_loss(network, family, batch, self.levels)
        parameters = network(batch.past, batch.future, batch.static, batch.series)
        loss = family.batch_loss(parameters, batch, self.levels)
        return LossSum(loss.total / (network.models or 1), loss.count)
