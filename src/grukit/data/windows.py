"""Windows of an encoded panel: a stretch of the past and the horizon that follows it.

Sizes: N windows, L lookback, H horizon. A window is named by its origin, the row of the first
step that is forecast; it sees rows origin - L to origin - 1 and forecasts origin to origin + H - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grukit.core.errors import DataError
from grukit.data.encoding import Encoded

# A window that hardly moves is not blown up to more than this many times its series' spread.
LARGEST_MAGNIFICATION = 10.0
# Columns of WindowBatch.past before the covariates, and of static that window scaling adds.
WINDOW_COLUMNS, WINDOW_SCALE_COLUMNS = 3, 2


@dataclass(frozen=True)
class WindowBatch:
    """B windows as tensors; targets and base in units of the window's own scale.

    past:     [B, L, P] scaled target, whether it is observed, its change, covariates, calendar.
    future:   [B, H, K] what is known ahead.
    static:   [B, C] of the series, and under window scaling the window's place in its series.
    base:     [B, H] what the network's output is added to: the last value of the same phase under
              differencing, else 0.
    target:   [B, H], anything where not observed. observed: bool [B, H].
    center, spread: [B], so that a value in units of the data is center + spread * scaled.
    """

    past: Tensor
    future: Tensor
    static: Tensor
    base: Tensor
    target: Tensor
    observed: Tensor
    center: Tensor
    spread: Tensor


class Windows:
    """The windows of `encoded` at `origins`, as training data.

    lookback, horizon: L and H, in steps.
    scale_by_window: centre and scale by the window's own mean and spread, not the series'.
    differencing: forecast the change from the last value this many steps before; 0 the value.
    origins: int64 [N], from `origins`.
    """

    def __init__(
        self,
        encoded: Encoded,
        origins: np.ndarray,
        *,
        lookback: int,
        horizon: int,
        scale_by_window: bool,
        differencing: int,
    ) -> None:
        self.origins = torch.as_tensor(origins)
        self.lookback, self.horizon = lookback, horizon
        self.scale_by_window, self.differencing = scale_by_window, differencing
        series = encoded.series_of_row
        center, spread = encoded.center[series], encoded.spread[series]
        scaled = (encoded.target - center) / spread
        self._observed = torch.as_tensor(~np.isnan(scaled))
        self._target = torch.as_tensor(np.nan_to_num(scaled).astype(np.float32))
        self._change = torch.as_tensor(_change(scaled, encoded.position, differencing or 1))
        self._known = torch.as_tensor(encoded.known)
        self._covariates = torch.as_tensor(np.concatenate([encoded.past, encoded.known], axis=1))
        self._series = torch.as_tensor(series)
        self._static = torch.as_tensor(encoded.static)
        self._center = torch.as_tensor(encoded.center)
        self._spread = torch.as_tensor(encoded.spread)

    def __len__(self) -> int:
        return len(self.origins)

    def batch(self, indices: Tensor) -> WindowBatch:
        """The windows at `indices`, int64 [B]."""
        origin = self.origins[indices][:, None]
        behind = origin + torch.arange(-self.lookback, 0)
        ahead = origin + torch.arange(self.horizon)
        observed, values = self._observed[behind], self._target[behind]
        series = self._series[origin[:, 0]]
        center, spread = self._center[series], self._spread[series]
        static, change = self._static[series], self._change[behind]
        target = self._target[ahead]
        if self.scale_by_window:
            middle, width = _window_scale(values, observed)
            values = torch.where(observed, (values - middle) / width, 0.0)
            change = change / width
            target = (target - middle) / width
            static = torch.cat([static, middle, width.log()], dim=1)
            center = center + spread * middle[:, 0]
            spread = spread * width[:, 0]
        past = torch.stack([values, observed.float(), change], dim=-1)
        return WindowBatch(
            past=torch.cat([past, self._covariates[behind]], dim=-1),
            future=self._known[ahead],
            static=static,
            base=self._base(values, observed),
            target=target,
            observed=self._observed[ahead],
            center=center,
            spread=spread,
        )

    def _base(self, values: Tensor, observed: Tensor) -> Tensor:
        base = values.new_zeros((len(values), self.horizon))
        lag = self.differencing
        if not lag:
            return base
        steps = torch.arange(self.lookback)
        last = torch.where(observed, steps, -1).amax(dim=1, keepdim=True)
        latest = values.gather(1, last.clamp(min=0))
        season = latest.expand(-1, lag).clone()
        # The newest observed value of each phase, from the oldest season to the newest.
        for start in range(self.lookback % lag, self.lookback, lag):
            season = torch.where(
                observed[:, start : start + lag], values[:, start : start + lag], season
            )
        return season[:, torch.arange(self.horizon) % lag]


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
    stride: steps from one origin to the next, counted from `from_row`.
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


def check_lengths(encoded: Encoded, at_least: int, why: str) -> None:
    """Raise DataError naming the series with fewer than `at_least` rows."""
    short = [
        f"{name or 'the series'} ({length})"
        for name, length in zip(encoded.ids, encoded.lengths, strict=True)
        if length < at_least
    ]
    if short:
        listed = ", ".join(short[:5]) + (f" and {len(short) - 5} more" if len(short) > 5 else "")
        raise DataError(
            f"every series must have at least {at_least} rows ({why}), got {listed}; lower "
            "lookback or horizon, or leave these series out"
        )


def _window_scale(values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [B, 1] of each window's observed values."""
    count = observed.sum(1, keepdim=True).clamp(min=1)
    middle = (values * observed).sum(1, keepdim=True) / count
    width = (((values - middle) ** 2 * observed).sum(1, keepdim=True) / count).sqrt()
    return middle, width.clamp(min=1 / LARGEST_MAGNIFICATION)


def _change(scaled: np.ndarray, position: np.ndarray, lag: int) -> np.ndarray:
    """float32 [rows]: change over `lag` steps within a series, 0 where it is not known."""
    change = np.zeros(len(scaled), np.float32)
    change[lag:] = np.nan_to_num(scaled[lag:] - scaled[:-lag])
    change[position < lag] = 0
    return change
