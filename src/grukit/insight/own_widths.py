"""How wide an estimator's network of another cell must be to have as many parameters.

What a network is made of is known when its data are read, so an estimator is asked by beginning
its training, which ends before the first update.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

from grukit.nn.cells.base import RecurrentCell
from grukit.nn.layer import Layer
from grukit.nn.sequence_model import parameters_of
from grukit.training.fit import EpochRecord, LossSum

# So near as this share of the recurrent weights; the embedding of a vocabulary may be far more.
_NEAR_ENOUGH = 0.01
_MOST_TRIES = 10


class Size(NamedTuple):
    """The parameters of a network, and how many of them are in recurrent layers."""

    parameters: int
    recurrent: int


class _Known(Exception):
    """The network is known."""

    def __init__(self, size: Size) -> None:
        self.size = size


class _Asking:
    def begin(self, model: nn.Module, call: Callable[[], LossSum], epochs: int) -> None:
        kinds = (Layer, RecurrentCell)
        layers = [own for own in model.modules() if isinstance(own, kinds)]
        weights = {id(weight): weight.numel() for own in layers for weight in own.parameters()}
        raise _Known(Size(parameters_of(model), sum(weights.values())))

    def __call__(self, record: EpochRecord) -> None:
        raise AssertionError


def size_of(estimator: Any, arguments: tuple[Any, ...]) -> Size:
    """Of the network that the estimator would train; it is not fitted afterwards.

    arguments: of its `fit`.
    """
    try:
        estimator.fit(*arguments, after_epoch=_Asking())
    except _Known as known:
        return known.size
    raise AssertionError("a training begins")


def nearest_width(wanted: Size, start: int, count: Callable[[int], int]) -> int:
    """The width whose number of parameters is nearest, or as good as.

    >>> nearest_width(Size(30_000, 30_000), 10, lambda width: 3 * width * width + 20 * width)
    97

    count: of a width, which grows with it.
    """
    near, tried, width = _NEAR_ENOUGH * (wanted.recurrent or wanted.parameters), {}, start
    for _ in range(_MOST_TRIES):
        tried[width] = count(width)
        off = {own: wanted.parameters - number for own, number in tried.items()}
        low = max((own for own in off if off[own] > 0), default=0)
        high = min((own for own in off if off[own] <= 0), default=math.inf)
        if abs(off[width]) <= near or high - low <= 1:
            break
        if len(off) == 1:
            step = max(1, width // 8) if off[width] > 0 else -max(1, width // 8)
        else:  # along the line through those on both sides, or the two nearest
            near_ones = sorted(off, key=lambda own: abs(off[own]))[:2]
            one, other = (low, high) if low in off and high in off else near_ones
            slope = (off[other] - off[one]) / (one - other)
            step = one - width + round(off[one] / slope)
        width = int(min(max(low + 1, width + step), high - 1, 4 * width))
    return min(tried, key=lambda own: abs(tried[own] - wanted.parameters))
