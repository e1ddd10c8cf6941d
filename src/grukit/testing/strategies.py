"""Hypothesis strategies for the shapes and arguments of recurrent calls; needs hypothesis."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from grukit.ops import RECURRENCES
from grukit.ops.contract import DTYPES
from grukit.testing.backends import Case

_AROUND_LANES = st.sampled_from([15, 16, 17, 31, 33])
_SIZES = st.one_of(st.integers(1, 9), _AROUND_LANES)
# The norm of a few numbers is ill conditioned: rounding alone may change everything.
_NORMALIZED_SIZES = st.one_of(st.integers(7, 9), _AROUND_LANES)


def lengths(time: int, batch: int, models: int | None = None) -> st.SearchStrategy[torch.Tensor]:
    """Lengths [B], or [K, B] with models, int64, in any order, each from 0 to T."""
    return _filled(_shape(models, batch), st.integers(0, time), torch.int64)


def resets(time: int, batch: int, models: int | None = None) -> st.SearchStrategy[torch.Tensor]:
    """Flags [T, B], or [K, T, B] with models, of where a sequence starts, in any pattern."""
    return _filled(_shape(models, time, batch), st.booleans(), torch.bool)


def cases(op: str = "gru", **fixed: Any) -> st.SearchStrategy[Case]:
    """Calls of a recurrence, with the options that its cell has, empty ones among them.

    `fixed` sets fields of the case.
    """
    cell = RECURRENCES[op].cell
    variants = [fixed["variant"]] if "variant" in fixed else list(cell.variants)
    norms = [fixed["layer_norm"]] if "layer_norm" in fixed else [False, True]

    def of_form(form: tuple[str, bool]) -> st.SearchStrategy[Case]:
        variant, layer_norm = form
        refused = cell.refuses(variant)
        drawn = {
            "op": st.just(op),
            "variant": st.just(variant),
            "time": st.integers(0, 9),
            "batch": st.integers(0, 5),
            "input_size": _SIZES,
            "hidden_size": _NORMALIZED_SIZES if layer_norm else _SIZES,
            "models": st.sampled_from([None, 1, 3]),
            "reverse": st.booleans(),
            "lengths": st.booleans(),
            "resets": st.booleans(),
            "bias": st.booleans(),
            "proj_size": st.just(0) if "w_hr" in refused else st.sampled_from([0, 1, 5]),
            "layer_norm": st.just(layer_norm),
            "drop_h": st.just(False) if "drop_h" in refused else st.booleans(),
            "drop_n": st.just(False) if "drop_n" in refused else st.booleans(),
            "zoneout": st.sampled_from(["", "mask", "rate"]),
            "fresh": st.booleans(),
            "dtype": st.sampled_from(DTYPES),
            "recompute": st.booleans(),
        }
        return st.builds(Case, **{**drawn, **{name: st.just(v) for name, v in fixed.items()}})

    forms = st.tuples(st.sampled_from(variants), st.sampled_from(norms))
    return forms.flatmap(of_form)


def _shape(models: int | None, *sizes: int) -> tuple[int, ...]:
    return sizes if models is None else (models, *sizes)


def _filled(
    shape: tuple[int, ...], values: st.SearchStrategy[Any], dtype: torch.dtype
) -> st.SearchStrategy[torch.Tensor]:
    size = math.prod(shape)
    drawn = st.lists(values, min_size=size, max_size=size)
    return drawn.map(lambda members: torch.tensor(members, dtype=dtype).reshape(shape))
