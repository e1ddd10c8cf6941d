"""The plain RNN written down: Elman 1990, with tanh or relu, as in torch and cuDNN."""

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
    """The one equation; keeps its result."""
    total = of_x + recurrent[0](a)
    h = torch.tanh(total) if variant == "tanh" else torch.relu(total)
    return (h,), (h,)


class RnnBackward:
    """One step back: with s the sum inside, ds = dh (1 - h^2), or dh where h > 0 for relu."""

    def __init__(self, past: Past) -> None:
        (h,) = past.kept
        self.emitted = h
        slope = 1 - h * h if past.variant == "tanh" else (h <= 0).logical_not_().to(h.dtype)
        self.by_h = slope.unbind(-3)
        self.d_rows = past.buffer(1)
        self.d = self.d_rows.unbind(-3)
        self.d_products = self.d_inputs = (self.d_rows,)
        self.products = (ProjectionBackward(past.recurrent[0], past.a),)

    def step(self, t: int, d_states: States) -> tuple[tuple[Tensor | None, ...], Tensor]:
        torch.mul(d_states[0], self.by_h[t], out=self.d[t])
        return (None,), self.products[0].of_a(self.d[t], t)

    def d_parameters(self) -> dict[str, Tensor]:
        return {}


RNN = Cell(
    name="rnn",
    variants={"tanh": ((1,),), "relu": ((1,),)},
    step=step,
    kept=("memory",),
    backward=RnnBackward,
    without={"tanh": ("drop_n",), "relu": ("drop_n",)},
)
