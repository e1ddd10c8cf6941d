"""Every backend that ships: the conformance suite, and calls that hypothesis makes up."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grukit.ops import RECURRENCES
from grukit.ops.contract import Call, compute_dtype
from grukit.testing import backend_checks, strategies
from grukit.testing.backends import Subject, compare_all, of_backend

SUBJECTS = [
    pytest.param(
        Subject(backend, op),
        id=f"{op}-{backend.name}",
        marks=[pytest.mark.needs_core] if backend.name == "native" else [],
    )
    for op, recurrence in RECURRENCES.items()
    for backend in recurrence.backends
    if backend.exact
]
each_backend = pytest.mark.parametrize("subject", SUBJECTS)


@each_backend
@pytest.mark.parametrize("check", backend_checks(), ids=lambda check: check.__name__)
def test_conformance(check, subject):
    check(subject)


@each_backend
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_backend_equals_the_definition(subject, data):
    case = data.draw(strategies.cases(subject.op))
    # No reserve holds a projected state exactly, and layer norm magnifies its rounding.
    assume(not (case.layer_norm and case.proj_size and case.dtype != compute_dtype(case.dtype)))
    tensors = case.tensors()
    sizes = case.time, case.batch, case.models
    if case.lengths:
        tensors = tensors._replace(lengths=data.draw(strategies.lengths(*sizes)))
    if case.resets:
        tensors = tensors._replace(resets=data.draw(strategies.resets(*sizes)))
    call = Call.of(case.cell, tensors, variant=case.variant, reverse=case.reverse, save=case.save)
    assume(not subject.backend.why_not(call))
    compare_all(case, tensors, of_backend(subject.backend, case, tensors))


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_strategies_keep_what_is_fixed(data):
    case = data.draw(strategies.cases("lstm", time=4, lengths=True))
    assert (case.op, case.variant, case.time, case.lengths) == ("lstm", "", 4, True)
    drawn = data.draw(strategies.lengths(4, case.batch))
    assert drawn.shape == (case.batch,)
    assert all(0 <= length <= 4 for length in drawn.tolist())
    assert data.draw(strategies.lengths(4, case.batch, 2)).shape == (2, case.batch)
    drawn = data.draw(strategies.resets(4, case.batch, 2))
    assert drawn.shape == (2, 4, case.batch)
    assert drawn.dtype == torch.bool
