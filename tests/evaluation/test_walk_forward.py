"""Splits that walk forward."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import ParameterError
from grukit.evaluation.walk_forward import walk_forward


@given(st.data())
def test_every_row_from_the_first_is_tested_once_and_after_its_training(data):
    length = data.draw(st.integers(3, 60))
    first = data.draw(st.integers(2, length - 1))
    step, embargo = data.draw(st.integers(1, 20)), data.draw(st.integers(0, first - 1))
    window = data.draw(st.none() | st.integers(1, 30))
    splits = list(walk_forward(length, first=first, step=step, embargo=embargo, window=window))
    rows = range(length)
    assert [row for split in splits for row in rows[split.test]] == list(rows[first:])
    for split in splits:
        train = rows[split.train]
        assert train[-1] + embargo + 1 == split.test.start
        assert len(train) == min(split.test.start - embargo, window or length)


@pytest.mark.parametrize(
    "wrong", [{"first": 0}, {"step": 0}, {"embargo": -1}, {"embargo": 5}, {"window": 0}]
)
def test_something_must_be_left_to_train_on(wrong):
    with pytest.raises(ParameterError, match=r"must be .*an integer of at least"):
        list(walk_forward(10, **{"first": 5, "step": 2} | wrong))
