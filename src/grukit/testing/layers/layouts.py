"""Shapes: what comes out, and every layout of what goes in."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from grukit.testing.layers.making import (
    assert_results,
    leading,
    make_layer,
    some_input,
    some_resets,
    some_state,
    state_names,
    state_size,
)
from grukit.testing.running import Check
from grukit.testing.subjects import (
    LENGTHS,
    B,
    Factory,
    State,
    T,
    assert_refused,
    assert_same,
    mapped,
    rows,
)


def shapes_and_dtypes_are_as_promised(factory: Factory) -> None:
    for bidirectional, dtype in ((False, torch.float32), (True, torch.float64)):
        layer = make_layer(factory, bidirectional=bidirectional, dtype=dtype)
        output, final = layer(some_input(layer).to(dtype))
        directions = 1 + bidirectional
        size = layer.proj_size or state_size(layer, "c0", layer.num_layers - 1)
        wanted = (*leading(layer), T, B, directions * size)
        _assert_shapes(output, wanted, dtype, "output")
        _assert_shapes(final, _state_shapes(layer, directions), dtype, "the final state")


def _state_shapes(layer: Any, directions: int) -> Any:
    """The shapes of the state, in the place of its tensors."""
    parts = []
    for name in state_names(layer):
        sizes = [state_size(layer, name, index) for index in range(layer.num_layers)]
        if isinstance(layer.hidden_size, int):
            parts.append((*leading(layer), layer.num_layers * directions, B, sizes[0]))
        else:
            parts.append([(*leading(layer), directions, B, size) for size in sizes])
    return parts if len(parts) > 1 else parts[0]


def _assert_shapes(state: State, wanted: Any, dtype: torch.dtype, what: str) -> None:
    if isinstance(wanted, list):
        if isinstance(state, torch.Tensor) or len(state) != len(wanted):
            raise AssertionError(f"{what} must be {len(wanted)} states, got {len(state)}")
        for index, (part, shape) in enumerate(zip(state, wanted, strict=True)):
            _assert_shapes(part, shape, dtype, f"{what}[{index}]")
    elif tuple(state.shape) != wanted or state.dtype != dtype:
        got = tuple(state.shape), state.dtype
        raise AssertionError(f"{what} must be {wanted} and {dtype}, got {got}")


def batch_first_is_transposed(factory: Factory) -> None:
    layer, first = make_layer(factory), make_layer(factory, batch_first=True)
    x, h0, resets = some_input(layer), some_state(layer), some_resets()
    lengths = torch.tensor(LENGTHS)
    output, final = layer(x, h0, lengths=lengths, resets=resets)
    transposed = x.transpose(-3, -2)
    got = first(transposed, h0, lengths=lengths, resets=resets.mT)
    assert_results(got, (output.transpose(-3, -2), final), "with batch_first")
    wanted = layer.trace(x, h0, lengths=lengths, resets=resets)
    trace = first.trace(transposed, h0, lengths=lengths, resets=resets.mT)
    assert_same(trace, mapped(lambda t: t.transpose(-3, -2), wanted), "the trace with batch_first")


def unbatched_is_a_batch_of_one(factory: Factory) -> None:
    """With models there is no unbatched input: the one that is shared has as many axes."""
    for batch_first in (False, True):
        layer = make_layer(factory, batch_first=batch_first, bidirectional=True)
        h0 = some_state(layer, batch=1)
        x = some_input(layer, batch=1).squeeze(-2)
        if layer.models is not None:
            refused = functools.partial(layer, x[0])
            assert_refused(refused, "unbatched input for several models")
            continue
        batch = int(not batch_first)
        output, final = layer(x, rows(h0, 0))
        wanted, end = layer(x.unsqueeze(batch), h0)
        assert_results((output, final), (wanted.squeeze(batch), rows(end, 0)), "unbatched")
        trace = layer.trace(x.unsqueeze(batch))
        squeezed = mapped(lambda t, batch=batch: t.squeeze(batch), trace)
        assert_same(layer.trace(x), squeezed, "the unbatched trace")


def packed_equals_lengths(factory: Factory) -> None:
    """With models a PackedSequence is refused."""
    layer = make_layer(factory, bidirectional=True)
    h0 = some_state(layer)
    x = some_input(layer)
    for lengths, is_sorted in (((4, 2, 1), True), ((2, 4, 1), False)):
        one_model = x.reshape(-1, *x.shape[-3:])[0]
        packed = pack_padded_sequence(one_model, torch.tensor(lengths), enforce_sorted=is_sorted)
        if layer.models is not None:
            refused = functools.partial(layer, packed)
            assert_refused(refused, "a PackedSequence for several models")
            continue
        wanted = layer(x, h0, lengths=torch.tensor(lengths))
        output, final = layer(packed, h0)
        padded, unpacked_lengths = pad_packed_sequence(output)
        if unpacked_lengths.tolist() != list(lengths):
            raise AssertionError(f"lengths must be {lengths}, got {unpacked_lengths.tolist()}")
        assert_results((padded, final), wanted, f"of packed lengths {lengths}")


CHECKS: tuple[Check, ...] = (
    shapes_and_dtypes_are_as_promised,
    batch_first_is_transposed,
    unbatched_is_a_batch_of_one,
    packed_equals_lengths,
)
