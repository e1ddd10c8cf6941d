"""The GRU written down: the truth for tests, the fallback, and the gradient of transforms.

This is the GRU of Cho et al. 2014 (arXiv:1406.1078). With `reset_after` (version 1 of the paper,
cuDNN, torch and Keras' default) the reset gate acts on the recurrent product; without it
(version 3) on the state before the product. z is the update gate that carries the past on:
h_t = (1 - z_t) * n_t + z_t * h_{t-1}.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from grukit.ops.gru.contract import RESERVED, compute_dtype


class Step(NamedTuple):
    """All that one step computes, each [B, H]."""

    reset: Tensor
    update: Tensor
    memory: Tensor
    recurrent: Tensor
    hidden: Tensor


def gru_step(gates: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None, after: bool) -> Step:
    """The four equations, for gates = W_i x_t + b_i [B, 3H] and the state h [B, H]."""
    hidden = h.shape[-1]
    of_x = gates.split([2 * hidden, hidden], dim=-1)
    if after:
        of_h, recurrent = linear(h, w_hh, b_hh).split([2 * hidden, hidden], dim=-1)
        r, z = torch.sigmoid(of_x[0] + of_h).chunk(2, dim=-1)
        n = torch.tanh(of_x[1] + r * recurrent)
    else:
        w = w_hh.split([2 * hidden, hidden])
        b = (None, None) if b_hh is None else b_hh.split([2 * hidden, hidden])
        r, z = torch.sigmoid(of_x[0] + linear(h, w[0], b[0])).chunk(2, dim=-1)
        recurrent = r * h
        n = torch.tanh(of_x[1] + linear(recurrent, w[1], b[1]))
    return Step(r, z, n, recurrent, torch.lerp(n, h, z))  # (1 - z) * n + z * h


def gru_reference(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reset_after: bool = True,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """The definition of the op: (output [T, B, H], final [B, H]), see contract.py.

    Made of ordinary torch ops, so that every derivative and transform follows from it.
    """
    steps, final = _unroll(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets, reset_after, reverse)
    return _stack([step.hidden for step in steps], h0, x, lengths), final.to(x.dtype)


def gru_trace(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reset_after: bool = True,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Reset gate, update gate, memory content and hidden state of every step, [T, B, H] each.

    Steps that do not count are zero.
    """
    steps, _ = _unroll(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets, reset_after, reverse)
    return (
        _stack([step.reset for step in steps], h0, x, lengths),
        _stack([step.update for step in steps], h0, x, lengths),
        _stack([step.memory for step in steps], h0, x, lengths),
        _stack([step.hidden for step in steps], h0, x, lengths),
    )


def forward(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    reset_after: bool,
    reverse: bool,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """(output, final, reserve); the reserve is empty unless `save`."""
    steps, final = _unroll(x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets, reset_after, reverse)
    output = _stack([step.hidden for step in steps], h0, x, lengths)
    # An op must not hand back its own input, as a sequence of no steps would.
    final = final.to(x.dtype).clone() if x.shape[0] == 0 else final.to(x.dtype)
    dtype = compute_dtype(x.dtype)
    if not save:
        return output, final, x.new_empty(0, dtype=dtype)
    if not steps:
        return output, final, x.new_empty((RESERVED, 0, *h0.shape), dtype=dtype)
    kept = [torch.stack([step[gate] for step in steps]) for gate in range(RESERVED)]
    return output, final, torch.stack(kept)


def backward(
    d_output: Tensor,
    d_final: Tensor,
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    lengths: Tensor | None,
    resets: Tensor | None,
    output: Tensor,
    reserve: Tensor,
    reset_after: bool,
    reverse: bool,
    wants_dx: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(dx, dh0, dw_ih, dw_hh, db_ih, db_hh) by hand; dx is empty unless `wants_dx`.

    With a the sums inside the sigmoids and the tanh, and dh the gradient of a state:
    da_n = dh (1 - z)(1 - n^2), da_z = dh (h_prev - n) z (1 - z), and with q the candidate's
    recurrent product da_r = da_n q r (1 - r). What does not depend on dh is computed for all
    steps at once, and so are the weight gradients after the loop.
    """
    time, batch, _ = x.shape
    hidden = h0.shape[-1]
    dtype = compute_dtype(x.dtype)
    x_, h0_, w_ih_, w_hh_ = (t.to(dtype) for t in (x, h0, w_ih, w_hh))
    valid = _valid(x, lengths)
    starts = _starts(resets, valid, reverse)
    before = _states_before(output.to(dtype), h0_, lengths, starts, reverse)
    r, z, n, recurrent = reserve
    d_output, dh = d_output.to(dtype), d_final.to(dtype)

    of_n = (1 - z) * (1 - n * n)
    of_z = (before - n) * z * (1 - z)
    of_r = r * (1 - r) * (recurrent if reset_after else before)
    if valid is not None:
        zero = d_output.new_zeros(())
        of_n, of_z, of_r, d_output = (
            torch.where(valid, t, zero) for t in (of_n, of_z, of_r, d_output)
        )
        z = torch.where(valid, z, zero + 1)

    d_gates = x.new_empty((time, batch, 3 * hidden), dtype=dtype)
    d_r, d_z, d_n = d_gates.split(hidden, dim=-1)
    # Gradient of the recurrent products where it differs from d_gates: the candidate's.
    d_recurrent = torch.empty_like(d_n, memory_format=torch.contiguous_format)
    w_gates, w_n = w_hh_.split([2 * hidden, hidden])
    for t in range(time) if reverse else reversed(range(time)):
        dh = dh + d_output[t]
        torch.mul(dh, of_n[t], out=d_n[t])
        torch.mul(dh, of_z[t], out=d_z[t])
        if reset_after:
            torch.mul(d_n[t], of_r[t], out=d_r[t])
            torch.mul(d_n[t], r[t], out=d_recurrent[t])
            dh = torch.addmm(dh * z[t], d_recurrent[t], w_n)
        else:
            torch.mm(d_n[t], w_n, out=d_recurrent[t])
            torch.mul(d_recurrent[t], of_r[t], out=d_r[t])
            dh = dh * z[t] + d_recurrent[t] * r[t]
        dh = torch.addmm(dh, d_gates[t, :, : 2 * hidden], w_gates)
        if starts is not None:
            dh = dh.masked_fill(starts[t], 0)

    rows = d_gates.reshape(time * batch, 3 * hidden)
    states = before.reshape(time * batch, hidden)
    d_product = d_recurrent if reset_after else d_n
    d_product = d_product.reshape(time * batch, hidden)
    w_n_input = states if reset_after else recurrent.reshape(time * batch, hidden)
    if valid is not None:
        x_ = torch.where(valid, x_, x_.new_zeros(()))
    dw_hh = torch.cat([rows[:, : 2 * hidden].T @ states, d_product.T @ w_n_input])
    db_ih = rows.sum(0)
    db_hh = torch.cat([db_ih[: 2 * hidden], d_product.sum(0)])
    dw_ih = rows.T @ x_.reshape(time * batch, x.shape[-1])
    dx = (d_gates @ w_ih_) if wants_dx else x_.new_empty(0)
    dx, dh, dw_ih, dw_hh, db_ih, db_hh = (
        t.to(x.dtype) for t in (dx, dh, dw_ih, dw_hh, db_ih, db_hh)
    )
    # An op must not hand back its own input, as a sequence of no steps would.
    return dx, dh.clone() if time == 0 else dh, dw_ih, dw_hh, db_ih, db_hh


def _unroll(
    x: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    lengths: Tensor | None,
    resets: Tensor | None,
    reset_after: bool,
    reverse: bool,
) -> tuple[list[Step], Tensor]:
    """The steps in the order of x, and the final state, in the compute dtype."""
    dtype = compute_dtype(x.dtype)
    x, h, w_ih, w_hh = (t.to(dtype) for t in (x, h0, w_ih, w_hh))
    b_ih, b_hh = (None if t is None else t.to(dtype) for t in (b_ih, b_hh))
    valid = _valid(x, lengths)
    if valid is not None:
        # Padding may hold anything; its NaN times a zero gradient would be NaN.
        x = torch.where(valid, x, x.new_zeros(()))
    gates = linear(x, w_ih, b_ih)
    starts = _starts(resets, valid, reverse)
    steps: list[Step] = []
    for t in reversed(range(x.shape[0])) if reverse else range(x.shape[0]):
        if starts is not None:
            h = torch.where(starts[t], h.new_zeros(()), h)
        step = gru_step(gates[t], h, w_hh, b_hh, reset_after)
        if valid is not None:
            step = step._replace(hidden=torch.where(valid[t], step.hidden, h))
        h = step.hidden
        steps.append(step)
    return (steps[::-1] if reverse else steps), h


def _stack(values: list[Tensor], h0: Tensor, x: Tensor, lengths: Tensor | None) -> Tensor:
    """[T, B, H] in the dtype of x, zero where a step does not count."""
    if not values:
        # With a gradient, if of nothing, like every other output.
        return torch.stack([h0])[:0]
    stacked = torch.stack(values).to(x.dtype)
    valid = _valid(x, lengths)
    return stacked if valid is None else torch.where(valid, stacked, stacked.new_zeros(()))


def _valid(x: Tensor, lengths: Tensor | None) -> Tensor | None:
    """[T, B, 1]: whether a step counts."""
    if lengths is None:
        return None
    return (torch.arange(x.shape[0], device=x.device)[:, None] < lengths)[..., None]


def _starts(resets: Tensor | None, valid: Tensor | None, reverse: bool) -> Tensor | None:
    """[T, B, 1]: whether the state is zero before a step, in the direction of time."""
    if resets is None:
        return None
    starts = resets[..., None] if valid is None else resets[..., None] & valid
    return torch.cat([starts[1:], torch.zeros_like(starts[:1])]) if reverse else starts


def _states_before(
    output: Tensor, h0: Tensor, lengths: Tensor | None, starts: Tensor | None, reverse: bool
) -> Tensor:
    """[T, B, H]: the state each step started from; anything where a step does not count."""
    if output.shape[0] == 0:
        return output
    if reverse:
        before = torch.cat([output[1:], h0[None]])
        if lengths is not None:
            last = torch.arange(output.shape[0], device=output.device)[:, None] == lengths - 1
            before = torch.where(last[..., None], h0, before)
    else:
        before = torch.cat([h0[None], output[:-1]])
    return before if starts is None else before.masked_fill(starts, 0)
