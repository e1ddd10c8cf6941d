"""Recursive forecasts: a network of one step, taught by true values, that goes on from samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from grukit.data.windows import WindowBatch
from grukit.nn.heads import in_units
from grukit.nn.recursive import RecursiveForecaster, filled
from grukit.results.distributions import Bernoulli, Counted, Distribution, QuantileFunction
from grukit.tasks.forecast_families import Family
from grukit.training.losses import LossSum

# Sample paths behind the quantiles of a forecast, and windows that they are made of at once.
PATHS, WINDOWS_AT_ONCE = 100, 256


def recursive_loss(
    network: RecursiveForecaster, family: Family, batch: WindowBatch, levels: Sequence[float]
) -> LossSum:
    """The loss of the next value at every step of the windows.

    In validation only at those of the horizon: training has learned from the lookback.
    """
    values, observed, known = _whole(batch)
    parameters, base = network(values, observed, known, batch.static, batch.series)
    first = 0 if network.training else batch.past.shape[1] - 1
    steps = replace(
        batch,
        target=values[:, 1:][:, first:],
        observed=observed[:, 1:][:, first:],
        base=base[:, first:],
    )
    return family.batch_loss(parameters[:, first:], steps, levels)


@torch.no_grad()
def sampled(
    network: RecursiveForecaster,
    family: Family,
    batch: WindowBatch,
    levels: Sequence[float],
    draws: np.ndarray,
) -> np.ndarray:
    """Sample paths in units of the data, float64 [B, H, M].

    draws: [B or 1, M, H], the level of each sample within the distribution of its step.
    """
    device = next(network.parameters()).device
    windows, lookback = batch.past.shape[:2]
    paths, horizon = draws.shape[1:]
    values, observed, known = (part.to(device) for part in _whole(batch))
    about = network.about(batch.static.to(device), batch.series.to(device))
    values = filled(values[:, :lookback], observed[:, :lookback])
    x, _ = network.inputs(values, observed[:, :lookback], known[:, :lookback], about)
    _, state = network.decoder(x)

    def each(tensor: Tensor, axis: int = 0) -> Tensor:
        return tensor.repeat_interleave(paths, dim=axis)

    state = tuple(each(part, 1) for part in state) if isinstance(state, tuple) else each(state, 1)
    values, known, about = each(values), each(known), each(about)
    observed = each(observed[:, :lookback])
    center, spread = (each(part)[:, None] for part in (batch.center, batch.spread))
    draws = np.broadcast_to(draws, (windows, paths, horizon)).reshape(-1, horizon)
    samples = np.empty((windows * paths, horizon))
    reach = max(network.lag, 2)
    for step in range(horizon):
        now = lookback + step
        # The last values, with an unknown one at the end in the place of what is asked for.
        recent = torch.cat([values[:, -reach:], values[:, -1:]], dim=1)
        seen = torch.cat([observed[:, -reach:], observed[:, -1:]], dim=1)
        of_steps = known[:, now - recent.shape[1] + 1 : now + 1]
        x, base = network.inputs(recent, seen, of_steps, about)
        parameters, state = network.step(x[:, -1], state)
        located = in_units(
            parameters.cpu().double(),
            family.kinds,
            spread,
            center + spread * base[:, -1:].cpu().double(),
        )
        known_step = family.answer(located.numpy(), np.array(levels))
        samples[:, step] = known_step.quantile(draws[:, step : step + 1])[:, 0]
        next_value = (torch.as_tensor(samples[:, step : step + 1]) - center) / spread
        values = torch.cat([values, next_value.to(values)], dim=1)
        observed = torch.cat([observed, torch.ones_like(observed[:, :1])], dim=1)
    return samples.reshape(windows, paths, horizon).swapaxes(1, 2)


def of_samples(family: Family, samples: np.ndarray) -> Distribution:
    """The distribution at each step that M samples [..., M] tell of."""
    count = samples.shape[-1]
    if family.continuous:
        return QuantileFunction((np.arange(count) + 0.5) / count, np.sort(samples, axis=-1))
    if family.name == "bernoulli":
        # Half an event and half a non-event more (Jeffreys), so that nothing is impossible.
        return Bernoulli((samples.sum(axis=-1) + 0.5) / (count + 1))
    return Counted(np.sort(samples, axis=-1))


def _whole(batch: WindowBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Values, which are observed, and what is known, of lookback and horizon as one: [B, L + H]."""
    ahead = batch.future.shape[-1]
    known_behind = batch.past[..., batch.past.shape[-1] - ahead :]
    return (
        torch.cat([batch.past[..., 0], batch.target], dim=1),
        torch.cat([batch.past[..., 1] > 0, batch.observed], dim=1),
        torch.cat([known_behind, batch.future], dim=1),
    )
