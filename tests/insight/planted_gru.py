"""A GRU set by hand: what some of its units do is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

UNITS = 10
SIGNS = "() ab"
COUNTER, FORGETTER, DEAD, SATURATED = 3, 5, 7, 8
DEFECTS = ("counts letters", "resets nowhere", "lives", "swings")


def planted_gru(defect: str | None = None) -> nn.GRU:
    """A torch.nn.GRU of one-hot `SIGNS`, of 10 units.

    Unit 3 counts open brackets: its update gate is shut but at a bracket, where its state moves by
    0.08, up or down. Unit 5 follows the letters, and at a space both its gates let nothing of the
    past pass. Unit 7 is never written. Unit 8 is always near 1. The others have random weights.

    defect: one of DEFECTS, another unit 3, 5, 7 or 8 that does not do so.
    """
    layer = nn.GRU(len(SIGNS), UNITS)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.3, 0.3, generator=generator)
        gates = [_Gate(layer, index) for index in range(3)]
        for unit in (COUNTER, FORGETTER, DEAD, SATURATED):
            for gate in gates:
                gate.clear(unit)
        reset, update, memory = gates

        update.bias[COUNTER] = 10.0
        brackets = SIGNS[3:] if defect == "counts letters" else "()"
        for sign, move in zip(brackets, (0.08, -0.08), strict=True):
            update.of[sign][COUNTER] = -20.0
            memory.of[sign][COUNTER] = move
        reset.bias[COUNTER] = 3.0
        # With r = 0.953: the slope of tanh, and what its bend takes of a state this small.
        memory.past[COUNTER, COUNTER] = 1.07

        for gate in (reset, update):
            gate.bias[FORGETTER] = 2.0
            gate.of[" "][FORGETTER] = 0.0 if defect == "resets nowhere" else -8.0
        memory.of["a"][FORGETTER], memory.of["b"][FORGETTER] = 1.0, -0.5

        if defect == "lives":
            memory.of["a"][DEAD] = 0.5
        memory.bias[SATURATED] = 0.0 if defect == "swings" else 6.0
        memory.of["b"][SATURATED] = 3.0 if defect == "swings" else 0.0
        update.bias[SATURATED] = -1.0
    return layer


class _Gate:
    """The rows of one gate: its bias, its column for each sign, its recurrent weights."""

    def __init__(self, layer: nn.GRU, index: int) -> None:
        rows = slice(index * UNITS, (index + 1) * UNITS)
        self.bias = layer.bias_ih_l0[rows]
        self.other_bias = layer.bias_hh_l0[rows]
        self.of = {sign: layer.weight_ih_l0[rows, at] for at, sign in enumerate(SIGNS)}
        self.past = layer.weight_hh_l0[rows]

    def clear(self, unit: int) -> None:
        for part in (self.bias, self.other_bias, self.past, *self.of.values()):
            part[unit] = 0.0


def bracketed(length: int = 600, seed: int = 0) -> str:
    """Words of a and b with brackets of depth up to 4 between them."""
    random, text, depth = np.random.default_rng(seed), "", 0
    while len(text) < length:
        text += "".join(random.choice(["a", "b"], random.integers(2, 7))) + " "
        draw = random.random()
        if draw < 0.35 and depth < 4:
            text, depth = text + "(", depth + 1
        elif draw < 0.7 and depth:
            text, depth = text + ")", depth - 1
    return text[:length]


def one_hot(text: str) -> Tensor:
    """[T, 1, 5]."""
    signs = torch.tensor([SIGNS.index(sign) for sign in text])
    return nn.functional.one_hot(signs, len(SIGNS)).float()[:, None]
