"""The quick way of a layer's forward without a graph: prepared calls of the native core."""

from __future__ import annotations

from array import array
from operator import add
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib
from grukit.nn.quick import Prepared, can_run
from grukit.nn.streaming import Streams
from grukit.ops.contract import Arguments
from grukit.ops.native import prepared_call

X, OUTPUT = map(clib.FIELDS.index, ("x", "output"))
STATES = tuple(map(clib.FIELDS.index, ("h0", "c0", "h", "c")))
SIZE = len(clib.FIELDS)


class Inference(Prepared):
    """A call of each layer of the stack, for x [T, B, I], [B, T, I] or [T, I]."""

    @classmethod
    def of(cls, layer: Any, x: Tensor) -> Prepared | None:
        """What runs inputs like x, one step as a stream; None where the core does not."""
        if x.dim() not in (2, 3) or _draws(layer) or not can_run(layer, x):
            return None
        steps = x[:, None] if x.dim() == 2 else x.transpose(0, 1) if layer.batch_first else x
        batch = steps.shape[1 : x.dim() - 1]
        return Streams(layer, x, batch) if len(steps) == 1 else cls(layer, steps, batch)

    def __init__(self, layer: Any, x: Tensor, batch: tuple[int, ...]) -> None:
        super().__init__(layer, x, batch)
        self.batch_first = layer.batch_first and bool(batch)
        # The values of all calls, one after the other, and what their addresses need.
        self.values = array("q", [value for values, _ in self.layers for value in values])
        self.address, self.held = self.values.buffer_info()[0], [held for _, held in self.layers]
        sizes = map(layer._output_size, range(layer.num_layers))
        self.outputs = [x.new_empty((x.shape[0], *batch, size)) for size in sizes]
        self.places = STATES if len(self.state_shapes) == 2 else STATES[::2]

    def prepare(self, layer: Any, inputs: Arguments) -> tuple[list[int], Any]:
        cell, quantized = layer.recurrence.cell, layer.backend == "int8"
        return prepared_call(cell, inputs, layer._variant, quantized=quantized)

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        given = self.given(state)
        if given is None:
            return None
        values, base = self.values, 0
        finals = tuple(map(torch.empty_like, given))
        outputs = tuple(map(torch.empty_like, self.outputs))
        source, at = x.data_ptr(), tuple(map(Tensor.data_ptr, given + finals))
        for output in outputs:
            values[base + X] = source
            values[base + OUTPUT] = source = output.data_ptr()
            for place, states in zip(self.places, at, strict=True):
                values[base + place] = states
            base += SIZE
            at = tuple(map(add, at, 2 * self.strides))
        clib.forward_stack(self.address, len(outputs))
        output = outputs[-1].transpose(0, 1) if self.batch_first else outputs[-1]
        return output, (finals if len(finals) == 2 else finals[0])


def _draws(layer: Any) -> bool:
    """Whether the layer draws masks."""
    rates = layer.dropout, layer.recurrent_dropout, layer.candidate_dropout
    return layer.training and any((*rates, layer.input_dropout, layer.zoneout))
