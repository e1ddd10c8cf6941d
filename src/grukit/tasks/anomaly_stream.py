"""A stream of rows on its way through a detector: what it remembers, and how rows become scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from grukit.data.calendar import as_time
from grukit.evaluation.alarms import Quiet, Tail, Threshold, threshold_from_dict
from grukit.tasks.anomaly_model import AnomalyModel

# Errors are in units of a channel's spread; a tail is no narrower than this.
_SMALLEST_TAIL = 1e-3
# A channel that stands still, or is missing, for so many times longer than ever, and for so many
# rows, is remarkable.
_IDLE_TIMES, _IDLE_ROWS = 4, 32
# How remarkable, and the most that it can be.
_IDLE_SURPRISE, _MOST_IDLE_SURPRISE = 3.0, 10.0


class Scored(NamedTuple):
    """T rows judged: scores, levels and alarms [T], and the surprise of each channel [T, C]."""

    scores: np.ndarray
    levels: np.ndarray
    alarms: np.ndarray
    surprises: np.ndarray


class Stream:
    """Rows go in, scores come out; how they are cut into calls makes no difference.

    A score is the largest surprise (`Tail`) of all signals and channels, where each error is
    compared with those of the same signal and channel before it. It is lowered by the logarithm of
    the number of channels, so that more of them do not mean more alarms. With several channels
    there is a signal of all together for each horizon: the root mean square of their forecast
    errors, each in units of its mean in training.
    """

    def __init__(self, model: AnomalyModel, memory: int, quiet: int) -> None:
        self.model = model
        self.state = model.beginning()
        channels, signals = len(model.channels), len(model.signals)
        self.together = [
            index
            for index, name in enumerate(model.signals)
            if name.startswith("forecast") and channels > 1
        ]
        columns = signals * channels + len(self.together)
        self.tails = [Tail(memory, _SMALLEST_TAIL) for _ in range(columns)]
        self.usual = np.ones((signals, channels))
        self.threshold: Threshold | None = None
        self.quiet = Quiet(quiet)
        self.last_time: np.datetime64 | None = None

    def learn(self, values: np.ndarray, threshold: Threshold) -> Scored:
        """Take the training rows [T, C] as what is usual, and judge each of them by all."""
        errors, idle, self.state = self.model.errors(self.state, values)
        known = ~np.isnan(errors)
        mean = np.where(known, errors, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        self.usual = np.where(mean > 0, mean, 1.0)
        columns = self._columns(errors)
        for tail, column in zip(self.tails, columns.T, strict=True):
            tail.fit(column)
        surprises = np.stack(
            [
                [tail.surprise(value) for value in column]
                for tail, column in zip(self.tails, columns.T.tolist(), strict=True)
            ],
            axis=1,
        )
        scores, by_channel = self._combined(surprises, idle)
        self.threshold = threshold.fit(scores)
        above, levels = copy.deepcopy(self.threshold).update_many(scores)
        alarms = Quiet(self.quiet.rows).update_many(above, scores)
        return Scored(scores, levels, alarms, by_channel)

    def advance(self, values: np.ndarray) -> Scored:
        """Judge the next rows, float64 [T, C], each learned from before the next."""
        assert self.threshold is not None
        errors, idle, self.state = self.model.errors(self.state, values)
        columns = self._columns(errors)
        surprises = np.stack(
            [tail.update_many(column) for tail, column in zip(self.tails, columns.T, strict=True)],
            axis=1,
        )
        scores, by_channel = self._combined(surprises, idle)
        above, levels = self.threshold.update_many(scores)
        return Scored(scores, levels, self.quiet.update_many(above, scores), by_channel)

    def score(self, values: np.ndarray) -> float:
        """The score of one more row [1, C], which leaves the stream as it was."""
        errors, idle, _ = self.model.errors(self.state, values)
        surprises = [
            tail.surprise(value)
            for tail, value in zip(self.tails, self._columns(errors)[0].tolist(), strict=True)
        ]
        return float(self._combined(np.array([surprises]), idle)[0][0])

    def fork(self, from_beginning: bool) -> Stream:
        """A stream of its own that knows what this one knows, at another place or at this."""
        other = copy.copy(self)
        other.state = self.model.beginning() if from_beginning else self.state
        other.tails = [tail.copy() for tail in self.tails]
        other.threshold, other.quiet = copy.deepcopy(self.threshold), copy.copy(self.quiet)
        if from_beginning:
            other.quiet, other.last_time = Quiet(self.quiet.rows), None
        return other

    def _columns(self, errors: np.ndarray) -> np.ndarray:
        """Errors [T, M, C] as columns [T, M C + K], with those of all channels together."""
        rows = errors.reshape(len(errors), -1)
        if not self.together:
            return rows
        relative = errors[:, self.together] / self.usual[self.together]
        known = ~np.isnan(relative)
        squares = np.where(known, relative**2, 0.0).sum(axis=2)
        count = known.sum(axis=2)
        mean = np.where(count > 0, np.sqrt(squares / np.maximum(count, 1)), np.nan)
        return np.concatenate([rows, mean], axis=1)

    def _combined(self, surprises: np.ndarray, idle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From surprises of columns to the score [T] and the surprise of each channel [T, C]."""
        own = len(self.model.signals) * len(self.model.channels)
        surprises = np.where(np.isnan(surprises), 0.0, surprises)
        by_channel = surprises[:, :own].reshape(len(surprises), -1, len(self.model.channels))
        by_channel = np.maximum(by_channel.max(axis=1), self._idleness(idle))
        together = surprises[:, own:].max(axis=1, initial=0.0)
        # The largest of C is C times as often so large (Bonferroni).
        largest = by_channel.max(axis=1) - np.log10(by_channel.shape[1])
        return np.maximum(largest, together), by_channel

    def _idleness(self, idle: np.ndarray) -> np.ndarray:
        remarkable = np.maximum(_IDLE_TIMES * self.model.longest_runs, _IDLE_ROWS)
        surprises = (_IDLE_SURPRISE * idle / remarkable).max(axis=1)
        return np.minimum(surprises, _MOST_IDLE_SURPRISE)

    def to_folder(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The stream as JSON values, and as tensors."""
        assert self.threshold is not None
        state = self.state
        hidden = () if state.hidden is None else state.hidden
        arrays = {"last": state.last, "idle": state.idle, "recent": state.recent}
        arrays |= {"usual": self.usual}
        arrays |= {f"pending.{index}": rows for index, rows in enumerate(state.pending)}
        arrays |= {f"tail.{index}": tail.latest for index, tail in enumerate(self.tails)}
        tensors = {name: torch.as_tensor(np.ascontiguousarray(a)) for name, a in arrays.items()}
        hidden = (hidden,) if isinstance(hidden, Tensor) else hidden
        tensors |= {f"hidden.{index}": part.contiguous() for index, part in enumerate(hidden)}
        config = {
            "threshold": self.threshold.to_dict(),
            "quiet": self.quiet.to_dict(),
            "last_time": None if self.last_time is None else str(self.last_time),
        }
        return config, tensors

    def restore(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `to_folder`; an error of the usual kinds for parts that do not fit."""
        state = self.state
        state.last = _same_shape("last", state.last, tensors)
        state.idle = _same_shape("idle", state.idle, tensors)
        state.recent = _same_shape("recent", state.recent, tensors)
        self.usual = _same_shape("usual", self.usual, tensors)
        state.pending = [
            _same_shape(f"pending.{index}", rows, tensors)
            for index, rows in enumerate(state.pending)
        ]
        for index, tail in enumerate(self.tails):
            tail.fit(tensors[f"tail.{index}"].numpy())
        hidden = tuple(tensors[name] for name in ("hidden.0", "hidden.1") if name in tensors)
        state.hidden = None if not hidden else hidden[0] if len(hidden) == 1 else hidden
        self.threshold = threshold_from_dict(config["threshold"])
        self.quiet = Quiet.from_dict(config["quiet"])
        time = config["last_time"]
        self.last_time = None if time is None else as_time(str(time), "last_time")


def shares(surprises: np.ndarray) -> np.ndarray:
    """The share of each channel in the surprise of all, [T, C]; zeros where nothing surprises."""
    total = surprises.sum(axis=1, keepdims=True)
    return np.divide(surprises, total, out=np.zeros_like(surprises), where=total > 0)


def _same_shape(name: str, like: np.ndarray, tensors: Mapping[str, Tensor]) -> np.ndarray:
    array = tensors[name].numpy()
    if array.shape != like.shape or array.dtype != like.dtype:
        raise ValueError(
            f"{name} must be {like.dtype} {like.shape}, got {array.dtype} {array.shape}"
        )
    return array
