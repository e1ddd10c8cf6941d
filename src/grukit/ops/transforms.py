"""The one gate that sends function transforms to the definition of an op.

A library op has no rule for vmap, grad or jvp: under torch.func its tangents would be
dropped in silence, so those calls take the definition, which is made of ordinary torch ops.
So do the batched cotangents of torch.autograd.grad, which are tensors of an older vmap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad


def needs_definition(*tensors: Tensor | None) -> bool:
    """Whether a call on `tensors` must take the definition instead of the library op.

    So it is inside torch.compile too, where otherwise everything stays one op. The level of
    dual numbers is asked, not the tensors, since those that torch.compile traces with have lost
    their tangents.
    """
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return True
    if torch.compiler.is_compiling():
        return False
    return any(tensor is not None and is_legacy_batchedtensor(tensor) for tensor in tensors)


def autocast_dtype(tensor: Tensor) -> torch.dtype | None:
    """The dtype that autocast asks for on the tensor's device, or None outside autocast."""
    kind = tensor.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return None
    return torch.get_autocast_dtype(kind)


def autocast_arguments(x: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """The floating arguments of an op in the dtype that autocast asks for; float64 stays."""
    dtype = autocast_dtype(x)
    if dtype is None or x.dtype == torch.float64:
        return x, *others
    return tuple(None if tensor is None else tensor.to(dtype) for tensor in (x, *others))


@contextlib.contextmanager
def autocast_off(device: torch.device) -> Iterator[None]:
    """Keep autocast out of an op that has already taken its casts.

    Does nothing where autocast is off, so that an exported program holds no trace of it.
    """
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        yield
        return
    with torch.autocast(device.type, enabled=False):
        yield
