"""Heads: from features to the parameters of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from grukit.core.errors import ParameterError, must_be
from grukit.nn.linear import Linear

# No scale is smaller than this share of the unit, so that no likelihood grows without bound.
SMALLEST_SCALE = 1e-3
# A variance exists where a Student t has more degrees of freedom than this.
LEAST_FREEDOM = 2.0
MIXTURE_COMPONENTS = 3


class Head(nn.Module):
    """What every head has: the kinds of its parameters.

    kinds: what becomes of each equal block of the parameters in another unit: a "location" is
        scaled and shifted, a "scale" is scaled, a "shape" stays what it is.
    """

    kinds: ClassVar[tuple[str, ...]]
    linear: nn.Linear | Linear


def in_units(
    parameters: Tensor, kinds: Sequence[str], spread: Tensor, shift: Tensor | float = 0.0
) -> Tensor:
    """Parameters [..., P] of y as those of spread * y + shift; both broadcast against [..., 1].

    >>> student_t = torch.tensor([1.0, 0.5, 4.0])  # location, scale, degrees of freedom
    >>> in_units(student_t, StudentTHead.kinds, torch.tensor([10.0]), shift=100.0)
    tensor([110.,   5.,   4.])
    """
    moved = {
        "location": lambda block: block * spread + shift,
        "scale": lambda block: block * spread,
        "shape": lambda block: block,
    }
    blocks = parameters.chunk(len(kinds), dim=-1)
    return torch.cat([moved[kind](part) for kind, part in zip(kinds, blocks, strict=True)], dim=-1)


class QuantileHead(Head):
    """Quantiles that never cross: a median, and positive steps away from it.

    >>> head = QuantileHead(features=8, levels=(0.1, 0.5, 0.9))
    >>> head(torch.zeros(4, 8)).shape
    torch.Size([4, 3])

    levels: rising between 0 and 1, 0.5 among them; ParameterError otherwise.
    """

    kinds = ("location",)

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


class StudentTHead(Head):
    """Location, scale and degrees of freedom (above 2) of a Student t.

    >>> StudentTHead(features=8)(torch.zeros(4, 8)).shape
    torch.Size([4, 3])
    """

    kinds = ("location", "scale", "shape")

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 3)
        with torch.no_grad():
            # Near a normal at first: tails are to be learned, not unlearned.
            self.linear.bias[2] += 5.0

    def forward(self, features: Tensor) -> Tensor:
        """[..., features] to [..., 3]."""
        location, scale, freedom = self.linear(features).unbind(-1)
        scale, freedom = softplus(scale) + SMALLEST_SCALE, softplus(freedom) + LEAST_FREEDOM
        return torch.stack([location, scale, freedom], dim=-1)


class NegativeBinomialHead(Head):
    """Mean m and dispersion a of counts whose variance is m + a m^2 (Salinas et al. 2020).

    >>> NegativeBinomialHead(features=8)(torch.zeros(4, 8)).shape
    torch.Size([4, 2])
    """

    kinds = ("scale", "shape")

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 2)

    def forward(self, features: Tensor) -> Tensor:
        """[..., features] to [..., 2], both positive."""
        return softplus(self.linear(features)) + SMALLEST_SCALE


class MixtureHead(Head):
    """Weights, locations and scales of a mixture of normals (Bishop 1994).

    >>> MixtureHead(features=8)(torch.zeros(4, 8)).shape  # three of each
    torch.Size([4, 9])
    """

    kinds = ("shape", "location", "scale")

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 3 * MIXTURE_COMPONENTS)

    def forward(self, features: Tensor) -> Tensor:
        """[..., features] to [..., 3 C], the weights summing to 1."""
        weights, locations, scales = self.linear(features).chunk(3, dim=-1)
        scales = softplus(scales) + SMALLEST_SCALE
        return torch.cat([weights.softmax(-1), locations, scales], dim=-1)


class BernoulliHead(Head):
    """The log-odds of an event.

    >>> BernoulliHead(features=8)(torch.zeros(4, 8)).shape
    torch.Size([4, 1])
    """

    kinds = ("shape",)

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[..., features] to [..., 1]."""
        return self.linear(features)


HEADS: dict[str, type[Head]] = {
    "quantiles": QuantileHead,
    "student_t": StudentTHead,
    "negative_binomial": NegativeBinomialHead,
    "mixture": MixtureHead,
    "bernoulli": BernoulliHead,
}
"""The head of each distribution."""


def new_head(
    distribution: str, features: int, levels: Sequence[float], models: int | None = None
) -> Head:
    """The head of a distribution, or of K models; only the quantiles' asks for levels."""
    kind = HEADS[distribution]
    head = kind(features, levels) if kind is QuantileHead else kind(features)
    if models is not None:
        head.linear = Linear(features, head.linear.out_features, models=models)
    return head
