"""Every backend on calls that hypothesis makes up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.ops import BACKENDS
from grukit.testing import strategies
from grukit.testing.backends import compare_all, of_backend, runnable


@pytest.mark.parametrize("backend", BACKENDS["gru"], ids=lambda backend: backend.name)
@settings(max_examples=60)
@given(data=st.data())
def test_a_backend_equals_the_definition(backend, data):
    case = data.draw(strategies.gru_cases())
    *floats, lengths, resets = case.tensors()
    if case.lengths:
        lengths = data.draw(strategies.lengths(case.time, case.batch))
    if case.resets:
        resets = data.draw(strategies.resets(case.time, case.batch))
    for runs in runnable(backend, [case]):
        tensors = (*floats, lengths, resets)
        compare_all(runs, of_backend(backend, runs, tensors), tensors)


@given(data=st.data())
@settings(max_examples=20)
def test_strategies_keep_what_is_fixed(data):
    case = data.draw(strategies.gru_cases(time=4, lengths=True))
    assert case.time == 4
    assert case.lengths
    drawn = data.draw(strategies.lengths(4, case.batch))
    assert drawn.shape == (case.batch,)
    assert all(0 <= length <= 4 for length in drawn.tolist())
    assert data.draw(strategies.resets(4, case.batch)).shape == (4, case.batch)
