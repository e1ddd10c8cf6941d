"""The GRU written down.

This is the GRU of Cho et al. 2014 (arXiv:1406.1078). In the variant "after" (version 1 of the
paper, cuDNN, torch and Keras' default) the reset gate acts on the recurrent product; in "before"
(version 3) on the state before the product. z is the update gate that carries the past on:
h_t = (1 - z_t) * n_t + z_t * h_{t-1}. Rows: reset, update, candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grukit.ops.backward import Past
from grukit.ops.cell import Cell, States
from grukit.ops.contract import Arguments
from grukit.ops.projection import Projection, ProjectionBackward


def step(
    of_x: Tensor,
    states: States,
    a: Tensor,
    recurrent: list[Projection],
    tensors: Arguments,
    variant: str,
) -> tuple[States, tuple[Tensor, ...]]:
    """The four equations; keeps r, z, n and the recurrent term of n."""
    (h,) = states
    hidden = h.shape[-1]
    x_gates, x_n = of_x.split([2 * hidden, hidden], dim=-1)
    if variant == "after":
        h_gates, term = recurrent[0](a).split([2 * hidden, hidden], dim=-1)
        r, z = torch.sigmoid(x_gates + h_gates).chunk(2, dim=-1)
        n = torch.tanh(x_n + r * term)
    else:
        r, z = torch.sigmoid(x_gates + recurrent[0](a)).chunk(2, dim=-1)
        term = r * a
        n = torch.tanh(x_n + recurrent[1](term))
    new = n if tensors.drop_n is None else n * tensors.drop_n
    return (torch.lerp(new, h, z),), (r, z, n, term)  # (1 - z) * n + z * h


class GruBackward:
    """One step back.

    With s the sums inside the sigmoids and the tanh, and dh the gradient of the new state:
    ds_n = dh (1 - z)(1 - n^2), ds_z = dh (h_prev - n) z (1 - z), and with q the recurrent product
    of the candidate ds_r = ds_n q r (1 - r).
    """

    emitted = None

    def __init__(self, past: Past) -> None:
        r, z, n, term = past.kept
        (h,) = past.before
        self.after = past.variant == "after"
        rest = 1 - z
        by_n = past.dropped((n * n).neg_().add_(1).mul_(rest))
        by_z = (h - past.dropped(n)).mul_(z).mul_(rest)
        by_r = (1 - r).mul_(r).mul_(term if self.after else past.a)
        self.by_n, self.by_z, self.by_r, self.r, self.z = (
            t.unbind(-3) for t in (by_n, by_z, by_r, r, z)
        )
        sizes = [2 * past.hidden, past.hidden]
        self.d_rows = past.buffer(3)
        self.d_gate_rows, self.d_term_rows = self.d_rows.split(sizes, dim=-1)
        # The gradient inside the tanh differs from that of the recurrent rows by r, if "after".
        self.d_n_rows = past.buffer(1) if self.after else self.d_term_rows
        d_r, d_z = self.d_gate_rows.chunk(2, dim=-1)
        self.d_r, self.d_z, self.d_n, self.d_term, self.d, self.d_gate = (
            t.unbind(-3)
            for t in (d_r, d_z, self.d_n_rows, self.d_term_rows, self.d_rows, self.d_gate_rows)
        )
        inputs = (past.a,) if self.after else (past.a, term)
        self.products = [*map(ProjectionBackward, past.recurrent, inputs)]
        apart = [self.d_gate_rows, self.d_n_rows]
        self.d_products = [self.d_rows] if self.after else apart
        self.d_inputs = apart if self.after else [self.d_rows]

    def step(self, t: int, d_states: States) -> tuple[States, Tensor]:
        (dh,) = d_states
        torch.mul(dh, self.by_n[t], out=self.d_n[t])
        torch.mul(dh, self.by_z[t], out=self.d_z[t])
        if self.after:
            torch.mul(self.d_n[t], self.by_r[t], out=self.d_r[t])
            torch.mul(self.d_n[t], self.r[t], out=self.d_term[t])
            d_a = self.products[0].of_a(self.d[t], t)
        else:
            d_term = self.products[1].of_a(self.d_n[t], t)
            torch.mul(d_term, self.by_r[t], out=self.d_r[t])
            d_a = self.products[0].of_a(self.d_gate[t], t) + d_term * self.r[t]
        return (dh * self.z[t],), d_a

    def d_parameters(self) -> dict[str, Tensor]:
        return {}


GRU = Cell(
    name="gru",
    variants={"after": ((2, 1),), "before": ((2,), (1,))},
    step=step,
    kept=("reset", "update", "memory", "term"),
    backward=GruBackward,
    projects_state=False,
    without={"before": ("w_hr",)},
)
