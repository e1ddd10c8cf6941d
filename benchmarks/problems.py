"""What every library is asked to compute, and how its answer is judged.

A problem is made from its own description alone, so that each process makes the same one.
"""

from __future__ import annotations

import zlib
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
USES = ("training", "inference", "step")
Arrays = dict[str, np.ndarray]


class Problem:
    """One layer of a kind, with inputs and weights; I = H.

    kind: GRU, LSTM or RNN. use: "training" asks for the output and every gradient, "inference"
    for the output, "step" for the state after one step from h0. size: T, B, H.
    """

    def __init__(self, kind: str, use: str, size: tuple[int, int, int]) -> None:
        if kind not in GATES or use not in USES:
            raise ValueError(f"a problem must be of {tuple(GATES)} and {USES}, got {kind}, {use}")
        self.kind, self.use, self.size = kind, use, tuple(size)

    def __str__(self) -> str:
        return f"{self.kind} {self.use} {', '.join(str(part) for part in self.size)}"

    @cached_property
    def arrays(self) -> Arrays:
        """x [T, B, I], h0 [B, H], d_output [T, B, H] and torch's weights, float32."""
        steps, batch, hidden = self.size
        random = np.random.default_rng(zlib.crc32(repr((self.kind, self.size)).encode()))
        rows, reach = GATES[self.kind] * hidden, hidden**-0.5
        made = {
            "x": random.standard_normal((steps, batch, hidden)),
            "h0": random.uniform(-1, 1, (batch, hidden)),
            "d_output": random.standard_normal((steps, batch, hidden)),
            "w_ih": random.uniform(-reach, reach, (rows, hidden)),
            "w_hh": random.uniform(-reach, reach, (rows, hidden)),
            "b_ih": random.uniform(-reach, reach, rows),
            "b_hh": random.uniform(-reach, reach, rows),
        }
        return {name: array.astype(np.float32) for name, array in made.items()}


WEIGHTS = ("w_ih", "w_hh", "b_ih", "b_hh")
"""In the order of torch's parameters."""
RESULTS = {
    "training": ("output", "dx", *(f"d{name}" for name in WEIGHTS)),
    "inference": ("output",),
    "step": ("h",),
}


class Deviation(NamedTuple):
    """The largest deviation of a library, as a share of the largest true value."""

    result: str
    share: float
    absolute: float


class RedParity(Exception):
    """A library does not compute what was asked for, so its time says nothing."""


def deviation(found: Arrays, true: Arrays) -> Deviation:
    """How far results are from the true ones. Raises RedParity for missing or misshapen ones."""
    worst = Deviation("", -1.0, 0.0)
    for name, expected in true.items():
        if name not in found or found[name].shape != expected.shape:
            shape = found[name].shape if name in found else "nothing"
            raise RedParity(f"{name} must be {expected.shape}, got {shape}")
        absolute = float(np.abs(found[name].astype(np.float64) - expected).max())
        share = absolute / float(np.abs(expected).max())
        share = np.inf if np.isnan(share) else share
        if share > worst.share:
            worst = Deviation(name, share, absolute)
    return worst


def check(who: str, problem: Any, worst: Deviation, most: float) -> None:
    """RedParity unless the deviation is within tolerance."""
    if worst.share > most:
        raise RedParity(
            f"{who} on {problem}: {worst.result} must be within {most:.0e} of torch.nn in "
            f"float64, got {worst.share:.1e}"
        )
