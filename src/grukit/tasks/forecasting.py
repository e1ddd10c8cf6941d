"""Forecasting: from a table of series to quantiles of what comes next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch

from grukit.core.errors import DataError, Interrupted, ModelFolderError, ParameterError, must_be
from grukit.core.model_folder import read_model_folder, write_model_folder
from grukit.core.rules import check, each, integer, number, one_of, optional, text
from grukit.data.calendar import as_time, show_time
from grukit.data.encoding import Encoded, PanelEncoder
from grukit.data.frames import Columns, Panel, to_panel
from grukit.data.windows import (
    WINDOW_COLUMNS,
    WINDOW_SCALE_COLUMNS,
    WindowBatch,
    Windows,
    check_lengths,
    origins,
)
from grukit.evaluation.backtest import backtest, baselines, fit_baselines, series_scales
from grukit.evaluation.baselines import FittedBaseline
from grukit.nn.encoder_decoder import DirectForecaster
from grukit.results import Columns as AnswerColumns
from grukit.results import Evaluation, Forecast, check_levels
from grukit.tasks.base import Estimator
from grukit.tasks.model_card import model_card
from grukit.training.fit import FitConfig, LossSum, fit
from grukit.training.losses import pinball_loss

if TYPE_CHECKING:
    from grukit.plots.forecast import ForecastDisplay

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
_BATCH = 1024
_RULES = {
    "horizon": integer(at_least=1),
    "lookback": optional(integer(at_least=1)),
    "time": text(),
    "target": text(),
    "series": optional(text()),
    "freq": optional(text()),
    "past_covariates": each(text()),
    "future_covariates": each(text()),
    "static_covariates": each(text()),
    "levels": each(number(above=0, below=1), at_least=1),
    "hidden_size": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "dropout": number(at_least=0, below=1),
    "scaling": one_of("series", "window"),
    "differencing": integer(at_least=0),
    "seed": integer(at_least=0),
}


class Forecaster(Estimator):
    """Forecasts many series at once, as quantiles, with one GRU.

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
    lookback: how many steps back to look; by default the larger of three seasons and the horizon.
    time, target, series: names of these columns; without a series column there is one series.
    freq: the step, as a pandas frequency ("h", "D", "B", "MS", ...); inferred by default.
    past_covariates: columns known up to the present; future_covariates: known ahead as well;
        static_covariates: properties of a series. Numbers or categories.
    levels: quantile levels of the answer, 0.5 among them.
    hidden_size, num_layers, dropout: of the GRU and the decoder that follows it.
    scaling: "series" standardizes by the mean and spread of each series in training; "window" by
        those of the window itself, for series whose level wanders.
    differencing: forecast the change from the last value of the same phase this many steps before:
        1 for the last value, the season for the last season; 0 forecasts the value.
    training: how to train.
    seed: decides initial weights, batch order and dropout; the same seed gives the same model.

    After ``fit``: ``network_``, ``history_`` (losses of each epoch), ``report_`` (what the data
    lacked), ``validation_`` (the model beside baselines on the windows that training was stopped
    by, None without), ``lookback_``, ``season_`` and ``trained_until_``, the last time seen.
    """

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
        levels: Sequence[float] = LEVELS,
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.0,
        scaling: str = "series",
        differencing: int = 0,
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
        self.levels = levels
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.scaling = scaling
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
    ) -> Forecaster:
        """Learn from a table, and return self.

        data: a frame or the path of a CSV or Parquet file.
        validation: what training is stopped by and never learns from: the last share of the rows
            in time, or every row from a time on; None trains for all epochs.
        checkpoint, resume: see `grukit.training.fit.fit`.

        Raises DataError if the data cannot be used as it is, ParameterError for arguments outside
        their rules, DivergenceError if the loss is no longer finite, and Interrupted after Ctrl-C
        or SIGTERM, with the best weights so far in this estimator.
        """
        self._check_params()
        panel = to_panel(data, self._columns, self.freq)
        cutoff = _cutoff(panel, validation)
        self._encoder = PanelEncoder.fit(panel if cutoff is None else panel.before(cutoff))
        encoded = self._encoder.encode(panel)
        self.season_ = panel.calendar.season
        self.lookback_ = self.lookback or max(3 * self.season_, self.horizon)
        if self.differencing > self.lookback_:
            wanted = f"at most lookback, {self.lookback_}"
            raise ParameterError(must_be("differencing", wanted, self.differencing))
        check_lengths(encoded, self.lookback_ + self.horizon, "lookback + horizon")
        self.report_ = panel.report
        self.trained_until_ = panel.times.max()
        self._context = encoded.tail(self.lookback_)
        self._series_column = panel.columns.series

        cut = None if cutoff is None else _rows_before(encoded, cutoff)
        learn = self._origins(encoded, "training", to_row=cut)
        judge = None if cut is None else self._origins(encoded, "validation", from_row=cut)
        learned = encoded if cutoff is None else self._encoder.encode(panel.before(cutoff))
        self._scales = dict(
            zip(learned.ids, series_scales(learned, self.season_).tolist(), strict=True)
        )
        self._baselines = fit_baselines(
            encoded, learn, self.lookback_, self.horizon, self.season_, self.levels
        )

        network = self._new_network()
        try:
            result = fit(
                network,
                self._loss,
                self._windows(encoded, learn),
                None if judge is None else self._windows(encoded, judge),
                self.training,
                seed=self.seed,
                checkpoint=checkpoint,
                resume=resume,
                settings=self._settings(),
            )
        except Interrupted:
            self.network_ = network
            raise
        self.network_ = network
        self.history_ = result.history
        self.validation_ = None if judge is None else self._score(encoded, judge)
        self._card = model_card(self, panel, result)
        return self

    def predict(self, data: Any = None, future: Any = None) -> Forecast:
        """Quantiles of the `horizon` steps after the data.

        data: the recent past of the same or other series, at least `lookback_` rows each; None
            goes on from the end of the training data.
        future: a table of the known-future covariates at the steps forecast.

        Raises DataError if the data does not reach back far enough, or a known-future covariate
        is missing.
        """
        self._check_fitted()
        context, series_column = self._context, self._series_column
        if data is not None:
            panel = to_panel(data, self._columns, self._encoder.calendar.freq)
            check_lengths(self._encoder.encode(panel), self.lookback_, "lookback")
            context = self._encoder.encode(panel).tail(self.lookback_)
            series_column = panel.columns.series
        ahead = None
        if future is not None:
            ahead = to_panel(
                future, self._columns, self._encoder.calendar.freq, target_required=False
            )
        known = self._encoder.encode_future(ahead, context, self.horizon)
        extended = context.extended(self.horizon, known)
        at = extended.offsets[1:] - self.horizon
        return Forecast(
            series=context.ids,
            times=extended.times[at[:, None] + np.arange(self.horizon)],
            levels=tuple(self.levels),
            values=self._quantiles(extended, at),
            columns=AnswerColumns(series_column, self.time, self.target),
        )

    def evaluate(self, data: Any, *, start: Any = None, stride: int = 1) -> Evaluation:
        """A rolling-origin backtest beside last value, seasonal naive and window mean.

        data: a table with the lookback before the first origin and the truth after it.
        start: the first time forecast; by default the first after the training data.
        stride: steps from one origin to the next.

        Raises DataError if no window of the data has its horizon at `start` or later.
        """
        self._check_fitted()
        check({"stride": stride}, {"stride": integer(at_least=1)})
        panel = to_panel(data, self._columns, self._encoder.calendar.freq)
        encoded = self._encoder.encode(panel)
        first = self._encoder.calendar.after(self.trained_until_, 1)[0] if start is None else start
        if panel.times.max() < as_time(first, "start"):
            raise DataError(
                f"the data must go on after {show_time(first)}, got rows up to "
                f"{show_time(panel.times.max())}; give later data, or an earlier start"
            )
        at = self._origins(
            encoded,
            "evaluation",
            from_row=_rows_before(encoded, as_time(first, "start")),
            stride=stride,
        )
        return self._score(encoded, at)

    def plot(
        self, forecast: Forecast, data: Any = None, *, unit: str | None = None, title: str = ""
    ) -> ForecastDisplay:
        """A picture of a forecast, with the history before it and, where `data` has it, the truth.

        data: the table that holds them; by default the end of the training data.
        """
        from grukit.plots.forecast import ForecastDisplay

        self._check_fitted()
        context = self._context
        if data is not None:
            context = self._encoder.encode(
                to_panel(data, self._columns, self._encoder.calendar.freq)
            )
        history, truth = {}, np.full(forecast.times.shape, np.nan)
        for row, name in enumerate(forecast.series):
            if name not in context.ids:
                continue
            at = context.ids.index(name)
            rows = slice(int(context.offsets[at]), int(context.offsets[at + 1]))
            times, target = context.times[rows], context.target[rows]
            before = times < forecast.times[row, 0]
            history[name] = (times[before], target[before])
            place = np.searchsorted(times, forecast.times[row]).clip(max=len(times) - 1)
            truth[row] = np.where(times[place] == forecast.times[row], target[place], np.nan)
        return ForecastDisplay(
            forecast,
            history,
            None if np.isnan(truth).all() else truth,
            unit=unit,
            title=title or None,
        )

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch; an error or a crash leaves an older one whole."""
        self._check_fitted()
        tensors = {
            f"network.{name}": value.detach().cpu().contiguous()
            for name, value in self.network_.state_dict().items()
        }
        for name in _CONTEXT_ARRAYS:
            array = getattr(self._context, name)
            if array.dtype.kind == "M":
                array = array.astype("datetime64[us]").view(np.int64)
            tensors[f"context.{name}"] = torch.as_tensor(np.ascontiguousarray(array))
        for fitted in self._baselines:
            tensors[f"baseline.{fitted.name}"] = torch.as_tensor(fitted.residuals)
        config = {
            "task": "forecast",
            "settings": self._settings(),
            "training": None if self.training is None else _jsonable(asdict(self.training)),
            "encoder": self._encoder.to_config(),
            "lookback": self.lookback_,
            "season": self.season_,
            "trained_until": str(self.trained_until_),
            "series_column": self._series_column,
            "series": list(self._context.ids),
            "scales": self._scales,
        }
        write_model_folder(path, config, safetensors.torch.save(tensors), {"README.md": self._card})

    @classmethod
    def load(cls, path: str | Path) -> Forecaster:
        """The forecaster in a model folder.

        Raises ModelFolderError if the folder is missing, damaged, written by a newer grukit, or
        of another task.
        """
        folder = read_model_folder(path)
        config = folder.config
        if config.get("task") != "forecast":
            raise ModelFolderError(
                must_be(f"the task of the model in {path}", "'forecast'", config.get("task"))
            )
        try:
            return cls._restore(config, safetensors.torch.load(folder.weights), folder.texts)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise ModelFolderError(f"the model folder {path} is damaged: {error}") from error

    @classmethod
    def _restore(
        cls, config: dict[str, Any], tensors: dict[str, torch.Tensor], texts: dict[str, str]
    ) -> Forecaster:
        training = config["training"]
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config["settings"].items()
        }
        self = cls(**settings, training=None if training is None else FitConfig(**training))
        self._check_params()
        self._encoder = PanelEncoder.from_config(config["encoder"])
        self.lookback_, self.season_ = int(config["lookback"]), int(config["season"])
        self.trained_until_ = np.datetime64(config["trained_until"], "us")
        self._series_column = config["series_column"]
        self._scales = {name: float(scale) for name, scale in config["scales"].items()}
        arrays = {name: tensors[f"context.{name}"].numpy() for name in _CONTEXT_ARRAYS}
        arrays["times"] = arrays["times"].view("datetime64[us]")
        self._context = Encoded(
            calendar=self._encoder.calendar, ids=tuple(config["series"]), **arrays
        )
        self._baselines = tuple(
            FittedBaseline(rule, tuple(self.levels), tensors[f"baseline.{rule.name}"].numpy())
            for rule in baselines(self.season_)
        )
        self.network_ = self._new_network()
        self.network_.load_state_dict(
            {
                name.removeprefix("network."): value
                for name, value in tensors.items()
                if name.startswith("network.")
            }
        )
        self.network_.eval()
        self._card = texts["README.md"]
        return self

    @property
    def _columns(self) -> Columns:
        return Columns(
            time=self.time,
            target=self.target,
            series=self.series,
            past=tuple(self.past_covariates),
            future=tuple(self.future_covariates),
            static=tuple(self.static_covariates),
        )

    def _check_params(self) -> None:
        check(vars(self), _RULES)
        if 0.5 not in check_levels(self.levels):
            raise ParameterError(must_be("levels", "a list with 0.5 in it", tuple(self.levels)))

    def _settings(self) -> dict[str, Any]:
        """The constructor's arguments but `training`, as JSON values."""
        return _jsonable({k: v for k, v in self.get_params().items() if k != "training"})

    def _new_network(self) -> DirectForecaster:
        encoder = self._encoder
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return DirectForecaster(
                past_size=WINDOW_COLUMNS + encoder.past_width + encoder.known_width,
                known_size=encoder.known_width,
                static_size=encoder.static_width
                + (WINDOW_SCALE_COLUMNS if self.scaling == "window" else 0),
                horizon=self.horizon,
                levels=self.levels,
                hidden_size=self.hidden_size,
                num_layers=self.num_layers,
                dropout=self.dropout,
            )

    def _windows(self, encoded: Encoded, at: np.ndarray) -> Windows:
        return Windows(
            encoded,
            at,
            lookback=self.lookback_,
            horizon=self.horizon,
            scale_by_window=self.scaling == "window",
            differencing=self.differencing,
        )

    def _origins(self, encoded: Encoded, purpose: str, **bounds: Any) -> np.ndarray:
        found = origins(encoded, self.lookback_, self.horizon, **bounds)
        if not len(found):
            raise DataError(
                f"the {purpose} part of the data must hold at least one window of "
                f"{self.lookback_} steps of lookback and {self.horizon} of horizon with something "
                "observed in both, got none; lower them, give more data, or change the split"
            )
        return found

    def _loss(self, network: DirectForecaster, batch: WindowBatch) -> LossSum:
        change = network(batch.past, batch.future, batch.static)
        levels = torch.tensor(self.levels, dtype=change.dtype, device=change.device)
        return pinball_loss(change, batch.target - batch.base, levels, batch.observed)

    def _quantiles(self, encoded: Encoded, at: np.ndarray) -> np.ndarray:
        """float64 [N, H, Q] in units of the data."""
        windows = self._windows(encoded, at)
        network = self.network_.eval()
        device = next(network.parameters()).device
        parts = []
        with torch.no_grad():
            for indices in torch.arange(len(at)).split(_BATCH):
                batch = windows.batch(indices)
                inputs = (batch.past, batch.future, batch.static)
                scaled = network(*(part.to(device) for part in inputs)).cpu().double()
                scaled = scaled + batch.base[..., None]
                parts.append(batch.center[:, None, None] + batch.spread[:, None, None] * scaled)
        values = torch.cat(parts).numpy()
        if not np.isfinite(values).all():
            raise DataError(
                "the forecast is not finite: the data lies too far from what was trained on"
            )
        return values

    def _score(self, encoded: Encoded, at: np.ndarray) -> Evaluation:
        return backtest(
            "grukit GRU",
            encoded,
            at,
            self._quantiles(encoded, at),
            self._baselines,
            self._scales,
            self.lookback_,
            self.season_,
            self.levels,
        )


_CONTEXT_ARRAYS = (
    "offsets",
    "times",
    "target",
    "past",
    "known",
    "static",
    "center",
    "spread",
)


def _cutoff(panel: Panel, validation: Any) -> np.datetime64 | None:
    """The time from which rows are for validation."""
    if validation is None:
        return None
    if isinstance(validation, (int, float)) and not isinstance(validation, bool):
        check({"validation": validation}, {"validation": number(above=0, below=1)})
        times = np.sort(panel.times)
        return times[int(len(times) * (1 - validation))]
    return as_time(validation, "validation")


def _rows_before(encoded: Encoded, time: np.datetime64) -> np.ndarray:
    """int64 [S]: how many rows of each series are earlier than `time`."""
    return np.array(
        [
            np.searchsorted(encoded.times[start:stop], time)
            for start, stop in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
        ]
    )


def _jsonable(values: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values, default=str))
