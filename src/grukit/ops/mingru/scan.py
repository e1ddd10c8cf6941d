"""The backend "scan": the minGRU in parallel over time, made of torch ops, on any device.

A step is h_t = a_t * h_{t-1} + b_t, and two steps together are one of that form. So all steps are
there after log2(T) rounds, each of which joins what covers s steps to what covers 2 s (Hillis and
Steele 1986). Nothing is divided and no logarithm is taken: with a from 0 to 1 a product may only
vanish, which is what it then is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from grukit.ops.backward import before_steps, of_inputs
from grukit.ops.cell import Cell, States
from grukit.ops.contract import Arguments, reserve_shape, slots
from grukit.ops.dispatch import Backend
from grukit.ops.mingru.reference import gates, slope
from grukit.ops.sequence import counting, input_projections, masked, over_time, starting


def scan(cell: Cell) -> Backend:
    """The backend of a cell whose step is linear in its state."""

    def run_forward(
        tensors: Arguments, variant: str, reverse: bool, save: int
    ) -> tuple[Tensor, ...]:
        return forward(cell, tensors, variant, reverse, save)

    def run_backward(tensors: Arguments, *rest: object) -> dict[str, Tensor]:
        return backward(cell, tensors, *rest)  # type: ignore[arg-type]

    return Backend("scan", lambda call: (), run_forward, run_backward)


def linear_scan(a: Tensor, b: Tensor, first: Tensor) -> Tensor:
    """h_t = a_t * h_{t-1} + b_t for all t, [*, T, B, H], from the state before them [*, B, H].

    >>> a, b = torch.full((3, 1, 1), 0.5), torch.ones(3, 1, 1)
    >>> linear_scan(a, b, torch.zeros(1, 1)).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    time, covered = a.shape[-3], 1
    if time == 0:
        return b.clone()
    h = b.clone()
    h.select(-3, 0).addcmul_(a.select(-3, 0), first)
    while covered < time:
        rest = time - covered
        later = a.narrow(-3, covered, rest)
        joined = h.clone()
        joined.narrow(-3, covered, rest).addcmul_(later, h.narrow(-3, 0, rest))
        h, covered = joined, 2 * covered
        if covered < time:
            a = torch.cat([a.narrow(-3, 0, covered // 2), later * a.narrow(-3, 0, rest)], dim=-3)
    return h


def forward(
    cell: Cell, given: Arguments, variant: str, reverse: bool, save: int
) -> tuple[Tensor, ...]:
    """Output, final state and reserve."""
    tensors, dtype = given.computed(), given.x.dtype
    valid, starts = counting(tensors), starting(tensors, reverse)
    z, n = gates(share_of_x(cell, tensors, masked(tensors.x, valid)), variant)
    carry, moves = factors(tensors, z, valid)
    new = moves * n if tensors.drop_n is None else moves * n * tensors.drop_n.unsqueeze(-3)
    if starts is not None:
        if tensors.fresh_h is not None:
            new = torch.where(starts, new + carry * tensors.fresh_h.unsqueeze(-3), new)
        carry = carry.masked_fill(starts, 0)
    ordered = linear_scan(in_order(carry, reverse), in_order(new, reverse), tensors.h0)
    states = in_order(ordered, reverse)
    final = states.select(-3, 0 if reverse else -1) if states.shape[-3] else tensors.h0
    reserve = states.new_empty(reserve_shape(cell, given, save))
    parts = {"update": z, "memory": n, "h": states}
    for name, place in zip(slots(cell, given, save), reserve, strict=True):
        place.copy_(parts[name])
    output = masked(states, valid).to(dtype)
    return output.contiguous(), final.to(dtype, copy=True).contiguous(), reserve


def backward(
    cell: Cell,
    given: Arguments,
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
    tensors = given.computed()
    dtype = tensors.x.dtype
    valid, starts = counting(tensors), starting(tensors, reverse)
    x = masked(tensors.x, valid)
    held = dict(zip(slots(cell, given, save), reserve, strict=True))
    if "update" in held:
        z, n = held["update"], held["memory"]
    else:
        z, n = gates(share_of_x(cell, tensors, x), variant)
    after = held.get("h", output.to(dtype))
    before = before_steps(after, tensors.h0, tensors.fresh_h, tensors, starts, reverse)
    carry, moves = factors(tensors, z, valid)

    d_output, d_last = masked(d_output.to(dtype), valid), d_final[0].to(dtype)
    kept = carry if starts is None else carry.masked_fill(starts, 0)
    # What the gradient after a step gets of the one after the next step, last step first.
    passed = in_order(kept, not reverse)
    time = passed.shape[-3]
    passed = torch.cat([torch.ones_like(passed.narrow(-3, 0, min(time, 1))), passed], dim=-3)
    sums = in_order(d_output, not reverse)
    dh = in_order(linear_scan(passed.narrow(-3, 0, time), sums, d_last), not reverse)
    d_before = carry * dh
    found = {"h0": d_last}
    if time:
        first = time - 1 if reverse else 0
        found["h0"] = (kept * dh).select(-3, first)
    if "fresh_h" in wants:
        fresh = torch.zeros_like(d_before) if starts is None else d_before * starts
        found["fresh_h"] = fresh.sum(-3)

    drop = None if tensors.drop_n is None else tensors.drop_n.unsqueeze(-3)
    dn = dh * moves * slope(n, variant)
    shown = n
    if drop is not None:
        dn, shown = dn * drop, n * drop
    dz = dh * moves * z * (before - shown)
    d_rows = torch.cat([masked(dz, valid), masked(dn, valid)], dim=-1)
    found |= of_inputs(cell, tensors, x, (d_rows,), wants)
    copies = time == 0  # An op must not hand back its own input.
    return {name: found[name].to(given.x.dtype, copy=copies).contiguous() for name in wants}


def share_of_x(cell: Cell, tensors: Arguments, x: Tensor) -> Tensor:
    """W x + b of all gates, [T, B, 2 H]."""
    return over_time(input_projections(cell, tensors, (cell.blocks,))[0], x)


def factors(tensors: Arguments, z: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """What a step takes of the state before it, all in padding, and of the candidate."""
    carry, moves = z, 1 - z
    if tensors.keep_h is not None:
        carry, moves = torch.lerp(z, z.new_ones(()), tensors.keep_h), moves * (1 - tensors.keep_h)
    if valid is not None:
        carry = torch.where(valid, carry, carry.new_ones(()))
        moves = masked(moves, valid)
    return carry, moves


def in_order(values: Tensor, reverse: bool) -> Tensor:
    """The steps as they are, or the last one first."""
    return values.flip(-3) if reverse else values
