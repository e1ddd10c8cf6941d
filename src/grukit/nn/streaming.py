"""The quick way of a layer's step: streams of the native core."""

from __future__ import annotations

from operator import add
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib
from grukit.nn.quick import Prepared, can_run
from grukit.ops.contract import Arguments
from grukit.ops.native import encoded


class Streams(Prepared):
    """A stream of each layer of the stack, for inputs of one step."""

    @classmethod
    def key(cls, layer: Any, x: Tensor) -> Any:
        return x.shape

    @classmethod
    def of(cls, layer: Any, x: Tensor) -> Streams | None:
        """For x [B, I] or [I]."""
        return cls(layer, x, x.shape[:-1]) if x.dim() in (1, 2) and can_run(layer, x) else None

    def __init__(self, layer: Any, x: Tensor, batch: tuple[int, ...]) -> None:
        """batch: the axes of x that are sequences."""
        super().__init__(layer, x.reshape(1, -1, x.shape[-1]))
        self.batch, self.output = batch, x.new_empty((*x.shape[:-1], layer._output_size(0)))
        self.strides = [x[..., 0].numel() * size * x.element_size() for size in self.sizes]

    def prepare(self, layer: Any, inputs: Arguments) -> clib.Stream:
        cell, quantized = layer.recurrence.cell, layer.backend == "int8"
        return clib.Stream(encoded(cell, inputs, layer._variant, quantized=quantized), cell.name)

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        given = self.given(state, self.batch)
        if given is None:
            return None
        for tensor in given:
            if tensor.requires_grad:
                return None
        # The step changes them.
        states = tuple(map(torch.clone, given))
        output = torch.empty_like(self.output)
        source, places = x.data_ptr(), tuple(map(Tensor.data_ptr, states))
        for stream in self.layers[:-1]:
            stream.step(stream.handle, source, *places, None)
            source = places[0]
            places = tuple(map(add, places, self.strides))
        last = self.layers[-1]
        last.step(last.handle, source, *places, output.data_ptr())
        return output, (states if len(states) == 2 else states[0])
