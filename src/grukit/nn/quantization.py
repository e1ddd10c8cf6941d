"""Inference with weights as int8."""

from __future__ import annotations

import copy
from typing import TypeGuard, TypeVar

from torch import nn

from grukit.core.errors import ParameterError, must_be
from grukit.nn.layer import Layer

M = TypeVar("M", bound=nn.Module)


def quantize(module: M) -> M:
    """A copy for inference on a CPU, whose recurrent layers multiply with weights as int8.

    >>> import torch
    >>> from grukit.nn import GRU
    >>> layer = GRU(16, 32)
    >>> small = quantize(layer)
    >>> x = torch.randn(100, 1, 16)
    >>> bool((small(x)[0] - layer(x)[0]).abs().max() < 0.02)
    True

    Each row of a weight matrix has its own scale, and so has what it is multiplied with, at every
    step; sums, gates and states stay in float32. Nothing has to be calibrated. The copy is in eval
    mode, its parameters take no gradient and stay in float32: they are packed as int8 at the first
    call, so `state_dict` is that of the module. Other layers are as they were.

    Raises ParameterError if there is no recurrent layer of grukit in the module. A call raises
    BackendError where the native core is missing, and where a gradient is asked for.
    """
    if not any(map(_has_int8, module.modules())):
        raise ParameterError(must_be("module", "one with a GRU, LSTM or RNN of grukit.nn", module))
    copied = copy.deepcopy(module).eval().requires_grad_(False)
    for part in filter(_has_int8, copied.modules()):
        part.backend = "int8"
    return copied


def _has_int8(part: nn.Module) -> TypeGuard[Layer]:
    return isinstance(part, Layer) and "int8" in [b.name for b in part.recurrence.backends]
