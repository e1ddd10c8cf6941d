"""The quick way of a layer's step: the native core, on tensors where they lie."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib, env
from grukit.nn import parameters
from grukit.ops.contract import Arguments
from grukit.ops.native import DTYPES, encoded
from grukit.ops.packed import Sight, is_visible
from grukit.ops.transforms import needs_definition, needs_op

KEPT = 8
"""So many stacks stay open, each with a copy of the weights: one for each thread and batch."""


class Stack:
    """Streams of all layers, for inputs of one shape and dtype; of one thread at a time."""

    def __init__(self, layer: Any, x: Tensor) -> None:
        self.isa, self.zoneout = clib.isa(), layer.zoneout
        self.learned_state, self.backend = layer.learned_state, layer.backend
        self.x_shape, self.dtype = x.shape, x.dtype
        batch = x.shape[:-1]
        self.output_shape = (*batch, layer._output_size(0))
        self.state_shapes = [(layer.num_layers, *batch, size) for size in layer._form.sizes[0]]
        self.strides = [prod(shape[1:]) * x.element_size() for shape in self.state_shapes]
        self.names = _weight_names(layer)
        self.sights = [Sight(getattr(layer, name)) for name in self.names]
        self.streams = []
        for index in range(layer.num_layers):
            self.streams.append(_open(layer, x.reshape(1, -1, x.shape[-1]), index))
            x = x.new_empty(self.output_shape)

    def fits(self, layer: Any, x: Tensor) -> bool:
        """Whether it is good for this input, and what it was made of has not changed."""
        if (
            x.shape != self.x_shape
            or x.dtype is not self.dtype
            or layer.zoneout != self.zoneout
            or layer.backend != self.backend
            or clib.isa() != self.isa
        ):
            return False
        return all(map(Sight.holds, self.sights, map(layer._parameters.get, self.names)))

    def states(self, state: Any) -> list[Tensor] | None:
        """The state, for the step to change; None where its form has to be looked at closely."""
        if state is None:
            if self.learned_state:
                return None
            return [torch.zeros(shape, dtype=self.dtype) for shape in self.state_shapes]
        given = state if len(self.state_shapes) == 2 else (state,)
        if type(given) is not tuple or len(given) != len(self.state_shapes):
            return None
        for tensor, shape in zip(given, self.state_shapes, strict=True):
            if not _is_plain(tensor) or tensor.requires_grad:
                return None
            if tensor.shape != shape or tensor.dtype is not self.dtype:
                return None
        return [tensor.clone() for tensor in given]

    def step(self, x: Tensor, states: list[Tensor]) -> Tensor:
        """The output; `states` become those after the step."""
        output = torch.empty(self.output_shape, dtype=self.dtype)
        source, places = x.data_ptr(), [state.data_ptr() for state in states]
        *below, last = self.streams
        for stream in below:
            stream.step(stream.handle, source, *places, None)
            source = places[0]
            places = [at + by for at, by in zip(places, self.strides, strict=True)]
        last.step(last.handle, source, *places, output.data_ptr())
        return output


class Streams:
    """The stacks of a layer that nobody is using, by the shape of x."""

    def __init__(self) -> None:
        self._idle: dict[torch.Size, list[Stack]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a layer opens its own."""
        return Streams, ()

    def close(self) -> None:
        """Copy the weights anew for the next step."""
        self._idle = {}

    def step(self, layer: Any, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        """What the layer's step gives; None where the core does not run it."""
        if not _is_plain(x) or _is_watched(x) or env.backend() not in (None, "native"):
            return None
        idle = self._idle
        try:
            stack = idle[x.shape].pop()
        except LookupError:
            stack = None
        if stack is None or not stack.fits(layer, x):
            if not _can_run(layer, x):
                return None
            if stack is not None or sum(map(len, idle.values())) >= KEPT:
                self._idle = idle = {}
            stack = Stack(layer, x)
        states = stack.states(state)
        output = None if states is None else stack.step(x, states)
        idle.setdefault(x.shape, []).append(stack)
        if states is None or output is None:
            return None
        return output, (states[0] if len(states) == 1 else tuple(states))


def _can_run(layer: Any, x: Tensor) -> bool:
    """Whether a stack can be opened for this layer and input."""
    recurrence, weights = layer.recurrence, layer._parameters
    names = _weight_names(layer)
    return (
        layer.backend in (None, "native", "int8")
        and any(backend.name == "native" for backend in recurrence.backends)
        and clib.why_missing() is None
        and not layer.bidirectional
        and layer.models is None
        and not layer.residual
        and isinstance(layer.hidden_size, int)
        and not (layer.proj_size and layer.num_layers > 1 and not recurrence.cell.projects_state)
        and x.dtype in DTYPES
        and x.dim() in (1, 2)
        and x.shape[-1] == layer.input_size
        and x.numel() > 0
        and all(isinstance(weights.get(name), Tensor) for name in names)
        and all(weights[name].dtype == x.dtype and is_visible(weights[name]) for name in names)
    )


def _weight_names(layer: Any) -> list[str]:
    """The names of the parameters of all layers, but for learned states."""
    names = [name for name in layer._names if name in parameters.WEIGHTS]
    return [name + suffix for suffix in layer._suffixes for name in names]


def _open(layer: Any, x: Tensor, index: int) -> clib.Stream:
    """A stream of one layer of the stack, for x [1, B, I]."""
    cell, weights = layer.recurrence.cell, layer._weights(index, False)
    inputs = Arguments(x, x, **weights, **layer._keeps(x, (), training=False))
    quantized = layer.backend == "int8"
    return clib.Stream(encoded(cell, inputs, layer._variant, quantized=quantized), cell.name)


def _is_plain(tensor: Any) -> bool:
    """Whether the values of a tensor are what lies in memory, one after the other."""
    return (
        type(tensor) is Tensor and tensor.is_cpu and tensor.is_contiguous() and not tensor.is_neg()
    )


def _is_watched(x: Tensor) -> bool:
    """Whether a transform, autocast or a trace must see the operations themselves."""
    return needs_definition() or torch.is_autocast_enabled("cpu") or needs_op(x, (x,))
