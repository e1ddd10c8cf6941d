"""Hypothesis strategies for the shapes and arguments of recurrent calls; needs hypothesis."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from grukit.ops import RECURRENCES
from grukit.testing.backends import Case

_SIZES = st.one_of(st.integers(1, 9), st.sampled_from([15, 16, 17, 31, 33]))


def lengths(time: int, batch: int) -> st.SearchStrategy[torch.Tensor]:
    """Lengths [B], int64, in any order, each from 0 to T."""
    values = st.lists(st.integers(0, time), min_size=batch, max_size=batch)
    return values.map(lambda drawn: torch.tensor(drawn, dtype=torch.int64))


def resets(time: int, batch: int) -> st.SearchStrategy[torch.Tensor]:
    """Flags [T, B] of where a sequence starts, in any pattern."""
    flags = st.lists(st.booleans(), min_size=time * batch, max_size=time * batch)
    return flags.map(lambda drawn: torch.tensor(drawn, dtype=torch.bool).reshape(time, batch))


def cases(op: str = "gru", **fixed: Any) -> st.SearchStrategy[Case]:
    """Calls of a recurrence, empty ones among them; `fixed` sets fields of the case."""
    drawn = {
        "op": st.just(op),
        "variant": st.sampled_from(list(RECURRENCES[op].cell.variants)),
        "time": st.integers(0, 9),
        "batch": st.integers(0, 5),
        "input_size": _SIZES,
        "hidden_size": _SIZES,
        "models": st.sampled_from([None, 1, 3]),
        "reverse": st.booleans(),
        "lengths": st.booleans(),
        "resets": st.booleans(),
        "bias": st.booleans(),
        "layer_norm": st.booleans(),
        "drop_h": st.booleans(),
        "zoneout": st.sampled_from(["", "mask", "rate"]),
        "fresh": st.booleans(),
        "dtype": st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    }
    return st.builds(Case, **{**drawn, **{name: st.just(v) for name, v in fixed.items()}})
