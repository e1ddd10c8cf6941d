"""A cell over time: the definition of every recurrence, made of ordinary torch ops.

Every derivative and transform follows from it; in float64 it is the oracle of the tests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grukit.ops.cell import Cell, States
from grukit.ops.contract import Arguments, compute_dtype, hidden_size, reserve_shape, slots
from grukit.ops.projection import Projection, over_time, product


class Unrolled(NamedTuple):
    """The steps in the order of x, in the compute dtype."""

    states: list[States]
    kept: list[tuple[Tensor, ...]]
    final: States


def definition(
    cell: Cell, tensors: Arguments, variant: str, reverse: bool = False
) -> tuple[Tensor, ...]:
    """Output, and the final states, in the dtype of x: see contract.py."""
    steps = unroll(cell, tensors, variant, reverse)
    return (
        output_of(cell, tensors, steps),
        *(state.to(tensors.x.dtype) for state in steps.final),
    )


def trace(cell: Cell, tensors: Arguments, variant: str, reverse: bool = False) -> dict[str, Tensor]:
    """What every step keeps, and its states, by name, [T, B, H] each.

    Steps that do not count are zero.
    """
    steps = unroll(cell, tensors, variant, reverse)
    initial = [state for state in (tensors.h0, tensors.c0) if state is not None]
    some = tensors.h0.new_zeros((*tensors.h0.shape[:-1], hidden_size(cell, tensors)))
    parts = {
        name: over_steps([kept[index] for kept in steps.kept], some)
        for index, name in enumerate(cell.kept)
    }
    for index, name in enumerate(("h", "c")[: len(initial)]):
        parts[name] = over_steps([states[index] for states in steps.states], initial[index])
    valid = counting(tensors)
    return {name: masked(part.to(tensors.x.dtype), valid) for name, part in parts.items()}


def sums(cell: Cell, tensors: Arguments, variant: str, reverse: bool = False) -> dict[str, Tensor]:
    """What every step adds up inside the gates: "of_x" and "of_h", [T, B, G], rows as in the
    weights; and "before", the state h that it began with. Steps that do not count are zero.
    """
    found: list[Tensor] = []

    def watched(projection: Projection) -> Projection:
        def product(a: Tensor) -> Tensor:
            found.append(projection(a))
            return found[-1]

        return product  # type: ignore[return-value]

    def step(of_x: Tensor, states: States, a: Tensor, recurrent: list[Projection], *rest: Any):
        found.clear()
        new, _ = cell.step(of_x, states, a, [watched(own) for own in recurrent], *rest)
        of_h = torch.cat(found, dim=-1) if found else torch.zeros_like(of_x)
        return new, (states[0], of_x, of_h)

    names = ("before", "of_x", "of_h")
    parts = trace(replace(cell, step=step, kept=names), tensors, variant, reverse)
    return {name: parts[name] for name in names}


def forward(
    cell: Cell, tensors: Arguments, variant: str, reverse: bool, save: int
) -> tuple[Tensor, ...]:
    """Output, final states and reserve."""
    steps = unroll(cell, tensors, variant, reverse)
    dtype = tensors.x.dtype
    results = [output_of(cell, tensors, steps), *(state.to(dtype) for state in steps.final)]
    # An op must hand back neither a view, which could not be changed in place, nor its own input.
    results = [result.clone(memory_format=torch.contiguous_format) for result in results]
    return (*results, _reserve(cell, tensors, steps, save))


def unroll(cell: Cell, tensors: Arguments, variant: str, reverse: bool) -> Unrolled:
    """One step after the other."""
    tensors = tensors.computed()
    valid = counting(tensors)
    # Padding may hold anything; its NaN times a zero gradient would be NaN.
    x = masked(tensors.x, valid)
    time = x.shape[-3]
    of_x = over_time(input_projections(cell, tensors, (cell.blocks,))[0], x).unbind(-3)
    recurrent = recurrent_projections(cell, tensors, variant)
    keeps = [at_steps(keep, time) for keep in (tensors.keep_h, tensors.keep_c)]
    counts, starts = at_steps(valid, time), at_steps(starting(tensors, reverse), time)
    fresh = (tensors.fresh_h, tensors.fresh_c)

    h, c = tensors.h0, tensors.c0
    old: States = (h,) if c is None else (h, c)
    states: list[States] = []
    kept: list[tuple[Tensor, ...]] = []
    for t in reversed(range(time)) if reverse else range(time):
        if starts is not None:
            old = tuple(
                torch.where(starts[t], state.new_zeros(()) if start is None else start, state)
                for state, start in zip(old, fresh, strict=False)
            )
        now = tuple(None if keep is None else keep[t] for keep in keeps)
        new, parts = advance(cell, tensors, of_x[t], old, recurrent, now, variant)
        if counts is not None:
            new = tuple(
                torch.where(counts[t], state, before)
                for state, before in zip(new, old, strict=True)
            )
        old = new
        states.append(new)
        kept.append(parts)
    if reverse:
        states.reverse()
        kept.reverse()
    return Unrolled(states, kept, old)


def advance(
    cell: Cell,
    tensors: Arguments,
    of_x: Tensor,
    old: States,
    recurrent: list[Projection],
    keeps: tuple[Tensor | None, ...],
    variant: str,
) -> tuple[States, tuple[Tensor, ...]]:
    """One step with its masks: the new states, and what the cell keeps of the step."""
    a = recurrent_input(cell, tensors, old[0])
    new, kept = cell.step(of_x, old, a, recurrent, tensors, variant)
    if tensors.w_hr is not None and cell.projects_state:
        new = (product(new[0], tensors.w_hr), *new[1:])
    return tuple(
        state if keep is None else torch.lerp(state, before, keep)
        for state, before, keep in zip(new, old, keeps, strict=False)
    ), kept


def one_step(cell: Cell, tensors: Arguments, variant: str) -> tuple[Tensor, States]:
    """Output [B, H] and states after a single step, for x [B, I] and one number for a keep."""
    of_x = input_projections(cell, tensors, (cell.blocks,))[0](tensors.x)
    recurrent = recurrent_projections(cell, tensors, variant)
    old = (tensors.h0,) if tensors.c0 is None else (tensors.h0, tensors.c0)
    keeps = tuple(
        None if keep is None else keep.reshape(()) for keep in (tensors.keep_h, tensors.keep_c)
    )
    new, _ = advance(cell, tensors, of_x, old, recurrent, keeps, variant)
    if tensors.w_hr is not None and not cell.projects_state:
        return product(new[0], tensors.w_hr), new
    return new[0], new


def output_of(cell: Cell, tensors: Arguments, steps: Unrolled) -> Tensor:
    """[T, B, H or P] in the dtype of x, zero where a step does not count."""
    output = over_steps([states[0] for states in steps.states], tensors.h0)
    if tensors.w_hr is not None and not cell.projects_state:
        w_hr = tensors.w_hr.to(output.dtype)
        output = over_time(lambda h: product(h, w_hr), output)
    return masked(output.to(tensors.x.dtype), counting(tensors))


def input_projections(
    cell: Cell, tensors: Arguments, products: tuple[tuple[int, ...], ...]
) -> list[Projection]:
    """x -> the input's share of the gates, in so many products."""
    size = hidden_size(cell, tensors)
    return _projections(tensors.w_ih, tensors.b_ih, tensors.gain_ih, products, size)


def recurrent_projections(cell: Cell, tensors: Arguments, variant: str) -> list[Projection]:
    """The recurrent products of a step."""
    if tensors.w_hh is None:
        return []
    size, products = hidden_size(cell, tensors), cell.variants[variant]
    return _projections(tensors.w_hh, tensors.b_hh, tensors.gain_hh, products, size)


def _projections(
    w: Tensor,
    b: Tensor | None,
    gain: Tensor | None,
    products: tuple[tuple[int, ...], ...],
    size: int,
) -> list[Projection]:
    """One projection for each product, with its share of the rows."""
    if len(products) == 1:
        return [Projection(w, b, gain, [block * size for block in products[0]])]
    found, first = [], 0
    for blocks in products:
        count = sum(blocks) * size
        own_b, own_gain = (None if t is None else t.narrow(-1, first, count) for t in (b, gain))
        sizes = [block * size for block in blocks]
        found.append(Projection(w.narrow(-2, first, count), own_b, own_gain, sizes))
        first += count
    return found


def recurrent_input(cell: Cell, tensors: Arguments, h: Tensor) -> Tensor:
    """What enters the recurrent products: h, projected where the cell says so, and dropped."""
    if tensors.w_hr is not None and not cell.projects_state:
        h = product(h, tensors.w_hr)
    return h if tensors.drop_h is None else h * tensors.drop_h


def over_steps(values: list[Tensor], some: Tensor) -> Tensor:
    """[T, B, .] from T times [B, .], of which `some` is one if there are none."""
    if not values:
        # With a gradient, if of nothing, like every other output.
        return some.unsqueeze(-3).narrow(-3, 0, 0)
    return torch.stack(values, dim=-3)


def counting(tensors: Arguments) -> Tensor | None:
    """[T, B, 1]: whether a step counts."""
    if tensors.lengths is None:
        return None
    steps = torch.arange(tensors.x.shape[-3], device=tensors.x.device)
    return (steps[:, None] < tensors.lengths.unsqueeze(-2))[..., None]


def starting(tensors: Arguments, reverse: bool) -> Tensor | None:
    """[T, B, 1]: whether the states are fresh before a step, in the direction of time."""
    if tensors.resets is None:
        return None
    starts = tensors.resets[..., None]
    valid = counting(tensors)
    if valid is not None:
        starts = starts & valid
    if not reverse:
        return starts
    time = starts.shape[-3]
    later = starts.narrow(-3, 1, max(time - 1, 0)) if time else starts
    return torch.cat([later, torch.zeros_like(starts.narrow(-3, 0, min(time, 1)))], dim=-3)


def masked(values: Tensor, valid: Tensor | None) -> Tensor:
    """The values, zero where a step does not count."""
    return values if valid is None else torch.where(valid, values, values.new_zeros(()))


def at_steps(values: Tensor | None, time: int) -> tuple[Tensor, ...] | None:
    """The values at each of so many steps, where there are any."""
    if values is None:
        return None
    return values.expand(*values.shape[:-3], time, *values.shape[-2:]).unbind(-3)


def _reserve(cell: Cell, tensors: Arguments, steps: Unrolled, save: int) -> Tensor:
    """[S, T, B, H], see contract.py."""
    names = slots(cell, tensors, save)
    reserve = tensors.x.new_empty(
        reserve_shape(cell, tensors, save), dtype=compute_dtype(tensors.x.dtype)
    )
    if tensors.x.shape[-3]:
        for name, place in zip(names, reserve, strict=True):
            if name in cell.kept:
                index = cell.kept.index(name)
                column = [kept[index] for kept in steps.kept]
            else:
                column = [states["hc".index(name)] for states in steps.states]
            torch.stack(column, dim=-3, out=place)
    return reserve
