"""The backends "native" and "int8": sequences run by the C++ core, on tensors where they lie."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from grukit.core import clib
from grukit.core.errors import BackendError
from grukit.ops.cell import Cell, States
from grukit.ops.contract import (
    DIFFERENTIABLE,
    NAMES,
    SAVE_NOTHING,
    Arguments,
    Call,
    compute_dtype,
    hidden_size,
    output_size,
    reserve_shape,
)
from grukit.ops.dispatch import Backend
from grukit.ops.packed import packed_weights

DTYPES = {torch.float32: clib.FLOAT32, torch.bfloat16: clib.BFLOAT16}

Buffers = Sequence[Tensor | None]


def native(cell: Cell) -> Backend:
    """The native backend of a cell that the core knows."""
    return Backend(
        name="native",
        why_not=why_not,
        forward=lambda *call: forward_many(cell, [call])[0],
        backward=lambda *call: backward_many(cell, [call])[0],
        forward_many=functools.partial(forward_many, cell),
        backward_many=functools.partial(backward_many, cell),
    )


def int8(cell: Cell) -> Backend:
    """The same for inference with weights as int8, a scale for each row; gates in float32."""

    def refuse(*call: object) -> dict[str, Tensor]:
        raise BackendError("backend 'int8' has no gradients")

    return Backend(
        name="int8",
        why_not=why_not_int8,
        forward=lambda *call: forward_many(cell, [call], quantized=True)[0],
        backward=refuse,
        forward_many=functools.partial(forward_many, cell, quantized=True),
        exact=False,
    )


def why_not_int8(call: Call) -> tuple[str, ...]:
    """The reasons why the core cannot run the call with weights as int8."""
    trains = call.save != SAVE_NOTHING
    return (*why_not(call), *(["it is for inference, under torch.no_grad()"] if trains else []))


def why_not(call: Call) -> tuple[str, ...]:
    """The reasons why the core cannot run the call."""
    reasons = []
    if missing := clib.why_missing():
        reasons.append(missing)
    if call.device != "cpu":
        reasons.append(f"it runs on a CPU, not on {call.device}")
    if call.hidden_size < 1:
        reasons.append("it needs at least one unit")
    if call.dtype not in DTYPES:
        reasons.append(f"it computes in float32 and bfloat16, not in {call.dtype}")
    return tuple(reasons)


def forward_many(
    cell: Cell, calls: Sequence[tuple[Arguments, str, bool, int]], *, quantized: bool = False
) -> list[tuple[Tensor, ...]]:
    """Output, final states and reserve of each call."""
    encoded_calls, results, held = b"", [], []
    for tensors, variant, reverse, save in calls:
        inputs = dense(tensors)
        output, h, c, reserve = made = _results(cell, inputs, save)
        values = (
            *numbers(cell, inputs, variant, reverse, save, quantized),
            *addresses(inputs),
            *addresses((output, h, c, None if save == SAVE_NOTHING else reserve)),
            *_NO_GRADIENTS,
        )
        weights = packed_weights(tensors, values) if save == SAVE_NOTHING else None
        encoded_calls += clib.call(*values, 0 if weights is None else weights.address)
        results.append(made if cell.has_c else (output, h, reserve))
        held.append((inputs, weights))
    clib.forward(encoded_calls, len(results))
    return results


def backward_many(
    cell: Cell,
    calls: Sequence[
        tuple[Arguments, Tensor, States, Tensor, Tensor, str, bool, int, Sequence[str]]
    ],
) -> list[dict[str, Tensor]]:
    """The wanted gradients of each call, by name."""
    encoded_calls, results, held = b"", [], []
    for tensors, d_output, d_final, output, reserve, variant, reverse, save, wants in calls:
        inputs = dense(tensors)
        d_h, d_c = d_final if cell.has_c else (*d_final, None)
        given = contiguous((output, None, None, reserve, d_output, d_h, d_c))
        found = {
            name: torch.empty_like(getattr(tensors, name), memory_format=torch.contiguous_format)
            for name in wants
        }
        encoded_calls += clib.call(
            *numbers(cell, inputs, variant, reverse, save),
            *addresses(inputs),
            *addresses(given),
            *addresses(found.get(name) for name in NAMES[:DIFFERENTIABLE]),
            0,
        )
        results.append(found)
        held.append((inputs, given))
    clib.backward(encoded_calls, len(results))
    return results


def encoded(cell: Cell, inputs: Arguments, variant: str, *, quantized: bool = False) -> bytes:
    """A call that has inputs alone."""
    values = numbers(cell, inputs, variant, False, SAVE_NOTHING, quantized)
    return clib.call(*values, *addresses(inputs), *_NO_RESULTS, *_NO_GRADIENTS, 0)


def prepared_call(
    cell: Cell, inputs: Arguments, variant: str, *, quantized: bool = False
) -> tuple[list[int], Any]:
    """The values of a call that keeps nothing, with its weights packed, and what to hold for them.

    The caller puts in the addresses of x, states and results.
    """
    values = (
        *numbers(cell, inputs, variant, False, SAVE_NOTHING, quantized),
        *addresses(inputs),
        *_NO_RESULTS,
        *_NO_GRADIENTS,
    )
    weights = packed_weights(inputs, values)
    held = weights, inputs._replace(x=None, h0=None, c0=None)  # type: ignore[arg-type]
    return [*values, 0 if weights is None else weights.address], held


def numbers(
    cell: Cell,
    inputs: Arguments,
    variant: str,
    reverse: bool,
    save: int,
    quantized: bool = False,
) -> tuple[int, ...]:
    """The values of clib.NUMBERS."""
    x, w_hr = inputs.x, inputs.w_hr
    *models, time, batch, size = x.shape
    strides = x.stride()
    return (
        clib.CELLS[cell.name, variant],
        DTYPES[x.dtype],
        quantized,
        models[0] if models else 1,
        time,
        batch,
        size,
        hidden_size(cell, inputs),
        0 if w_hr is None else w_hr.shape[-2],
        reverse,
        save,
        torch.get_num_threads(),
        strides[0] if models else 0,
        strides[-3],
        strides[-2],
        inputs.keep_h is not None and inputs.keep_h.numel() == 1,
        inputs.keep_c is not None and inputs.keep_c.numel() == 1,
    )


def dense(tensors: Arguments) -> Arguments:
    """The tensors laid out plainly; of x the last axis alone has to be."""
    x, *others = tensors
    if (x.stride(-1) != 1 and x.shape[-1] > 1) or x.is_neg():
        x = x.contiguous().resolve_neg()
    return Arguments(x, *contiguous(others))  # type: ignore[arg-type]


def contiguous(tensors: Buffers) -> list[Tensor | None]:
    """The tensors laid out plainly, with the values that they stand for."""
    return [
        t if t is None or (t.is_contiguous() and not t.is_neg()) else t.contiguous().resolve_neg()
        for t in tensors
    ]


def addresses(tensors: Iterable[Tensor | None]) -> list[int]:
    """Where the tensors lie; 0 for none."""
    return [0 if t is None else t.data_ptr() or clib.EMPTY for t in tensors]


def _results(
    cell: Cell, inputs: Arguments, save: int
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """Room for output, h, c and reserve."""
    x, c0 = inputs.x, inputs.c0
    return (
        torch.empty((*x.shape[:-1], output_size(cell, inputs)), dtype=x.dtype),
        torch.empty_like(inputs.h0),
        None if c0 is None else torch.empty_like(c0),
        torch.empty(reserve_shape(cell, inputs, save), dtype=compute_dtype(x.dtype)),
    )


_NO_RESULTS = (0,) * len(clib.RESULTS)
_NO_GRADIENTS = (0,) * (len(clib.COTANGENTS) + len(clib.GRADIENTS))
