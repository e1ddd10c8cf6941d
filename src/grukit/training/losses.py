"""Losses as sums, so that means over batches of unequal size are exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossSum:
    """What a loss function gives back for one batch; the loss is `total / count`.

    Sums keep three things exact: the mean over batches with missing targets, the mean over a
    validation set whose last batch is short, and gradient accumulation.

    total: scalar, the sum of the losses.
    count: how many losses were summed; may be 0.
    state: what the next batch starts from when training carries its state; tensors in tuples,
           lists and dicts.
    """

    total: Tensor
    count: Tensor | float
    state: Any = None


def pinball_loss(prediction: Tensor, target: Tensor, levels: Tensor, observed: Tensor) -> LossSum:
    """The quantile loss of Koenker and Bassett (1978), over observed targets and all levels.

    prediction: [..., Q], one quantile for each level.
    target:     [...]; ignored (it may be NaN) where not observed.
    levels:     [Q], between 0 and 1.
    observed:   bool [...].

    >>> prediction = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    >>> target, observed = torch.tensor([2.0, torch.nan]), torch.tensor([True, False])
    >>> loss = pinball_loss(prediction, target, torch.tensor([0.1, 0.9]), observed)
    >>> round(loss.total.item(), 4), loss.count.item()
    (0.1, 2)
    """
    error = target.unsqueeze(-1) - prediction
    loss = torch.maximum(levels * error, (levels - 1) * error)
    loss = torch.where(observed.unsqueeze(-1), loss, 0.0)
    return LossSum(loss.sum(), observed.sum() * len(levels))
