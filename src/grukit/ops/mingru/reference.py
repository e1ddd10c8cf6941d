"""The minGRU written down: Feng et al. 2024 (arXiv:2410.01201).

Its gates do not look at the state, so that a step is linear in it, and a sequence a scan, which can
be computed in parallel over time. The paper writes h_t = (1 - z_t) * h_{t-1} + z_t * n_t. Here, as
in every GRU of this library, z is the update gate that carries the past on:
h_t = (1 - z_t) * n_t + z_t * h_{t-1}, which is the paper's with z_t and 1 - z_t exchanged, that is
with the rows of z and their bias negated. In the variant "plain" n is W x + b (the paper's
algorithm 1 without log space); in "positive" it is g(W x + b) with g(v) = v + 0.5 for v >= 0, else
sigmoid(v) (its appendix B), which is above 0, as their computation in log space needs it; nothing
here does. Rows: update, candidate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grukit.ops.backward import Past
from grukit.ops.cell import Cell, States
from grukit.ops.contract import Arguments
from grukit.ops.projection import Projection, ProjectionBackward


def gates(of_x: Tensor, variant: str) -> tuple[Tensor, Tensor]:
    """z and n, from their rows."""
    x_z, x_n = of_x.chunk(2, dim=-1)
    n = torch.where(x_n >= 0, x_n + 0.5, torch.sigmoid(x_n)) if variant == "positive" else x_n
    return torch.sigmoid(x_z), n


def step(
    of_x: Tensor,
    states: States,
    a: Tensor,
    recurrent: list[Projection],
    tensors: Arguments,
    variant: str,
) -> tuple[States, tuple[Tensor, ...]]:
    """The three equations; keeps z and n."""
    (h,) = states
    z, n = gates(of_x, variant)
    new = n if tensors.drop_n is None else n * tensors.drop_n
    return (torch.lerp(new, h, z),), (z, n)


def slope(n: Tensor, variant: str) -> Tensor:
    """The derivative of n by what g acts on: below 0 that of the sigmoid."""
    one = n.new_ones(())
    return torch.where(n >= 0.5, one, n * (1 - n)) if variant == "positive" else one


class MinGruBackward:
    """One step back.

    With s the sums inside, and dh the gradient of the new state: ds_n = dh (1 - z) g'(s_n) and
    ds_z = dh (h_prev - n) z (1 - z).
    """

    emitted = None
    products: tuple[ProjectionBackward, ...] = ()
    d_products: tuple[Tensor, ...] = ()

    def __init__(self, past: Past) -> None:
        z, n = past.kept
        (h,) = past.before
        rest = 1 - z
        self.z = z.unbind(-3)
        self.by_n = past.dropped(rest * slope(n, past.variant)).unbind(-3)
        self.by_z = (h - past.dropped(n)).mul_(z).mul_(rest).unbind(-3)
        d_rows = past.buffer(2)
        self.d_inputs = (d_rows,)
        self.d_z, self.d_n = (part.unbind(-3) for part in d_rows.chunk(2, dim=-1))

    def step(self, t: int, d_states: States) -> tuple[States, None]:
        (dh,) = d_states
        torch.mul(dh, self.by_n[t], out=self.d_n[t])
        torch.mul(dh, self.by_z[t], out=self.d_z[t])
        return (dh * self.z[t],), None

    def d_parameters(self) -> dict[str, Tensor]:
        return {}


MINGRU = Cell(
    name="mingru",
    variants={"plain": ((1, 1),), "positive": ((1, 1),)},
    step=step,
    kept=("update", "memory"),
    backward=MinGruBackward,
    projects_state=False,
    recurrent=False,
)
