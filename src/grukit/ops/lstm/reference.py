"""The LSTM written down.

Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, as in torch and cuDNN;
the projection of the state is that of Sak et al. 2014 (arXiv:1402.1128). Rows: input, forget,
candidate, output.
"""

from __future__ import annotations

import torch
from torch import Tensor

from grukit.ops.backward import Past
from grukit.ops.cell import Cell, States
from grukit.ops.contract import Arguments
from grukit.ops.projection import (
    Projection,
    ProjectionBackward,
    normalize,
    normalize_backward,
    rows,
)


def step(
    of_x: Tensor,
    states: States,
    a: Tensor,
    recurrent: list[Projection],
    tensors: Arguments,
    variant: str,
) -> tuple[States, tuple[Tensor, ...]]:
    """The equations of one step; keeps i, f, g, o."""
    i, f, g, o = (of_x + recurrent[0](a)).chunk(4, dim=-1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    new = g if tensors.drop_n is None else g * tensors.drop_n
    c = torch.addcmul(f * states[1], i, new)
    return (o * torch.tanh(normalized(c, tensors)), c), (i, f, g, o)


def normalized(c: Tensor, tensors: Arguments) -> Tensor:
    """norm(c) * gain + bias with layer norm (Ba et al. 2016), else c."""
    if tensors.gain_c is None or tensors.bias_c is None:
        return c
    hat, _ = normalize(c, c.shape[-1:])
    return hat * rows(tensors.gain_c) + rows(tensors.bias_c)


class LstmBackward:
    """One step back.

    With s the sums inside the gates, and dh, dc the gradients of the new states: ds_o = dh tanh(c)
    o (1 - o), and with dc' = dc + dh o (1 - tanh(c)^2), ds_i = dc' g i (1 - i), ds_f = dc' c_prev
    f (1 - f), ds_g = dc' i (1 - g^2), dc_prev = dc' f.
    """

    def __init__(self, past: Past) -> None:
        i, f, g, o = past.kept
        c_before = past.before[1]
        new = past.dropped(g)
        c = f * c_before + i * new
        self.size = c.shape[-1:]
        self.gain = past.tensors.gain_c
        if self.gain is None or past.tensors.bias_c is None:
            squashed = torch.tanh(c)
        else:
            self.gain = rows(self.gain)
            self.hat, (scale,) = normalize(c, self.size)
            gain, bias = (t.unsqueeze(-2) for t in (self.gain, rows(past.tensors.bias_c)))
            squashed = torch.tanh(self.hat * gain + bias)
            self.hats, self.scales = self.hat.unbind(-3), scale.unbind(-3)
            self.d_normalized_rows = past.buffer(1)
            self.d_normalized = self.d_normalized_rows.unbind(-3)
        self.emitted = o * squashed
        self.by_c = (o * (1 - squashed * squashed)).unbind(-3)
        self.f = f.unbind(-3)
        by_gates = [
            new * i * (1 - i),
            c_before * f * (1 - f),
            past.dropped(i * (1 - g * g)),
            squashed * o * (1 - o),
        ]
        self.by_gates = [by.unbind(-3) for by in by_gates]
        self.d_rows = past.buffer(4)
        self.d_products = self.d_inputs = (self.d_rows,)
        self.products = (ProjectionBackward(past.recurrent[0], past.a),)
        self.d = self.d_rows.unbind(-3)
        self.d_each = [d.unbind(-3) for d in self.d_rows.chunk(4, dim=-1)]

    def step(self, t: int, d_states: States) -> tuple[tuple[Tensor | None, ...], Tensor]:
        dh, dc = d_states
        if self.gain is None:
            dc = torch.addcmul(dc, dh, self.by_c[t])
        else:
            torch.mul(dh, self.by_c[t], out=self.d_normalized[t])
            dc = dc + normalize_backward(
                self.d_normalized[t] * self.gain, self.hats[t], [self.scales[t]], self.size
            )
        for gate, of in enumerate((dc, dc, dc, dh)):
            torch.mul(of, self.by_gates[gate][t], out=self.d_each[gate][t])
        return (None, dc * self.f[t]), self.products[0].of_a(self.d[t], t)

    def d_parameters(self) -> dict[str, Tensor]:
        if self.gain is None:
            return {}
        d = self.d_normalized_rows
        return {"gain_c": (d * self.hat).sum((-3, -2)), "bias_c": d.sum((-3, -2))}


LSTM = Cell(
    name="lstm",
    variants={"": ((4,),)},
    step=step,
    kept=("input", "forget", "memory", "output"),
    backward=LstmBackward,
    has_c=True,
)
