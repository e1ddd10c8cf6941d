"""The equations of every kind, by which its trace is checked.

The products of a step are W a + b, or with layer norm norm(W a) * gain + b (Ba et al. 2016); in
eval mode zoneout keeps the share k of the state before (Krueger et al. 2017). Written down once
more, from the parameters by name and for one layer, so that they are no part of what they check.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from grukit.testing.layers.making import (
    by_place,
    make_layer,
    some_input,
    some_resets,
    some_state,
    suffixes,
)
from grukit.testing.parity import assert_close
from grukit.testing.running import Check
from grukit.testing.subjects import LENGTHS, B, Factory, leaves, mapped


class Weights:
    """The parameters of a layer's first layer, with axes for time and batch."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def vector(self, name: str) -> Tensor:
        """[1, 1, R], with models [K, 1, 1, R]."""
        return getattr(self.layer, f"{name}_l0")[..., None, None, :]

    def product(self, a: Tensor, name: str, rows: slice = slice(None)) -> Tensor:
        """W a of some rows."""
        return a @ getattr(self.layer, f"{name}_l0")[..., rows, :].mT.unsqueeze(-3)

    def gates(self, side: str, a: Tensor, rows: slice = slice(None)) -> Tensor:
        """W a + b of some rows, side ih or hh, with layer norm over these."""
        result = self.product(a, f"weight_{side}", rows)
        if self.layer.layer_norm:
            result = self.normalized(result) * self.vector(f"gain_{side}")[..., rows]
        return result + self.vector(f"bias_{side}")[..., rows] if self.layer.bias else result

    def normalized(self, a: Tensor) -> Tensor:
        return layer_norm(a, a.shape[-1:], eps=1e-5)

    def projected(self, h: Tensor) -> Tensor:
        return self.product(h, "weight_hr") if self.layer.proj_size else h

    def zoned_out(self, state: int, new: Tensor, old: Tensor) -> Tensor:
        rate = self.layer.zoneout
        k = rate[state] if isinstance(rate, tuple) else rate
        return k * old + (1 - k) * new


def gru(w: Weights, x: Tensor, old: list[Tensor]) -> tuple[Tensor, ...]:
    (h,) = old
    size = h.shape[-1]
    gates, candidate = slice(2 * size), slice(2 * size, None)
    a = w.projected(h)
    r, z = torch.sigmoid(w.gates("ih", x, gates) + w.gates("hh", a, gates)).chunk(2, dim=-1)
    x_n = w.gates("ih", x, candidate)
    if w.layer.reset_after:
        n = torch.tanh(x_n + r * w.gates("hh", a, candidate))
    else:
        n = torch.tanh(x_n + w.gates("hh", r * a, candidate))
    return r, z, n, w.zoned_out(0, (1 - z) * n + z * h, h)


def lstm(w: Weights, x: Tensor, old: list[Tensor]) -> tuple[Tensor, ...]:
    h, c = old
    i, f, g, o = (w.gates("ih", x) + w.gates("hh", h)).chunk(4, dim=-1)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    new_c = shown = f * c + i * g
    if w.layer.layer_norm:
        shown = w.normalized(new_c) * w.vector("gain_c") + w.vector("bias_c")
    new_h = w.projected(o * torch.tanh(shown))
    return i, f, g, o, w.zoned_out(1, new_c, c), w.zoned_out(0, new_h, h)


def rnn(w: Weights, x: Tensor, old: list[Tensor]) -> tuple[Tensor, ...]:
    (h,) = old
    total = w.gates("ih", x) + w.gates("hh", h)
    m = torch.tanh(total) if w.layer.nonlinearity == "tanh" else torch.relu(total)
    return m, w.zoned_out(0, w.projected(m), h)


def mingru(w: Weights, x: Tensor, old: list[Tensor]) -> tuple[Tensor, ...]:
    (h,) = old
    size = h.shape[-1]
    z = torch.sigmoid(w.gates("ih", x, slice(size)))
    n = w.gates("ih", x, slice(size, None))
    if w.layer.positive:
        n = torch.relu(n) + torch.sigmoid(n.clamp(max=0))
    return z, n, w.zoned_out(0, (1 - z) * n + z * h, h)


EQUATIONS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "GRU": gru,
    "LSTM": lstm,
    "RNN": rnn,
    "MinGRU": mingru,
}
"""By the name of the class: from the states before each step what the trace must be."""


def single_steps(layer: Any, x: Tensor, h0: Any, before: list[Tensor]) -> tuple[Tensor, ...]:
    """The trace of every step on its own, from the states before it."""
    traces = []
    for t in range(x.shape[-3]):
        states = iter([states[..., t : t + 1, :, :] for states in before])
        state = mapped(lambda _, states=states: next(states), h0)
        traces.append(layer.trace(x[..., t : t + 1, :, :], state))
    return tuple(torch.cat(parts, dim=-3) for parts in zip(*traces, strict=True))


def the_trace_satisfies_the_equations(factory: Factory) -> None:
    """Those above; a kind without any must at least agree with its own single steps."""
    layer = make_layer(factory, num_layers=1)
    equations = [EQUATIONS[c.__name__] for c in type(layer).__mro__ if c.__name__ in EQUATIONS]
    x, h0 = some_input(layer), some_state(layer)
    trace = layer.trace(x, h0)
    over_time = (trace.hidden, trace.cell) if "cell" in trace._fields else (trace.hidden,)
    before = [
        torch.cat([first, states[..., :-1, :, :]], dim=-3)
        for first, states in zip(leaves(h0), over_time, strict=True)
    ]
    if equations:
        wanted = equations[0](Weights(layer), x, before)
    else:
        wanted = single_steps(layer, x, h0, before)
    for name, value, equation in zip(trace._fields, trace, wanted, strict=True):
        assert_close(value, equation, f"{name} by its equation")


def the_final_state_is_the_last_traced(factory: Factory) -> None:
    """Of every layer and direction; where no step counts it is the first one."""
    layer = make_layer(factory, bidirectional=True)
    x, h0, lengths = some_input(layer), some_state(layer), torch.tensor(LENGTHS)
    options = {"lengths": lengths, "resets": some_resets()}
    first, last = by_place(layer, h0), by_place(layer, layer(x, h0, **options)[1])
    counts = (lengths > 0)[:, None]
    for place, (index, reverse) in enumerate(itertools.product(range(2), (False, True))):
        trace = layer.trace(x, h0, layer=index, reverse=reverse, **options)
        steps = torch.zeros(B, dtype=torch.int64) if reverse else (lengths - 1).clamp(min=0)
        for part, name in enumerate(("hidden", "cell")[: len(first)]):
            over_time = getattr(trace, name).movedim(-2, 0)
            ends = torch.stack([over_time[row, ..., t, :] for row, t in enumerate(steps)], dim=-2)
            wanted = torch.where(counts, ends, first[part][place])
            assert_close(last[part][place], wanted, f"final {name}, layer {index}, {reverse=}")


def the_output_is_the_traced_state(factory: Factory) -> None:
    """Of one layer in both directions: the state, projected where the state itself is not."""
    layer = make_layer(factory, num_layers=1, bidirectional=True)
    x, h0 = some_input(layer), some_state(layer)
    options = {"lengths": torch.tensor(LENGTHS), "resets": some_resets()}
    halves = layer(x, h0, **options)[0].chunk(2, dim=-1)
    for half, reverse, suffix in zip(halves, (False, True), suffixes(layer), strict=True):
        hidden = layer.trace(x, h0, reverse=reverse, **options).hidden
        if layer.proj_size and not layer.recurrence.cell.projects_state:
            hidden = hidden @ getattr(layer, f"weight_hr_l0{suffix}").mT.unsqueeze(-3)
        assert_close(half, hidden, f"output, {reverse=}")


CHECKS: tuple[Check, ...] = (
    the_trace_satisfies_the_equations,
    the_final_state_is_the_last_traced,
    the_output_is_the_traced_state,
)
