"""The backward pass of a recurrence, by hand: time, masks and weights; the step is the cell's.

What does not depend on the gradient of a later step is computed for all steps at once, and so
are the gradients of the weights, after the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from grukit.ops.cell import Cell, States
from grukit.ops.contract import SAVE_ALL, Arguments, hidden_size, slots
from grukit.ops.projection import Projection, ProjectionBackward, over_time, product
from grukit.ops.sequence import (
    at_steps,
    counting,
    input_projections,
    masked,
    recurrent_projections,
    starting,
)


@dataclass(frozen=True)
class Past:
    """What the forward pass left, for all steps, [T, B, H] each."""

    tensors: Arguments
    variant: str
    hidden: int
    before: States
    """The states that each step started from."""
    a: Tensor
    """What entered the recurrent products."""
    kept: tuple[Tensor, ...]
    recurrent: list[Projection]

    def buffer(self, gates: int) -> Tensor:
        """Room for the gradients of so many gates at every step."""
        return self.a.new_empty((*self.kept[0].shape[:-1], gates * self.hidden))

    def dropped(self, values: Tensor) -> Tensor:
        """Values at all steps times the factors of the candidate."""
        mask = self.tensors.drop_n
        return values if mask is None else values * mask.unsqueeze(-3)


class StepBackward(Protocol):
    """One step of a cell backwards, and what is left after the last one."""

    @property
    def products(self) -> Sequence[ProjectionBackward]:
        """The recurrent products."""
        ...

    @property
    def d_products(self) -> Sequence[Tensor]:
        """The gradients of their results."""
        ...

    @property
    def emitted(self) -> Tensor | None:
        """What a projection of the state acted on."""
        ...

    def step(self, t: int, d_states: States, /) -> tuple[tuple[Tensor | None, ...], Tensor | None]:
        """The gradients of the old states, as far as they act directly, and of `a`.

        Each is None where there is none; of h and `a` at most one.
        """
        ...

    @property
    def d_inputs(self) -> Sequence[Tensor]:
        """The gradients of the input's share of the gates, in the order of the rows."""
        ...

    def d_parameters(self) -> dict[str, Tensor]:
        """The gradients of parameters that only this cell has."""
        ...


def backward(
    cell: Cell,
    tensors: Arguments,
    d_output: Tensor,
    d_final: States,
    output: Tensor,
    reserve: Tensor,
    variant: str,
    reverse: bool,
    save: int,
    wants: Sequence[str],
) -> dict[str, Tensor]:
    """The gradients of the arguments in `wants`, by name."""
    assert cell.backward is not None
    given, tensors = tensors, tensors.computed()
    dtype = tensors.x.dtype
    valid, starts = counting(tensors), starting(tensors, reverse)
    w_hr = tensors.w_hr
    held = dict(zip(slots(cell, given, save), reserve, strict=True))
    after = held.get("h", output.to(dtype))
    before: States = (before_steps(after, tensors.h0, tensors.fresh_h, tensors, starts, reverse),)
    if tensors.c0 is not None:
        before += (before_steps(held["c"], tensors.c0, tensors.fresh_c, tensors, starts, reverse),)
    a = before[0]
    if w_hr is not None and not cell.projects_state:
        a = over_time(lambda h: product(h, w_hr), a)
    if tensors.drop_h is not None:
        a = a * tensors.drop_h.unsqueeze(-3)
    x = masked(tensors.x, valid)
    if save == SAVE_ALL:
        kept = tuple(held[name] for name in cell.kept)
    else:
        kept = _kept_again(cell, tensors, variant, x, before, a)
    recurrent = recurrent_projections(cell, tensors, variant)
    past = Past(tensors, variant, hidden_size(cell, tensors), before, a, kept, recurrent)
    back = cell.backward(past)

    d_output = masked(d_output.to(dtype), valid)
    d_states = tuple(d.to(dtype) for d in d_final)
    d_h_output = d_output
    if w_hr is not None and not cell.projects_state:
        d_h_output = torch.matmul(d_output.flatten(-3, -2), w_hr).unflatten(
            -2, d_output.shape[-3:-1]
        )
    wants_fresh = "fresh_h" in wants or "fresh_c" in wants
    d_projected, d_states, d_fresh = _loop(
        cell, tensors, back, d_h_output, d_states, valid, starts, reverse, wants_fresh
    )

    found = dict(zip(("h0", "c0"), d_states, strict=False))
    found |= dict(zip(("fresh_h", "fresh_c"), d_fresh, strict=False))
    if "gain_c" in wants or "bias_c" in wants:
        found |= back.d_parameters()
    if cell.recurrent:
        found |= _of_products("hh", back.products, back.d_products, wants)[0]
    found |= of_inputs(cell, tensors, x, back.d_inputs, wants)
    if w_hr is not None and "w_hr" in wants:
        d_products = torch.stack(d_projected, dim=-3) if d_projected else d_output
        if cell.projects_state:
            assert back.emitted is not None
            pairs = [(d_products, back.emitted)]
        else:
            pairs = [(d_products, before[0]), (d_output, after)]
        d_all, of_all = (
            torch.cat(side, dim=-3).flatten(-3, -2) for side in zip(*pairs, strict=True)
        )
        found["w_hr"] = torch.matmul(d_all.mT, of_all)
    copies = tensors.x.shape[-3] == 0  # An op must not hand back its own input.
    return {name: found[name].to(given.x.dtype, copy=copies).contiguous() for name in wants}


def of_inputs(
    cell: Cell, tensors: Arguments, x: Tensor, d_inputs: Sequence[Tensor], wants: Sequence[str]
) -> dict[str, Tensor]:
    """The gradients of x and of the weights of its product, those that are wanted.

    d_inputs: those of the input's share of the gates, [T, B, rows] each.
    """
    blocks = (cell.blocks,) if len(d_inputs) == 1 else tuple((n,) for n in cell.blocks)
    inputs = [ProjectionBackward(part, x) for part in input_projections(cell, tensors, blocks)]
    found, of_products = _of_products("ih", inputs, d_inputs, wants)
    if "x" in wants:
        pairs = zip(of_products, inputs, strict=True)
        dx, *others = (torch.matmul(d, of.projection.w) for d, of in pairs)
        for part in others:
            dx += part
        found["x"] = dx.unflatten(-2, x.shape[-3:-1])
    return found


def _kept_again(
    cell: Cell, tensors: Arguments, variant: str, x: Tensor, before: States, a: Tensor
) -> tuple[Tensor, ...]:
    """What every step keeps, [T, B, H] each, from the states that each started from."""
    time, batch = x.shape[-3:-1]

    def together(t: Tensor) -> Tensor:
        return t.flatten(-3, -2)

    # All steps at once are one step of T * B sequences.
    if tensors.drop_n is not None:
        mask = tensors.drop_n.unsqueeze(-3)
        mask = together(mask.expand(*mask.shape[:-3], time, *mask.shape[-2:]))
        tensors = tensors._replace(drop_n=mask)
    _, kept = cell.step(
        input_projections(cell, tensors, (cell.blocks,))[0](together(x)),
        tuple(map(together, before)),
        together(a),
        recurrent_projections(cell, tensors, variant),
        tensors,
        variant,
    )
    return tuple(t.unflatten(-2, (time, batch)) for t in kept)


def _loop(
    cell: Cell,
    tensors: Arguments,
    back: StepBackward,
    d_output: Tensor,
    d_states: States,
    valid: Tensor | None,
    starts: Tensor | None,
    reverse: bool,
    wants_fresh: bool,
) -> tuple[list[Tensor], States, States]:
    """The gradients of what w_hr gave at each step, of the initial and of the fresh states."""
    time, w_hr = d_output.shape[-3], tensors.w_hr
    kept = [_kept(keep, valid, d_output) for keep in (tensors.keep_h, tensors.keep_c)]
    passes = [at_steps(None if keep is None else 1 - keep, time) for keep in kept]
    keeps = [at_steps(keep, time) for keep in kept]
    fresh_at = at_steps(starts, time)
    d_outputs = d_output.unbind(-3)
    d_projected: list[Tensor] = []
    d_fresh = tuple(torch.zeros_like(d) for d in d_states)
    for t in range(time) if reverse else reversed(range(time)):
        d_states = (d_states[0] + d_outputs[t], *d_states[1:])
        d_new = tuple(
            d if passing is None else d * passing[t]
            for d, passing in zip(d_states, passes, strict=False)
        )
        if w_hr is not None and cell.projects_state:
            d_projected.append(d_new[0])
            d_new = (torch.matmul(d_new[0], w_hr), *d_new[1:])
        direct, d_a = back.step(t, d_new)
        if d_a is not None and tensors.drop_h is not None:
            d_a = d_a * tensors.drop_h
        if w_hr is not None and not cell.projects_state:
            assert d_a is not None
            d_projected.append(d_a)
            d_a = torch.matmul(d_a, w_hr)
        of_h = [d for d in (direct[0], d_a) if d is not None]
        d_old = [of_h[0] if len(of_h) == 1 else of_h[0] + of_h[1], *direct[1:]]
        for index, keep in enumerate(keeps[: len(d_old)]):
            if keep is not None:
                d_old[index] = d_old[index] + d_states[index] * keep[t]
        if fresh_at is not None:
            if wants_fresh:
                d_fresh = tuple(
                    sum_ + torch.where(fresh_at[t], d, d.new_zeros(()))
                    for sum_, d in zip(d_fresh, d_old, strict=True)
                )
            d_old = [d.masked_fill(fresh_at[t], 0) for d in d_old]
        d_states = tuple(d_old)
    return d_projected if reverse else d_projected[::-1], d_states, d_fresh


def _of_products(
    which: str,
    products: Sequence[ProjectionBackward],
    d_results: Sequence[Tensor],
    wants: Sequence[str],
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The gradients of the weights of some products, and of the products, [N, R]."""
    wanted = [name for name in ("w", "b", "gain") if f"{name}_{which}" in wants]
    parts, of_products = [], []
    for projection, d_result in zip(products, d_results, strict=True):
        d = d_result.flatten(-3, -2)
        of_products.append(projection.of_product(d))
        parts.append(projection.of_weights(d, of_products[-1], wanted))
    whole = {
        f"{name}_{which}": parts[0][name]
        if len(parts) == 1
        else torch.cat([part[name] for part in parts], dim=-2 if name == "w" else -1)
        for name in parts[0]
    }
    return whole, of_products


def _kept(keep: Tensor | None, valid: Tensor | None, d_output: Tensor) -> Tensor | None:
    """How much of the old state a step keeps, as a mask of zoneout; all where none counts."""
    if valid is None:
        return keep
    one = d_output.new_ones(())
    return torch.where(valid, torch.zeros_like(one) if keep is None else keep, one)


def before_steps(
    states: Tensor,
    first: Tensor,
    fresh: Tensor | None,
    tensors: Arguments,
    starts: Tensor | None,
    reverse: bool,
) -> Tensor:
    """[T, B, H]: the state each step started from; anything where a step does not count."""
    time = states.shape[-3]
    if time == 0:
        return states
    first = first.unsqueeze(-3)
    if reverse:
        before = torch.cat([states.narrow(-3, 1, time - 1), first], dim=-3)
        if tensors.lengths is not None:
            steps = torch.arange(time, device=states.device)[:, None]
            last = steps == tensors.lengths.unsqueeze(-2) - 1
            before = torch.where(last[..., None], first, before)
    else:
        before = torch.cat([first, states.narrow(-3, 0, time - 1)], dim=-3)
    if starts is None:
        return before
    start = before.new_zeros(()) if fresh is None else fresh.unsqueeze(-3)
    return torch.where(starts, start, before)
