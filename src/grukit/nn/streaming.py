"""The quick way of a layer's step: streams of the native core."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grukit.core import clib
from grukit.nn.quick import Prepared, can_run
from grukit.ops.contract import Arguments
from grukit.ops.native import encoded


class Streams(Prepared):
    """A stream of each layer of the stack, for x [B, I] or [I]."""

    @classmethod
    def of(cls, layer: Any, x: Tensor) -> Streams | None:
        """Streams for inputs like x; None where the core does not run them."""
        fits = x.dim() in (1, 2) and can_run(layer, x)
        return cls(layer, x.reshape(1, -1, x.shape[-1]), x.shape[:-1]) if fits else None

    def __init__(self, layer: Any, x: Tensor, batch: tuple[int, ...]) -> None:
        super().__init__(layer, x, batch)
        self.output_shape = (*batch, layer._output_size(0))

    def prepare(self, layer: Any, inputs: Arguments) -> clib.Stream:
        cell, quantized = layer.recurrence.cell, layer.backend == "int8"
        return clib.Stream(encoded(cell, inputs, layer._variant, quantized=quantized), cell.name)

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        states = self._copies(state)
        if states is None:
            return None
        output = torch.empty(self.output_shape, dtype=self.dtype)
        source, places = x.data_ptr(), [state.data_ptr() for state in states]
        *below, last = self.layers
        for stream in below:
            stream.step(stream.handle, source, *places, None)
            source = places[0]
            places = [at + by for at, by in zip(places, self.strides, strict=True)]
        last.step(last.handle, source, *places, output.data_ptr())
        return output, (states[0] if len(states) == 1 else tuple(states))

    def _copies(self, state: Any) -> list[Tensor] | None:
        """The state, for the step to change."""
        if state is None:
            if self.learned_state:
                return None
            return [torch.zeros(shape, dtype=self.dtype) for shape in self.state_shapes]
        parts = self.parts(state)
        if parts is None or any(tensor.requires_grad for tensor in parts):
            return None
        return [tensor.clone() for tensor in parts]
