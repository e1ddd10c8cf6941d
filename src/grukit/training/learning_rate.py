"""The learning-rate range test."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from grukit.core.errors import DataError, DivergenceError
from grukit.core.rules import check, integer, number
from grukit.training.config import FitConfig
from grukit.training.optimization import LossFunction, Optimization, TrainingData
from grukit.training.schedule import caller_random_state_kept, item_order, seed_update

_SMOOTHING = 0.9
_DIVERGED_AT_TIMES_BEST = 4.0


@dataclass(frozen=True)
class LearningRateSearch:
    """Learning rates tried, the smoothed loss seen at each, and the one to begin with."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_learning_rate(
    model: nn.Module,
    loss: LossFunction,
    data: TrainingData,
    config: FitConfig | None = None,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    seed: int = 0,
    carry_state: bool = False,
) -> LearningRateSearch:
    """Raise the learning rate from update to update and watch the loss (Smith 2017).

    A copy of `model` is trained for up to `steps` updates while the rate grows exponentially from
    `lowest` to `highest`; it ends early once the smoothed loss is not finite or four times its
    best. The suggestion is a tenth of the rate with the lowest smoothed loss. The model and the
    random state are left as they were. The other arguments are those of `fit`.

    Raises DataError without data, and DivergenceError where the first updates already diverge.
    """
    config = config or FitConfig()
    check(
        {"lowest": lowest, "highest": highest, "steps": steps},
        {"lowest": number(above=0), "highest": number(above=lowest), "steps": integer(at_least=5)},
    )
    if len(data) == 0:
        raise DataError("the training data must have at least one item, got none")
    optimization = Optimization(copy.deepcopy(model), loss, config, carry_state)
    updates = _updates(len(data), config.batch_size * config.accumulate, seed, carry_state)
    tried: list[float] = []
    losses: list[float] = []
    average, state = 0.0, None
    with caller_random_state_kept(optimization.device):
        rates = np.geomspace(lowest, highest, steps).tolist()
        for step, (rate, (items, starts_epoch)) in enumerate(zip(rates, updates, strict=False)):
            seed_update(optimization.device, seed, step)
            where = f"update {step + 1} of the learning-rate search"
            try:
                done = optimization.update(
                    data, items, rate, None if starts_epoch else state, where
                )
            except DivergenceError:
                if len(losses) < 2:
                    raise
                break
            state = done.state
            if done.count == 0:
                continue
            average = _SMOOTHING * average + (1 - _SMOOTHING) * done.total / done.count
            smoothed = average / (1 - _SMOOTHING ** (len(losses) + 1))
            if losses and smoothed > _DIVERGED_AT_TIMES_BEST * min(losses) > 0:
                break
            tried.append(rate)
            losses.append(smoothed)
    if len(losses) < 2:
        raise DataError("the training data must have observed targets, got none in most updates")
    suggestion = tried[losses.index(min(losses))] / 10
    return LearningRateSearch(tuple(tried), tuple(losses), suggestion)


def _updates(size: int, items: int, seed: int, in_order: bool) -> Iterator[tuple[Tensor, bool]]:
    """The items of one update after another, for ever, and whether they begin an epoch."""
    for epoch in itertools.count(1):
        for number_in_epoch, chunk in enumerate(
            item_order(size, seed, epoch, in_order).split(items)
        ):
            yield chunk, number_in_epoch == 0
