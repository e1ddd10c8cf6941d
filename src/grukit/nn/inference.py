"""The quick way of a layer's forward without a graph: prepared calls of the native core."""

from __future__ import annotations

from array import array
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib
from grukit.nn.quick import Prepared, can_run
from grukit.nn.streaming import Streams
from grukit.ops.contract import Arguments
from grukit.ops.native import prepared_call

SIZE = len(clib.FIELDS)
X, OUTPUT, TIME, BATCH, BY_TIME, BY_BATCH = map(
    clib.FIELDS.index, ("x", "output", "time", "batch", "x_stride_time", "x_stride_batch")
)
STATES = tuple(map(clib.FIELDS.index, ("h0", "c0", "h", "c")))


class Inference(Prepared):
    """A call of each layer of the stack, for x [T, B, I], [B, T, I] or [T, I]."""

    @classmethod
    def key(cls, layer: Any, x: Tensor) -> Any:
        return x.shape if _steps(layer, x) == 1 else x.dim()

    @classmethod
    def of(cls, layer: Any, x: Tensor) -> Prepared | None:
        """One step is a stream's."""
        if x.dim() not in (2, 3) or _draws(layer) or not can_run(layer, x):
            return None
        if _steps(layer, x) == 1:
            return Streams(layer, x, (x.numel() // x.shape[-1],) if x.dim() == 3 else ())
        return cls(layer, x if x.dim() == 3 else x[:, None])

    def __init__(self, layer: Any, x: Tensor) -> None:
        super().__init__(layer, x)
        self.input_size, self.batch_first = layer.input_size, layer.batch_first
        self.output_sizes = [layer._output_size(index) for index in range(layer.num_layers)]
        # The values of all calls, one after the other, and what their addresses need.
        self.values = array("q", [value for values, _ in self.layers for value in values])
        self.address, self.held = self.values.buffer_info()[0], [held for _, held in self.layers]
        self.places = STATES if len(self.sizes) == 2 else STATES[::2]

    def prepare(self, layer: Any, inputs: Arguments) -> tuple[list[int], Any]:
        cell, quantized = layer.recurrence.cell, layer.backend == "int8"
        return prepared_call(cell, inputs, layer._variant, quantized=quantized)

    def fits(self, layer: Any, x: Tensor) -> bool:
        return x.shape[-1] == self.input_size and x.numel() > 0 and super().fits(layer, x)

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        shape, element = x.shape, x.element_size()
        swaps = self.batch_first and len(shape) == 3
        time, *batch = (shape[1], shape[0]) if swaps else shape[:-1]
        given = self.given(state, tuple(batch))
        if given is None:
            return None
        sequences, size = batch[0] if batch else 1, self.input_size
        finals = tuple(map(torch.empty_like, given))
        outputs = [x.new_empty((time, *batch, width)) for width in self.output_sizes]
        source, at = x.data_ptr(), tuple(map(Tensor.data_ptr, given + finals))
        steps = (size, time * size) if swaps else (sequences * size, size)
        values, base = self.values, 0
        for output, width in zip(outputs, self.output_sizes, strict=True):
            values[base + TIME], values[base + BATCH] = time, sequences
            values[base + BY_TIME], values[base + BY_BATCH] = steps
            values[base + X] = source
            values[base + OUTPUT] = source = output.data_ptr()
            for place, states in zip(self.places, at, strict=True):
                values[base + place] = states
            base, steps = base + SIZE, (sequences * width, width)
            at = [
                states + sequences * size * element
                for states, size in zip(at, 2 * self.sizes, strict=True)
            ]
        clib.forward_stack(self.address, len(outputs))
        output = outputs[-1].transpose(0, 1) if swaps else outputs[-1]
        return output, (finals if len(finals) == 2 else finals[0])


def _steps(layer: Any, x: Tensor) -> int:
    """T, of an input that may have no axis of time."""
    return x.shape[1 if layer.batch_first and x.dim() == 3 else 0] if x.dim() > 1 else 0


def _draws(layer: Any) -> bool:
    """Whether the layer draws masks."""
    rates = layer.dropout, layer.recurrent_dropout, layer.candidate_dropout
    return layer.training and any((*rates, layer.input_dropout, layer.zoneout))
