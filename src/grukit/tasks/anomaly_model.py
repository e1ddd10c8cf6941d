"""What an AnomalyDetector has learned: from values to errors, a row or many rows at a time.

Sizes: T rows, C channels, K horizons, W rows of the autoencoder's window. A row is judged by
several signals, each an error that is large where something is unusual:

    level           how far the value lies from the middle of training
    forecast K      how far it lies from what was forecast K rows before
    reconstruction  how far it lies from what the autoencoder makes of it, as the end of a window
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grukit.core.errors import DataError
from grukit.nn.autoencoder import SequenceAutoencoder
from grukit.nn.stepwise import StepwiseForecaster
from grukit.training.losses import LossSum

# Columns of the network's input for each channel: the value, its change, whether it was observed.
COLUMNS = 3
# The value of a channel is squashed at this scale of its changes.
_CHANGE_SCALE = 3.0
# The first rows of a training window do not count: the state knows nothing yet.
WARMUP_ROWS = 8
_BATCH = 1024
# So large in units of the spread that nothing is larger, and squares do not overflow.
_LARGEST_SCALED, _SMALLEST_SPREAD = 1e30, 1e-200
# Equal errors must stay equal however rows are cut into calls, which changes the last bits of the
# network's float32.
_DECIMALS = 6


class AnomalyNetwork(nn.Module):
    """A forecaster, an autoencoder, or both, which learn together."""

    def __init__(
        self,
        channels: int,
        horizons: Sequence[int],
        method: str,
        hidden_size: int,
        num_layers: int,
        cell: str,
    ) -> None:
        super().__init__()
        sizes: dict[str, Any] = {"hidden_size": hidden_size, "num_layers": num_layers, "cell": cell}
        self.horizons = tuple(horizons)
        self.forecaster = self.autoencoder = None
        if method != "autoencoder":
            self.forecaster = StepwiseForecaster(
                COLUMNS * channels, channels, len(self.horizons), **sizes
            )
            self.register_buffer("change_scale", torch.ones(len(self.horizons), channels))
        if method != "forecast":
            self.autoencoder = SequenceAutoencoder(channels, **sizes)

    change_scale: Tensor


@dataclass
class StreamState:
    """Where a stream is, between two rows; NaN before there is anything.

    last: [C] the latest value seen of each channel, in training's scale. idle: int64 [2, C] rows
    since it last changed, and since it last had a value. pending: for each horizon of k rows the
    forecasts [k, C] of the next k. recent: [W - 1, C] the rows before the next. hidden: the
    forecaster's state.
    """

    last: np.ndarray
    idle: np.ndarray
    pending: list[np.ndarray]
    recent: np.ndarray
    hidden: Any


@dataclass(frozen=True, eq=False)
class AnomalyModel:
    """The scale of each channel [C], the longest runs [2, C] without a change and
    without a value, and the network."""

    channels: tuple[str, ...]
    center: np.ndarray
    spread: np.ndarray
    longest_runs: np.ndarray
    network: AnomalyNetwork
    window: int

    @cached_property
    def signals(self) -> tuple[str, ...]:
        """Names of the errors of each channel."""
        names = ["level"]
        if self.network.forecaster is not None:
            names += [f"forecast {k}" for k in self.network.horizons]
        if self.network.autoencoder is not None:
            names.append("reconstruction")
        return tuple(names)

    def beginning(self) -> StreamState:
        """The state of a stream before its first row."""
        width = len(self.channels)
        horizons = self.network.horizons if self.network.forecaster is not None else ()
        return StreamState(
            last=np.full(width, np.nan),
            idle=np.zeros((2, width), np.int64),
            pending=[np.full((k, width), np.nan) for k in horizons],
            recent=np.full((self.window - 1, width), np.nan),
            hidden=None,
        )

    def errors(
        self, state: StreamState, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, StreamState]:
        """The errors [T, M, C] of each signal in the next rows, and the state after them.

        values: float64 [T, C], NaN where missing. Errors are NaN where there is no value or nothing
        to compare it with. Between them: for how many rows each channel stood still, and for how
        many it had no value, int64 [T, 2, C].
        """
        scaled = self.scaled(values)
        filled, before = _filled(scaled, state.last)
        errors = [np.abs(scaled)]
        forecaster, pending, hidden = self.network.forecaster, [], state.hidden
        if forecaster is not None:
            x = torch.from_numpy(inputs(scaled, filled, before))
            with torch.no_grad():
                output, hidden = forecaster.encoder(x[None], state.hidden)
            changes = self._changes(output[0].double().numpy())
            for index, earlier in enumerate(state.pending):
                forecasts = np.concatenate([earlier, _zero(filled) + changes[:, index]])
                errors.append(np.abs(scaled - forecasts[: len(values)]))
                pending.append(forecasts[len(values) :])
        recent = np.concatenate([state.recent, _squashed(filled)])
        if self.network.autoencoder is not None:
            again = self._last_rows_again(recent)
            observed = np.where(np.isnan(scaled), np.nan, 1.0)
            errors.append(np.abs(recent[self.window - 1 :] - again) * observed)
        idle = _rows_idle(scaled, before, state.idle)
        following = StreamState(
            last=filled[-1],
            idle=idle[-1],
            pending=pending,
            recent=recent[len(values) :],
            hidden=hidden,
        )
        return np.round(np.stack(errors, axis=1), _DECIMALS), idle, following

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values [T, C] in units of each channel's spread, from its centre."""
        scaled = (values - self.center) / self.spread
        return np.clip(scaled, -_LARGEST_SCALED, _LARGEST_SCALED)

    @cached_property
    def _head(self) -> tuple[np.ndarray, np.ndarray]:
        """The forecaster's head [H, K C] and bias, in units of the channels, as float64."""
        forecaster = self.network.forecaster
        assert forecaster is not None
        weight, bias = (p.detach().double().numpy() for p in forecaster.head.parameters())
        scale = self.network.change_scale.double().numpy().ravel()
        return weight.T * scale, bias * scale

    def _changes(self, output: np.ndarray) -> np.ndarray:
        """From float64 [T, H] to [T, K, C]; in float64, so that any number of rows gives one."""
        weight, bias = self._head
        return (output @ weight + bias).reshape(len(output), -1, len(self.channels))

    def _last_rows_again(self, recent: np.ndarray) -> np.ndarray:
        """The last row of every window [T, C] as the autoencoder writes it; NaN at the start."""
        autoencoder = self.network.autoencoder
        assert autoencoder is not None
        rows = torch.from_numpy(recent.astype(np.float32))
        windows = rows.unfold(0, self.window, 1).transpose(1, 2)
        with torch.no_grad():
            parts = [
                autoencoder(part.nan_to_num())[:, -1].double() for part in windows.split(_BATCH)
            ]
        known = ~windows.isnan().any(dim=1)
        return np.where(known.numpy(), torch.cat(parts).numpy(), np.nan)


class TrainingWindows:
    """Windows of the training rows, one every `stride`, as training data."""

    def __init__(self, model: AnomalyModel, values: np.ndarray, length: int, stride: int) -> None:
        scaled = model.scaled(values)
        filled, before = _filled(scaled, np.full(values.shape[1], np.nan))
        network, rows = model.network, len(values)
        self.starts = torch.arange(0, rows - length + 1, stride)
        self.length = length
        self.x = torch.from_numpy(inputs(scaled, filled, before))
        self.rows = torch.from_numpy(_squashed(_zero(filled)).astype(np.float32))
        self.observed = torch.from_numpy(~np.isnan(scaled))
        changes = np.full((rows, len(network.horizons), values.shape[1]), np.nan)
        for index, k in enumerate(network.horizons):
            changes[: rows - k, index] = scaled[k:] - filled[: rows - k]
        self.known = torch.from_numpy(~np.isnan(changes))
        self.changes = torch.from_numpy(np.nan_to_num(changes).astype(np.float32))

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """The windows at `indices`: each tensor [B, length, ...]."""
        rows = self.starts[indices][:, None] + torch.arange(self.length)
        names = ("x", "rows", "observed", "changes", "known")
        return {name: getattr(self, name)[rows] for name in names}

    def change_scale(self) -> Tensor:
        """Mean size of the changes over each horizon, [K, C]; 1 where there are none."""
        size = (self.changes.abs() * self.known).sum(0) / self.known.sum(0).clamp(min=1)
        return torch.where(size > 0, size, 1.0)


def loss(network: AnomalyNetwork, batch: dict[str, Tensor]) -> LossSum:
    """Mean absolute errors, of forecasts in units of their usual size, and of reconstructions."""
    total, count = torch.zeros(()), torch.zeros((), dtype=torch.int64)
    total, count = total.to(batch["x"].device), count.to(batch["x"].device)
    if network.forecaster is not None:
        changes, _ = network.forecaster(batch["x"])
        wrong = (batch["changes"] / network.change_scale - changes).abs() * batch["known"]
        total = total + wrong[:, WARMUP_ROWS:].sum()
        count = count + batch["known"][:, WARMUP_ROWS:].sum()
    if network.autoencoder is not None:
        wrong = (network.autoencoder(batch["rows"]) - batch["rows"]).abs() * batch["observed"]
        total, count = total + wrong.sum(), count + batch["observed"].sum()
    return LossSum(total, count)


def scales(values: np.ndarray, channels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Centre and spread [C] of training values [T, C]: a few anomalies among them move neither.

    The median, and the standard deviation of the values within the 2nd and the 98th percentile.
    """
    for index, name in enumerate(channels):
        if np.isnan(values[:, index]).all():
            raise DataError(
                f"the channel {name!r} must have a value in training, got none; leave it out"
            )
    low, high = np.nanquantile(values, (0.02, 0.98), axis=0)
    spread = np.nanstd(np.clip(values, low, high), axis=0)
    # What moves so seldom has no middle part to measure.
    spread = np.where(spread > 0, spread, np.nanstd(values, axis=0))
    return np.nanmedian(values, axis=0), np.where(spread > _SMALLEST_SPREAD, spread, 1.0)


def longest_runs(values: np.ndarray) -> np.ndarray:
    """float64 [2, C]: the most rows that each channel stood still for, inf where it never moved,
    and the most for which it had no value.
    """
    width = values.shape[1]
    filled, before = _filled(values, np.full(width, np.nan))
    still, gone = _rows_idle(values, before, np.zeros((2, width), np.int64)).max(axis=0)
    moved = np.nanmax(filled, axis=0) > np.nanmin(filled, axis=0)
    return np.stack([np.where(moved, still, np.inf), gone])


def inputs(scaled: np.ndarray, filled: np.ndarray, before: np.ndarray) -> np.ndarray:
    """What the forecaster reads: float32 [T, 3 C], bounded in effect however large the values."""
    change = np.arcsinh(_CHANGE_SCALE * _zero(filled - before))
    columns = (_squashed(_zero(filled)), change, ~np.isnan(scaled))
    return np.concatenate(columns, axis=1).astype(np.float32)


def _squashed(scaled: np.ndarray) -> np.ndarray:
    return np.arcsinh(scaled)


def _zero(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0.0, values)


def _filled(values: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values [T, C] with what is missing as it was last, and the same one row earlier."""
    whole = np.concatenate([last[None], values])
    known = ~np.isnan(whole)
    if not known.all():
        newest = np.maximum.accumulate(np.where(known, np.arange(len(whole))[:, None], 0), axis=0)
        whole = np.take_along_axis(whole, newest, axis=0)
    return whole[1:], whole[:-1]


def _rows_idle(values: np.ndarray, before: np.ndarray, idle: np.ndarray) -> np.ndarray:
    """int64 [T, 2, C]: rows since each channel last changed, and since it last had a value."""
    known = ~np.isnan(values)
    lively = np.stack([known & (values != before), known], axis=1)
    rows = np.arange(1, len(values) + 1)[:, None, None]
    newest = np.maximum.accumulate(np.where(lively, rows, 0), axis=0)
    return np.where(newest > 0, rows - newest, rows + idle)
