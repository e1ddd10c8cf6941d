"""Anomaly detection: from rows of values to scores, alarms, and the channel to blame."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from grukit.core.errors import DataError, Interrupted, must_be
from grukit.core.model_folder import write_model_folder
from grukit.core.rules import Rule, check, each, integer, number, one_of, optional, text
from grukit.evaluation.alarms import POT, SPOT, Conformal, Quantile, Surprise, Threshold
from grukit.evaluation.alarms.tail import FEWEST_KNOWN
from grukit.evaluation.anomaly_metrics import evaluate_detector
from grukit.nn.by_name import LAYER_OF
from grukit.results import AnomalyEvaluation, AnomalyReport
from grukit.results.cells import NAMES
from grukit.tasks.anomaly_card import anomaly_card
from grukit.tasks.anomaly_input import Rows, check_later, default_names, read_row, read_rows
from grukit.tasks.anomaly_model import (
    AnomalyModel,
    AnomalyNetwork,
    TrainingWindows,
    longest_runs,
    loss,
    scales,
)
from grukit.tasks.anomaly_stream import Scored, Stream, shares
from grukit.tasks.base import Estimator, settings_of
from grukit.training.fit import AfterEpoch, FitConfig, fit

if TYPE_CHECKING:
    from grukit.plots.anomaly import AnomalyDisplay

THRESHOLDS = {
    "surprise": Surprise,
    "quantile": Quantile,
    "pot": POT,
    "spot": SPOT,
    "conformal": Conformal,
}
# By default a third of the training rows are quiet after an alarm, and no more than these.
MOST_QUIET_ROWS = 250
# An epoch sees windows this far apart, and at most so many.
_STRIDE, _WINDOWS_PER_EPOCH = 4, 2048
TRAINING = FitConfig(epochs=40, batch_size=32, learning_rate=5e-3, patience=None)
_RULES = {
    "method": one_of("forecast", "autoencoder", "both"),
    "time": optional(text()),
    "channels": Rule(
        "None, or names that differ, at least one",
        lambda value: (
            value is None
            or (each(text(), at_least=1).holds(value) and len(set(value)) == len(value))
        ),
    ),
    "horizons": each(integer(at_least=1), at_least=1),
    "window": integer(at_least=16),
    "threshold": one_of(*THRESHOLDS),
    "risk": number(above=0, below=1),
    "quiet": optional(integer(at_least=0)),
    "memory": integer(at_least=1000),
    "warmup": integer(at_least=FEWEST_KNOWN),
    "cell": one_of(*LAYER_OF),
    "hidden_size": integer(at_least=1),
    "num_layers": integer(at_least=1),
    "training": Rule(
        "None or a FitConfig", lambda value: value is None or isinstance(value, FitConfig)
    ),
    "seed": Rule(
        "an integer of at least 0 and below 2**63",
        lambda value: integer(at_least=0).holds(value) and value < 2**63,
    ),
}


class LatestRow(NamedTuple):
    """What the last `update` found: shares are those of each channel in the score."""

    score: float
    threshold: float
    alarm: bool
    shares: dict[str, float]


class AnomalyDetector(Estimator):
    """Learns what rows usually look like, and scores how unusual each further row is.

    >>> import numpy as np
    >>> from grukit import AnomalyDetector, FitConfig
    >>> random = np.random.default_rng(0)
    >>> wave = np.sin(np.arange(1000) / 5) + random.normal(scale=0.1, size=1000)
    >>> detector = AnomalyDetector(training=FitConfig(epochs=3)).fit(wave[:700])
    >>> scores = [detector.update(value) for value in [*wave[700:], 6.0]]
    >>> scores[-1] > 10, detector.latest_.alarm
    (True, True)

    The rows may have one channel or many, need no labels, and may hold a few anomalies. A score is
    a surprise: -log10 of the chance of a row as unusual, by the errors of the rows before it. It is
    the largest of these surprises, for each channel and, where there are several, for all together:
    at the distance from the middle of training; at the errors of a recurrent network's forecasts
    ("forecast"), or of what a recurrent autoencoder makes of the latest rows ("autoencoder"); and
    at standing still, or having no value, for much longer than ever in training.

    A row of a stream costs the same time and memory however long the stream is, and gets the score
    that it gets in a table. Both PyOD's verbs (`fit`, `decision_function`, `predict`) and river's
    (`score_one`, `learn_one`) work.

    method: "forecast", "autoencoder" or "both".
    time: the column of times of a table, which must rise; None where rows just follow each other.
    channels: the columns to look at; by default all that hold numbers, a column of labels 0 and 1
        too if there is one. Where they are named, rows may hold more.
    horizons: how many rows ahead the forecasts are whose errors count.
    window: rows that the network trains on at a time, and that the autoencoder sees.
    threshold: what makes a score an alarm: "surprise", above -log10 of the risk; "quantile" of the
        training scores; "pot" and "spot", the tail of these fitted by extreme value theory, once or
        on and on; "conformal", by their ranks.
    risk: share of the ordinary rows that may raise an alarm; under "surprise" of each signal, so
        that two or three times as many rows may.
    quiet: rows after an alarm that raise none, unless the score is twice as high; by default a
        third of the training rows, at most 250.
    memory: errors of so many latest rows are what the next is compared with.
    warmup: rows that `learn_one` collects before it fits, if `fit` was not called; more if a fit
        wants more.
    cell: "gru", "gru_before", "lstm", "rnn" or "mingru" (`grukit.nn.by_name`). hidden_size,
        num_layers: of the recurrent layers.
    training: how to train. seed: decides initial weights and batch order.

    After ``fit`` or ``load``: ``network_``, ``channels_``, ``quiet_``. After ``fit`` alone:
    ``decision_scores_`` and ``labels_``, scores and alarms of the training rows, ``history_``
    (losses). After ``update``: ``latest_``.
    """

    task: ClassVar[str] = "anomaly"
    usual_training: ClassVar[FitConfig] = TRAINING

    def __init__(
        self,
        method: str = "both",
        *,
        time: str | None = None,
        channels: Sequence[str] | None = None,
        horizons: Sequence[int] = (1, 8),
        window: int = 32,
        threshold: str = "surprise",
        risk: float = 1e-3,
        quiet: int | None = None,
        memory: int = 10_000,
        warmup: int = 500,
        cell: str = "gru",
        hidden_size: int = 24,
        num_layers: int = 1,
        training: FitConfig | None = None,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.time = time
        self.channels = channels
        self.horizons = horizons
        self.window = window
        self.threshold = threshold
        self.risk = risk
        self.quiet = quiet
        self.memory = memory
        self.warmup = warmup
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.training = training
        self.seed = seed

    def fit(
        self,
        data: Any,
        y: Any = None,
        *,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        """Learn from rows in the order of time, and return self. The stream goes on from there.

        data: numbers [T] or [T, C], NaN where missing; a frame; or a CSV or Parquet file. y is
        ignored, as PyOD has it. checkpoint, resume, after_epoch: see `grukit.training.fit.fit`.

        Raises DataError if the data cannot be used as it is, ParameterError for arguments outside
        their rules, DivergenceError if the loss is no longer finite, and Interrupted after Ctrl-C
        or SIGTERM, with the best weights so far in this detector.
        """
        check(vars(self), _RULES)
        rows = read_rows(data, self.time, self.channels)
        return self._fit(rows, checkpoint, resume, after_epoch)

    def _fit(
        self,
        rows: Rows,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        after_epoch: AfterEpoch | None = None,
    ) -> Self:
        if len(rows.values) < (fewest := self._fewest_rows()):
            raise DataError(
                must_be("the training data", f"of at least {fewest} rows", len(rows.values))
            )
        # A threshold that asks for more rows, or another risk, says so before the training.
        self._new_threshold().fit(np.arange(len(rows.values), dtype=np.float64))
        center, spread = scales(rows.values, rows.channels)
        network = self._new_network(len(rows.channels))
        runs = longest_runs(rows.values)
        model = AnomalyModel(rows.channels, center, spread, runs, network, int(self.window))
        windows = TrainingWindows(model, rows.values, int(self.window), _STRIDE)
        if network.forecaster is not None:
            network.change_scale.copy_(windows.change_scale())
        training = self.training or TRAINING
        if training.items_per_epoch is None and len(windows) > _WINDOWS_PER_EPOCH:
            training = replace(training, items_per_epoch=_WINDOWS_PER_EPOCH)
        try:
            result = fit(
                network,
                loss,
                windows,
                config=training,
                seed=int(self.seed),
                checkpoint=checkpoint,
                resume=resume,
                settings={
                    **{k: v for k, v in self._settings().items() if k != "training"},
                    "data": hashlib.sha256(rows.values.tobytes()).hexdigest()[:16],
                },
                after_epoch=after_epoch,
            )
        except Interrupted:
            self._become(model, rows, ())
            raise
        self._become(model, rows, result.history)
        return self

    def decision_function(self, data: Any) -> np.ndarray:
        """The score of each row, float64 [T], as those of a new stream. Changes nothing."""
        return self._batch(data, goes_on=False)[1].scores

    def predict(self, data: Any) -> np.ndarray:
        """1 in each row that raises an alarm, else 0: int64 [T]. Changes nothing."""
        return self._batch(data, goes_on=False)[1].alarms.astype(np.int64)

    def detect(self, data: Any, goes_on: bool = False) -> AnomalyReport:
        """Scores, alarms and the channels to blame, for each row of a table. Changes nothing.

        goes_on: whether the rows follow those seen last, in training or by `update`; otherwise they
            are a new stream, whose first rows have nothing to be compared with.

        Raises DataError if the table lacks a channel, or its times do not rise.
        """
        rows, scored = self._batch(data, goes_on)
        return AnomalyReport(
            times=np.arange(len(rows.values)) if rows.times is None else rows.times,
            channels=rows.channels,
            scores=scored.scores,
            threshold=scored.levels,
            alarms=scored.alarms,
            contributions=shares(scored.surprises),
            time=self.time or "row",
        )

    def plot(
        self, report: AnomalyReport, data: Any, labels: Any = None, title: str | None = None
    ) -> AnomalyDisplay:
        """A picture of what `detect` found in these rows; labels: bool [T], where known."""
        from grukit.plots.anomaly import AnomalyDisplay

        self._check_fitted()
        values = read_rows(data, self.time, self.channels_).values
        return AnomalyDisplay(report, values, labels, title)

    def update(self, row: Any) -> float:
        """Judge the next row of the stream, and learn from it.

        row: a number, C numbers, or a mapping from channel to number, with the time if there is
            one; None and NaN are missing.

        Raises DataError for a row with other channels, that is infinite, or not later than the
        last; the stream stays as it was.
        """
        self._check_fitted()
        scored = self._advance(self._row(row))
        (share,) = shares(scored.surprises)
        self.latest_ = LatestRow(
            float(scored.scores[0]),
            float(scored.levels[0]),
            bool(scored.alarms[0]),
            dict(zip(self.channels_, share.tolist(), strict=True)),
        )
        return self.latest_.score

    def score_one(self, x: Any) -> float:
        """The score that the next row would get, as in river; 0 before there is a fit."""
        if not hasattr(self, "network_"):
            return 0.0
        return self._stream.score(self._row(x).values)

    def learn_one(self, x: Any) -> Self:
        """Take in the next row, as in river; the first `warmup` rows make a fit."""
        if hasattr(self, "network_"):
            self._advance(self._row(x))
            return self
        check(vars(self), _RULES)
        if not isinstance(x, Mapping):
            raise DataError(must_be("a row to learn from", "a mapping, as in river", type(x)))
        waiting: list[Rows] = getattr(self, "_waiting", [])
        channels = waiting[0].channels if waiting else self._channels_of(x)
        row = read_row(x, self.time, channels, self.channels is not None)
        known = [earlier.times[-1] for earlier in waiting[-1:] if earlier.times is not None]
        check_later(row.times, known[0] if known else None)
        self._waiting = waiting
        waiting.append(row)
        if len(waiting) >= max(self.warmup, self._fewest_rows()):
            values = np.concatenate([one.values for one in waiting])
            self._fit(Rows(values, row.times, channels))
            del self._waiting
        return self

    def evaluate(
        self, data: Any, labels: Any = "anomaly", goes_on: bool = False
    ) -> AnomalyEvaluation:
        """The detector beside a random score and the windowed Gaussian, on labelled rows.

        labels: bool [T], True in the rows of anomalies, or the name of such a column. goes_on: as
        in `detect`.

        Raises DataError for a column of labels that are not true or false, ParameterError for an
        array of others, and as `detect`.
        """
        self._check_fitted()
        if isinstance(labels, str):
            flags = read_rows(data, None, (labels,)).values[:, 0]
            if not np.isin(flags, (0.0, 1.0)).all():
                raise DataError(f"the labels in {labels!r} must be true or false in every row")
            labels = flags == 1
        return evaluate_detector(
            f"grukit {NAMES[self.cell]}",
            [self.detect(data, goes_on)],
            [np.asarray(labels)],
            [read_rows(data, self.time, self.channels_).values],
            quiet=self.quiet_,
            seed=int(self.seed),
        )

    def save(self, path: str | Path) -> None:
        """Write the model folder in one switch, with the place where the stream is."""
        self._check_fitted()
        model = self._stream.model
        stream, tensors = self._stream.to_folder()
        tensors = {f"stream.{name}": tensor for name, tensor in tensors.items()}
        for name, value in self.network_.state_dict().items():
            tensors[f"network.{name}"] = value.detach().contiguous()
        for name in ("center", "spread", "longest_runs"):
            tensors[name] = torch.as_tensor(getattr(model, name))
        config = {
            "task": self.task,
            "settings": self._trained_with,
            "channels": list(model.channels),
            "stream": stream,
        }
        weights = safetensors.torch.save(tensors)
        write_model_folder(path, config, weights, {"README.md": self._card})

    @classmethod
    def _of_folder(
        cls, config: dict[str, Any], tensors: dict[str, Tensor], texts: dict[str, str]
    ) -> Self:
        self = cls(**settings_of(config))
        check(vars(self), _RULES)
        channels = tuple(map(str, config["channels"]))
        network = self._new_network(len(channels))
        parts = {
            prefix: {
                name.removeprefix(prefix): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
            for prefix in ("network.", "stream.")
        }
        network.load_state_dict(parts["network."])
        center, spread, runs = (
            tensors[name].numpy() for name in ("center", "spread", "longest_runs")
        )
        for array in (center, spread, *runs):
            if array.shape != (len(channels),):
                raise ValueError(f"scales must be of {len(channels)} channels, got {array.shape}")
        model = AnomalyModel(channels, center, spread, runs, network.eval(), int(self.window))
        stream = Stream(model, int(self.memory), 0)
        stream.restore(config["stream"], parts["stream."])
        self._remember(stream)
        self._card = texts["README.md"]
        return self

    def _become(self, model: AnomalyModel, rows: Rows, history: tuple[Any, ...]) -> None:
        model.network.cpu()
        quiet = min(len(rows.values) // 3, MOST_QUIET_ROWS) if self.quiet is None else self.quiet
        stream = Stream(model, int(self.memory), int(quiet))
        scored = stream.learn(rows.values, self._new_threshold())
        stream.last_time = None if rows.times is None else rows.times[-1]
        self._remember(stream)
        self._card = anomaly_card(stream, self._trained_with, rows, scored)
        self.decision_scores_, self.labels_ = scored.scores, scored.alarms.astype(np.int64)
        self.history_ = history

    def _remember(self, stream: Stream) -> None:
        self._stream, self._trained_with = stream, self._settings()
        self.network_, self.channels_ = stream.model.network, stream.model.channels
        self.quiet_ = stream.quiet.rows

    def _channels_of(self, first: Any) -> tuple[str, ...]:
        """Names for the channels of the first row of a stream."""
        if self.channels is not None:
            return tuple(self.channels)
        if isinstance(first, Mapping):
            return tuple(str(name) for name in first if str(name) != self.time)
        return default_names(int(np.size(first)))

    def _batch(self, data: Any, goes_on: bool) -> tuple[Rows, Scored]:
        self._check_fitted()
        rows = read_rows(data, self.time, self.channels_)
        stream = self._stream.fork(from_beginning=not goes_on)
        check_later(rows.times, stream.last_time)
        return rows, stream.advance(rows.values)

    def _row(self, row: Any) -> Rows:
        rows = read_row(row, self.time, self.channels_, self.channels is not None)
        check_later(rows.times, self._stream.last_time)
        return rows

    def _advance(self, rows: Rows) -> Scored:
        scored = self._stream.advance(rows.values)
        if rows.times is not None:
            self._stream.last_time = rows.times[-1]
        return scored

    def _fewest_rows(self) -> int:
        return max(self.window + max(self.horizons), 2 * FEWEST_KNOWN)

    def _new_threshold(self) -> Threshold:
        return THRESHOLDS[self.threshold](risk=float(self.risk))

    def _new_network(self, channels: int) -> AnomalyNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(self.seed))
            return AnomalyNetwork(
                channels,
                [int(k) for k in self.horizons],
                self.method,
                int(self.hidden_size),
                int(self.num_layers),
                self.cell,
            )
