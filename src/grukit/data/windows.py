"""Windows of an encoded panel: a stretch of the past and the horizon that follows it.

Sizes: N windows, L lookback, H horizon. A window is named by its origin, the row of the first
step that is forecast; it sees rows origin - L to origin - 1 and forecasts origin to origin + H - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from grukit.core.errors import DataError
from grukit.data.calendar import of_series
from grukit.data.encoding import Encoded, Unit

# A window that hardly moves is not blown up to more than this many times its series' spread.
LARGEST_MAGNIFICATION = 10.0
# Columns of WindowBatch.past before the covariates, and of static that window scaling adds.
WINDOW_COLUMNS, WINDOW_SCALE_COLUMNS = 3, 2
_BATCH = 1024


@dataclass(frozen=True)
class WindowShape:
    """What a window holds, and in which units.

    lookback, horizon: L and H, in steps.
    scaling: centre and scale by the mean and spread of the "series", by those of the "window", or
        by the "last" value of the window and the spread of the series.
    differencing: forecast the change from the last value this many steps before; 0 the value.
    unit: what values are divided by, as in the panel's encoder.
    """

    lookback: int
    horizon: int
    scaling: str
    differencing: int
    unit: Unit = "spread"


@dataclass(frozen=True)
class WindowBatch:
    """B windows as tensors; targets and base in units of the window's own scale.

    past:     [B, L, P] scaled target, whether it is observed, its change over `differencing` steps
              (or one) within the window, past covariates, then what `future` has.
    future:   [B, H, K] what is known ahead.
    static:   [B, C] of the series, and under window scaling the window's place in its series.
    base:     [B, H] what the network's output is added to: the last value of the same phase under
              differencing, else 0.
    series:   int64 [B], `index` of the series: its place among those of training, or -1.
    target:   [B, H], anything where not observed. observed: bool [B, H].
    center, spread: [B], so that a value in units of the data is center + spread * scaled.
    width: [B], the spread of the window in units of that of its series.
    """

    past: Tensor
    future: Tensor
    static: Tensor
    series: Tensor
    base: Tensor
    target: Tensor
    observed: Tensor
    center: Tensor
    spread: Tensor
    width: Tensor


class Windows:
    """The windows of `encoded` at `origins` (int64 [N], from `origins`), as training data."""

    def __init__(self, encoded: Encoded, origins: np.ndarray, shape: WindowShape) -> None:
        self.origins = torch.as_tensor(origins)
        self.lookback, self.horizon = shape.lookback, shape.horizon
        self.scaling, self.differencing = shape.scaling, shape.differencing
        self.unit: Unit = shape.unit
        # The arrays themselves, not copies: a panel may fill most of the memory.
        self._offsets = torch.as_tensor(encoded.offsets)
        self._target = torch.as_tensor(encoded.target)
        self._past, self._known = torch.as_tensor(encoded.past), torch.as_tensor(encoded.known)
        self._static = torch.as_tensor(encoded.static)
        self._center = torch.as_tensor(encoded.center)
        self._spread = torch.as_tensor(encoded.spread)
        self._index = torch.as_tensor(encoded.index)
        self._issues = encoded.issues

    def __len__(self) -> int:
        return len(self.origins)

    def batch(self, indices: Tensor) -> WindowBatch:
        """The windows at `indices`, int64 [B]."""
        origin = self.origins[indices][:, None]
        behind = origin + torch.arange(-self.lookback, 0)
        ahead = origin + torch.arange(self.horizon)
        series = torch.searchsorted(self._offsets, origin[:, 0], right=True) - 1
        center, spread = self._center[series], self._spread[series]
        values, observed = self._scaled(behind, center, spread)
        target, target_observed = self._scaled(ahead, center, spread)
        static = self._static[series]
        width = torch.ones(len(origin), 1)
        if self.scaling == "last":
            middle, _ = _last_known(values[..., None], observed[..., None])
            values = torch.where(observed, values - middle, 0.0)
            target = target - middle
            center = center + spread * middle[:, 0]
        if self.scaling == "window":
            middle, width = _window_scale(values, observed, self.unit)
            values = torch.where(observed, (values - middle) / width, 0.0)
            target = (target - middle) / width
            # Bounded, since a level that training never saw must not be extrapolated from.
            static = torch.cat([static, middle.tanh(), width.log()], dim=1)
            center = center + spread * middle[:, 0]
            spread = spread * width[:, 0]
        change = _change(values, observed, self.differencing or 1)
        past = torch.stack([values, observed.float(), change], dim=-1)
        return WindowBatch(
            past=torch.cat([past, self._past[behind], self._known_of(behind, origin)], dim=-1),
            future=self._known_of(ahead, origin),
            static=static,
            series=self._index[series],
            base=self._base(values, observed),
            target=target,
            observed=target_observed,
            center=center,
            spread=spread,
            width=width[:, 0],
        )

    def step_scale(self) -> Tensor:
        """The mean size of target - base at each step, [H]; 1 where it is 0 or never observed."""
        total, count = torch.zeros(self.horizon), torch.zeros(self.horizon)
        for indices in torch.arange(len(self)).split(_BATCH):
            batch = self.batch(indices)
            size = (batch.target - batch.base).abs()
            total += torch.where(batch.observed, size, 0.0).sum(0)
            count += batch.observed.sum(0)
        return torch.where(total > 0, total / count, 1.0)

    def _scaled(self, rows: Tensor, center: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        """The target at `rows` [B, n] in units of its series, 0 where missing; and where it is."""
        scaled = (self._target[rows] - center[:, None]) / spread[:, None]
        return scaled.nan_to_num().float(), ~scaled.isnan()

    def _known_of(self, rows: Tensor, origin: Tensor) -> Tensor:
        """What is known ahead of `rows` [B, n] at the origins [B, 1]."""
        known = self._known[rows]
        if self._issues is None:
            return known
        issued = torch.from_numpy(self._issues.known(rows.numpy(), origin.numpy()))
        return torch.cat([known, issued], dim=-1)

    def _base(self, values: Tensor, observed: Tensor) -> Tensor:
        base = values.new_zeros((len(values), self.horizon))
        lag = self.differencing
        if not lag:
            return base
        padding = (-self.lookback % lag, 0)
        seasons = pad(values, padding).unflatten(1, (-1, lag))
        known = pad(observed, padding).unflatten(1, (-1, lag))
        of_phase, newest = _last_known(seasons, known)
        last, _ = _last_known(values[..., None], observed[..., None])
        return torch.where(newest >= 0, of_phase, last)[:, torch.arange(self.horizon) % lag]


def origins(
    encoded: Encoded,
    lookback: int,
    horizon: int,
    *,
    from_row: np.ndarray | None = None,
    to_row: np.ndarray | None = None,
    stride: int = 1,
) -> np.ndarray:
    """Origins of all windows that lie within their series and have something to see and to learn.

    from_row, to_row: int64 [S], the horizon of a window of series s lies in the rows
        ``from_row[s]:to_row[s]`` counted within the series; by default anywhere.
    stride: steps from one origin to the next, counted in each series from its first possible one.
    """
    observed = ~np.isnan(encoded.target)
    seen = np.concatenate([[0], np.cumsum(observed)])
    found = []
    for series, (start, stop) in enumerate(
        zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    ):
        first = max(lookback, 0 if from_row is None else int(from_row[series]))
        last = int(stop - start if to_row is None else to_row[series]) - horizon
        at = start + np.arange(first, last + 1, stride)
        has_past = seen[at] > seen[at - lookback]
        has_target = seen[at + horizon] > seen[at]
        found.append(at[has_past & has_target])
    return np.concatenate(found).astype(np.int64)


def check_lengths(ids: tuple[str, ...], lengths: np.ndarray, at_least: int, why: str) -> None:
    """Raise DataError naming the series with fewer than `at_least` rows."""
    short = np.flatnonzero(lengths < at_least)
    if len(short):
        listed = ", ".join(f"{lengths[at]}{of_series(ids[at])}" for at in short[:5])
        more = f" and {len(short) - 5:,} more" if len(short) > 5 else ""
        raise DataError(
            f"every series must have at least {at_least} rows {why}, got {listed}{more}"
        )


def _window_scale(values: Tensor, observed: Tensor, unit: Unit) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [B, 1] of each window's observed values, or 0 and their mean."""
    count = observed.sum(1, keepdim=True).clamp(min=1)
    middle = (values * observed).sum(1, keepdim=True) / count
    if unit == "mean":
        return torch.zeros_like(middle), middle.clamp(min=1 / LARGEST_MAGNIFICATION)
    width = (((values - middle) ** 2 * observed).sum(1, keepdim=True) / count).sqrt()
    return middle, width.clamp(min=1 / LARGEST_MAGNIFICATION)


def _change(values: Tensor, observed: Tensor, lag: int) -> Tensor:
    """[B, L]: the change over `lag` steps, 0 where one of its ends is unknown or before the window.

    Nothing before the window may enter: at the end of the data a forecast has no more than that.
    """
    change = torch.zeros_like(values)
    both = observed[:, lag:] & observed[:, :-lag]
    change[:, lag:] = torch.where(both, values[:, lag:] - values[:, :-lag], 0.0)
    return change


def _last_known(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Of [B, n, m]: the last known value along n [B, m], and its place [B, m], -1 without one."""
    place = torch.arange(values.shape[1])[:, None]
    newest = torch.where(known, place, -1).amax(dim=1)
    return values.gather(1, newest.clamp(min=0)[:, None])[:, 0], newest
