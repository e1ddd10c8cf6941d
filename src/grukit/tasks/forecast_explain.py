"""Which inputs made a forecast: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

The contribution of input i is (x_i - b_i) times the mean of the forecast's derivative by it on the
straight way from the baseline b to the inputs x, so that contributions sum to the difference of the
two forecasts. In the baseline every number is at its training mean, no category holds, and cycles
of the calendar are at their middle; which values are observed stays as it is. Values are those that
the network reads: the window's own scale, and under differencing the last value that changes are
added to, belong to both ends, so what they add is in the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grukit.core.errors import ParameterError, must_be
from grukit.data.encoding import ColumnEncoder, Encoded
from grukit.data.windows import WINDOW_COLUMNS, WindowBatch, Windows
from grukit.evaluation.calibration import stretched
from grukit.nn.heads import in_units
from grukit.results import Explanation, level_index
from grukit.tasks.forecast_model import ForecastModel
from grukit.tasks.forecast_network import answer

# Points of the integral: doubled until at most this share of the difference is unexplained.
_FEWEST_POINTS, _MOST_POINTS, _UNEXPLAINED = 16, 512, 1e-3
_NUDGE = 1e-4
_INPUTS = ("past", "future", "static")
CALENDAR = "calendar"
WINDOW_PLACE = ("level of the window", "spread of the window")


def explain_forecast(
    model: ForecastModel,
    encoded: Encoded,
    origins: np.ndarray,
    step: int | None,
    level: float,
    target: str,
) -> Explanation:
    """The contributions at `origins`, one for each series; ParameterError for counts and events."""
    if not model.family.continuous:
        raise ParameterError(
            must_be("distribution", "one of numbers, to explain a quantile", model.family.name)
        )
    if model.recursive:
        raise ParameterError(must_be("mode", "'direct', to explain a quantile", "recursive"))
    level_index(model.levels, level)
    windows = Windows(encoded, origins, model.shape)
    parts = [
        _contributions(model, windows.batch(torch.tensor([at])), step, level)
        for at in range(len(origins))
    ]
    past, future, static = (np.concatenate([part[name] for part in parts]) for name in _INPUTS)
    forecast, start = (np.array([part[name] for part in parts]) for name in ("forecast", "start"))
    encoder, shape = model.encoder, model.shape
    calendar = (CALENDAR, len(encoder.calendar.feature_names))
    known = [*_widths(encoder.future), calendar, *_widths(encoder.issued)]
    ahead = _by_column(known, future)
    behind = _by_column([(target, WINDOW_COLUMNS), *_widths(encoder.past), *known], past)
    place = [(name, 1) for name in WINDOW_PLACE] if shape.scaling == "window" else []
    total = past.sum(axis=(1, 2)) + future.sum(axis=(1, 2)) + static.sum(axis=1)
    return Explanation(
        series=encoded.ids,
        step=step,
        level=level,
        forecast=forecast,
        start=start,
        past_times=encoded.times[origins[:, None] + np.arange(-shape.lookback, 0)],
        future_times=encoded.times[origins[:, None] + np.arange(shape.horizon)],
        past=behind,
        future=ahead,
        static=_by_column([*_widths(encoder.static), *place], static),
        unexplained=forecast - start - total,
    )


def _contributions(
    model: ForecastModel, batch: WindowBatch, step: int | None, level: float
) -> dict[str, np.ndarray]:
    """Of a batch of one window: each input's, [1, ...], and both forecasts."""
    inputs = {name: getattr(batch, name) for name in _INPUTS}
    nothing = {name: torch.zeros_like(value) for name, value in inputs.items()}
    nothing["past"][..., 1] = batch.past[..., 1]  # whether the target is observed
    forecast, start = (
        float(_at_steps(model, _parameters(model, batch, at), level)[0, _steps(step)].mean())
        for at in (inputs, nothing)
    )
    points = _FEWEST_POINTS
    while True:
        found = _integrals(model, batch, inputs, nothing, points, step, level)
        unexplained = forecast - start - sum(float(values.sum()) for values in found.values())
        enough = _UNEXPLAINED * max(abs(forecast - start), 1e-2 * float(batch.spread))
        if abs(unexplained) <= enough or points >= _MOST_POINTS:
            return {**found, "forecast": np.array(forecast), "start": np.array(start)}
        points *= 2


def _integrals(
    model: ForecastModel,
    batch: WindowBatch,
    inputs: dict[str, Tensor],
    nothing: dict[str, Tensor],
    points: int,
    step: int | None,
    level: float,
) -> dict[str, np.ndarray]:
    """By Gauss and Legendre's rule."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    way = torch.as_tensor((nodes + 1) / 2, dtype=batch.past.dtype)
    on_it = {}
    for name, end in inputs.items():
        at = way.view(-1, *[1] * (end.dim() - 1))
        on_it[name] = (nothing[name] + at * (end - nothing[name])).requires_grad_()
    parameters = _parameters(model, batch, on_it)
    sensitivity = _sensitivity(model, batch, parameters.detach(), step, level)
    slopes = torch.autograd.grad(
        (parameters * sensitivity).sum(), list(on_it.values()), allow_unused=True
    )
    found = {}
    for (name, end), slope in zip(inputs.items(), slopes, strict=True):
        slope = torch.zeros_like(on_it[name]) if slope is None else slope
        mean = torch.tensordot(torch.as_tensor(weights / 2), slope.double(), dims=1)
        found[name] = ((end - nothing[name]) * mean).detach().numpy()
    return found


def _parameters(model: ForecastModel, batch: WindowBatch, inputs: dict[str, Tensor]) -> Tensor:
    """What the network answers [n, H, P] to n variants of one window, in units of the data."""
    count = len(inputs["past"])
    variants = replace(batch, series=batch.series.expand(count), **inputs)
    scaled = answer(model.network, variants).cpu().double()
    spread = batch.spread[:, None, None].double()
    base = (batch.center[:, None] + batch.spread[:, None] * batch.base)[..., None]
    return in_units(scaled, model.family.kinds, spread, base)


def _sensitivity(
    model: ForecastModel, batch: WindowBatch, parameters: Tensor, step: int | None, level: float
) -> Tensor:
    """The derivative of what is explained by each parameter [n, H, P], by central differences."""
    count = parameters.shape[-1]
    kinds = np.repeat(model.family.kinds, count // len(model.family.kinds))
    chosen = np.zeros(parameters.shape[1])
    chosen[_steps(step)] = 1.0
    columns = []
    for index, kind in enumerate(kinds):
        nudge = _NUDGE * (1.0 if kind == "shape" else float(batch.spread))
        moved = torch.zeros(count, dtype=parameters.dtype)
        moved[index] = nudge
        up, down = (_at_steps(model, parameters + sign * moved, level) for sign in (1, -1))
        columns.append((up - down) / (2 * nudge) * chosen / chosen.sum())
    return torch.as_tensor(np.stack(columns, axis=-1))


def _at_steps(model: ForecastModel, parameters: Tensor, level: float) -> np.ndarray:
    """The calibrated quantile at each step, float64 [n, H]."""
    raw = model.family.answer(parameters.detach().numpy(), np.array(model.levels))
    quantiles = stretched(raw.quantile(model.levels), model.stretch, model.levels)
    return quantiles[..., level_index(model.levels, level)]


def _steps(step: int | None) -> slice:
    return slice(None) if step is None else slice(step - 1, step)


def _widths(columns: Sequence[ColumnEncoder]) -> list[tuple[str, int]]:
    return [(column.name, column.width) for column in columns]


def _by_column(columns: Sequence[tuple[str, int]], values: np.ndarray) -> dict[str, np.ndarray]:
    """Sums over the encoded columns [..., P] of each name, which has so many of them."""
    ends = np.cumsum([width for _, width in columns], dtype=np.int64)
    *parts, _ = np.split(values, ends, axis=-1)
    own = zip(columns, parts, strict=True)
    return {name: part.sum(axis=-1) for (name, width), part in own if width}
