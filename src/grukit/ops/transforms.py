"""The one gate that sends function transforms to the definition of an op.

A library op has no rule for vmap, grad or jvp: under torch.func its tangents would be
dropped in silence, so those calls take the definition, which is made of ordinary torch ops.
So do the batched cotangents of torch.autograd.grad, which are tensors of an older vmap.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch._C import _get_tracing_state, _len_torch_dispatch_stack, _len_torch_function_stack
from torch.autograd import forward_ad

_VMAP_MODE = torch._C._parse_dispatch_key("VmapMode") or "VmapMode"
_PLAIN = frozenset({Tensor, torch.nn.Parameter, type(None)})


def needs_definition() -> bool:
    """Whether a call must take the definition instead of a library op or a backend.

    So it is inside torch.compile too, where otherwise everything stays one op. The level of
    dual numbers is asked, not the tensors, since those that torch.compile traces with have lost
    their tangents.
    """
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return True
    return not torch.compiler.is_compiling() and _in_older_vmap()


def needs_op(first: Tensor, tensors: Iterable[Tensor | None]) -> bool:
    """Whether a call on tensors, like the first of one device, must be an op: someone looks on.

    That is torch.compile, torch.export or torch.jit.trace, a dispatch or function mode, such as
    fake tensors, make_fx and counters of flops, a subclass of Tensor, or a tensor without data.
    Elsewhere nothing is lost where a backend is called directly, which is quicker.
    """
    return someone_looks_on() or not _PLAIN.issuperset(map(type, tensors)) or first.is_meta


def someone_looks_on() -> bool:
    """Whether a compiler, a mode or a trace is at work, whatever the tensors are."""
    return (
        torch.compiler.is_compiling()
        or _len_torch_dispatch_stack() > 0
        or _len_torch_function_stack() > 0
        or _get_tracing_state() is not None
    )


def _in_older_vmap() -> bool:
    """Whether torch.autograd.grad maps over cotangents (is_grads_batched)."""
    return torch._C._dispatch_tls_is_dispatch_key_included(_VMAP_MODE)


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


def autocast_off(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Keep autocast out of an op that has already taken its casts.

    Does nothing where autocast is off, so that an exported program holds no trace of it.
    """
    kind = device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return contextlib.nullcontext()
    return torch.autocast(kind, enabled=False)
