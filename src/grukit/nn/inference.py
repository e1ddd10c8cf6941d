"""The quick way of a layer's forward without a graph: prepared calls of the native core."""

from __future__ import annotations

from array import array
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib
from grukit.nn.quick import Prepared, can_run
from grukit.ops.contract import SAVE_NOTHING, Arguments
from grukit.ops.native import prepared_call

X, H0, C0, OUTPUT, H, C, THREADS = map(
    clib.FIELDS.index, ("x", "h0", "c0", "output", "h", "c", "threads")
)


class Inference(Prepared):
    """A call of each layer of the stack, for x [T, B, I], [B, T, I] or [T, I]."""

    @classmethod
    def of(cls, layer: Any, x: Tensor) -> Inference | None:
        """Calls for inputs like x; None where the core does not run them."""
        if x.dim() not in (2, 3) or _draws(layer) or not can_run(layer, x):
            return None
        if x.dim() == 2:
            return cls(layer, x[:, None], ())
        x = x.transpose(0, 1) if layer.batch_first else x
        return cls(layer, x, (x.shape[1],))

    def __init__(self, layer: Any, x: Tensor, batch: tuple[int, ...]) -> None:
        self.held: list[Any] = []
        super().__init__(layer, x, batch)
        self.batch_first = layer.batch_first and bool(batch)
        self.output_shapes = [
            (x.shape[0], *batch, layer._output_size(index)) for index in range(layer.num_layers)
        ]
        self.zeros = [torch.zeros(shape, dtype=self.dtype) for shape in self.state_shapes]

    def prepare(self, layer: Any, inputs: Arguments) -> array[int]:
        quantized = layer.backend == "int8"
        values, held = prepared_call(
            layer.recurrence.cell, inputs, layer._variant, quantized=quantized
        )
        self.held.append(held)
        return array("q", values)

    def run(self, x: Tensor, state: Any) -> tuple[Tensor, Any] | None:
        if state is not None:
            given = self.parts(state)
        else:
            given = None if self.learned_state else self.zeros
        if given is None:
            return None
        finals = [torch.empty_like(tensor) for tensor in given]
        threads = torch.get_num_threads()
        first, last = ([t.data_ptr() for t in tensors] for tensors in (given, finals))
        for call, shape in zip(self.layers, self.output_shapes, strict=True):
            output = torch.empty(shape, dtype=self.dtype)
            call[X], call[OUTPUT], call[THREADS] = x.data_ptr(), output.data_ptr(), threads
            call[H0], call[H] = first[0], last[0]
            if len(first) == 2:
                call[C0], call[C] = first[1], last[1]
            clib.forward_at(call.buffer_info()[0])
            x = output
            first, last = self._next(first), self._next(last)
        if self.batch_first:
            x = x.transpose(0, 1)
        return x, (finals[0] if len(finals) == 1 else tuple(finals))

    def _next(self, places: list[int]) -> list[int]:
        """Where the states of the layer above lie."""
        return [place + stride for place, stride in zip(places, self.strides, strict=True)]


def _draws(layer: Any) -> bool:
    """Whether the layer draws masks."""
    rates = layer.dropout, layer.recurrent_dropout, layer.candidate_dropout
    return layer.training and any((*rates, layer.input_dropout, layer.zoneout))
