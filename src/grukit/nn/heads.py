"""Heads: from features to the parameters of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from grukit.core.errors import ParameterError, must_be


class QuantileHead(nn.Module):
    """Quantiles that never cross: a median, and positive steps away from it.

    >>> head = QuantileHead(features=8, levels=(0.1, 0.5, 0.9))
    >>> head(torch.zeros(4, 8)).shape
    torch.Size([4, 3])

    levels: rising between 0 and 1, 0.5 among them; ParameterError otherwise.
    """

    def __init__(self, features: int, levels: Sequence[float]) -> None:
        super().__init__()
        steps = [high - low for low, high in pairwise((0.0, *levels, 1.0))]
        if 0.5 not in levels or min(steps) <= 0:
            wanted = "numbers rising strictly between 0 and 1, 0.5 among them"
            raise ParameterError(must_be("levels", wanted, tuple(levels)))
        self.median = list(levels).index(0.5)
        self.linear = nn.Linear(features, len(levels))

    def forward(self, features: Tensor) -> Tensor:
        """[..., features] to [..., Q], rising along Q."""
        raw = self.linear(features)
        below, median, above = raw.split([self.median, 1, raw.shape[-1] - self.median - 1], dim=-1)
        down = median - softplus(below).flip(-1).cumsum(-1).flip(-1)
        up = median + softplus(above).cumsum(-1)
        return torch.cat([down, median, up], dim=-1)
