"""Weights as the native core packs them for inference, kept until they change or die."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grukit.core import clib
from grukit.ops.contract import Arguments

LIMIT = 256
"""So many layers and directions have their weights kept; then the oldest give way."""

ALIGNMENT = 64


class Packed:
    """The packed weights of a call: `address` is good for as long as this object lives."""

    def __init__(self, call: bytes, size: int) -> None:
        self._memory = torch.empty(size + ALIGNMENT, dtype=torch.uint8)
        self.address = -(-self._memory.data_ptr() // ALIGNMENT) * ALIGNMENT
        clib.pack(call, self.address)


class Sight:
    """How a visible tensor looked, to be compared later without holding on to it.

    A change raises the version of a tensor, except one through `.data` or from outside torch. To
    see most of those, elements are compared: at least one of every row and column.
    """

    __slots__ = ("_address", "_elements", "_reference", "_values", "_version")

    def __init__(self, tensor: Tensor, gone: Callable[[Any], Any] | None = None) -> None:
        self._reference = weakref.ref(tensor, gone)
        self._address, self._version = tensor.data_ptr(), tensor._version
        self._elements = _elements(tensor)
        self._values = self._elements.tobytes()

    def holds(self, tensor: Tensor | None) -> bool:
        """Whether this is the tensor, as it was."""
        return (
            tensor is not None
            and self._reference() is tensor
            and tensor.data_ptr() == self._address
            and tensor._version == self._version
            and self._elements.tobytes() == self._values
        )


def is_visible(tensor: Tensor) -> bool:
    """Whether changes can be seen: the values lie one after the other, and there is a version."""
    return tensor.is_contiguous() and not tensor.is_neg() and not tensor.is_inference()


def packed_weights(tensors: Arguments, values: Sequence[int]) -> Packed | None:
    """The packed weights for a call of these values; None where no change of them would be seen.

    values: those of a forward call but for `packed`, in the order of clib.FIELDS.
    """
    weights = [w for w in (tensors.w_ih, tensors.w_hh, tensors.w_hr) if w is not None]
    key = (clib.isa(), *values[:4], *values[6:9], *map(id, weights))
    if found := _kept.get(key):
        packed, sights = found
        if all(sight.holds(weight) for sight, weight in zip(sights, weights, strict=True)):
            return packed
        _kept.pop(key, None)
    call = clib.call(*values, 0)
    size = clib.packed_bytes(call)
    if not size or not all(map(is_visible, weights)):
        return None
    sights = [Sight(weight, lambda _: _kept.pop(key, None)) for weight in weights]
    packed = Packed(call, size)
    _kept[key] = packed, sights
    for oldest in list(_kept)[:-LIMIT]:
        _kept.pop(oldest, None)
    return packed


def forget_packed(tensors: Iterable[Tensor]) -> None:
    """Pack these weights anew when they are next used."""
    gone = set(map(id, tensors))
    for key in list(_kept):
        if not gone.isdisjoint(key):
            _kept.pop(key, None)


_kept: dict[tuple[object, ...], tuple[Packed, list[Sight]]] = {}


def _elements(tensor: Tensor) -> np.ndarray:
    """A view of at least one element of every row and column, by address.

    Every `step`th element in memory, with a step of at most a row, hits every row. If the step
    has no divisor in common with the row, it also comes by every column.
    """
    rows, columns = tensor.shape[-2:] if tensor.dim() > 1 else (1, *tensor.shape)
    steps = (step for step in range(min(rows, columns), 1, -1) if math.gcd(step, columns) == 1)
    step, size = next(steps, 1), tensor.element_size()
    interface = {
        "version": 3,
        "data": (tensor.data_ptr(), True),
        "shape": (-(-tensor.numel() // step),),
        "strides": (step * size,),
        "typestr": f"<i{size}",
    }
    return np.asarray(SimpleNamespace(__array_interface__=interface))
