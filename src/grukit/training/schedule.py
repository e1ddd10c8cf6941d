"""What the number of a step decides: its learning rate, its batch, its random state.

All are pure functions, so a run can go on from any step without a stored position.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from grukit.training.config import FitConfig

_ORDER, _UPDATE, _VALIDATION = range(3)


def learning_rate_at(step: int, steps: int, config: FitConfig) -> float:
    """The learning rate of update `step` (from 0) out of `steps`.

    Linear warm-up, then a half cosine down to `final_fraction` of the peak (Loshchilov and Hutter
    2017, without restarts).

    >>> config = FitConfig(learning_rate=0.1, warmup_fraction=0.2, final_fraction=0.5)
    >>> [round(learning_rate_at(step, 10, config), 3) for step in range(10)]
    [0.05, 0.1, 0.1, 0.098, 0.091, 0.081, 0.069, 0.059, 0.052, 0.05]
    """
    warmup = round(config.warmup_fraction * steps)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - 1 - warmup)
    cosine = (1 + math.cos(math.pi * done)) / 2
    return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * cosine)


def item_order(
    size: int, seed: int, epoch: int, in_order: bool, per_epoch: int | None = None
) -> torch.Tensor:
    """The items of an epoch (from 1), shuffled unless `in_order`: int64 [min(per_epoch, size)].

    With `per_epoch` an epoch takes so many, and no item comes again before all others have come.

    >>> torch.cat([item_order(6, 0, epoch, False, per_epoch=4) for epoch in (1, 2, 3)])
    tensor([1, 4, 5, 3, 2, 0, 4, 1, 2, 5, 3, 0])
    >>> torch.cat([item_order(6, 0, epoch, True, per_epoch=4) for epoch in (1, 2, 3)])
    tensor([0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
    """
    count = min(per_epoch or size, size)
    first, stop = (epoch - 1) * count, epoch * count
    if in_order:
        return torch.arange(first, stop) % size
    rounds = range(first // size, -(-stop // size))
    order = [np.random.default_rng((seed, _ORDER, at + 1)).permutation(size) for at in rounds]
    skipped = rounds[0] * size
    return torch.from_numpy(np.concatenate(order)[first - skipped : stop - skipped])


def seed_update(device: torch.device, seed: int, step: int) -> None:
    """Set torch's random state for an update (dropout, noise)."""
    _seed(device, seed, _UPDATE, step)


def seed_validation(device: torch.device, seed: int, epoch: int) -> None:
    """Set torch's random state for the validation of an epoch."""
    _seed(device, seed, _VALIDATION, epoch)


def _seed(device: torch.device, *key: int) -> None:
    number = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)


@contextmanager
def caller_random_state_kept(device: torch.device) -> Iterator[None]:
    """Give the caller's global random state back on leaving."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
