"""The random masks of a sequence, drawn from torch's global generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import dropout


class Masks(NamedTuple):
    """The factors of one sequence, the same for all its steps: 0, or 1 / (1 - rate).

    Of the input [B, I], of what enters the recurrent products [B, H] ([B, P] with a projection),
    of the candidate [B, H].
    """

    input: Tensor | None = None
    recurrent: Tensor | None = None
    candidate: Tensor | None = None


def drop_mask(like: Tensor, shape: Sequence[int], rate: float) -> Tensor:
    """0 with probability `rate`, else 1 / (1 - rate)."""
    return dropout(like.new_ones(shape), rate, training=True)


def zoneout_mask(like: Tensor, shape: Sequence[int], rate: float, training: bool) -> Tensor:
    """How much of the old state is kept: 1 with probability `rate`, else 0, anew at every place.

    Not in training: the rate itself, [1, 1, 1].
    """
    if not training:
        return like.new_full((1, 1, 1), rate)
    # Half precision, were it the default, would not hold the rate.
    return (torch.rand(shape, device=like.device, dtype=torch.float32) < rate).to(like.dtype)
