"""Quiet after an alarm."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.alarms import Quiet


@pytest.mark.parametrize("rows", [0, 1, 5, 1000])
def test_a_stream_is_quiet_as_a_batch(rows):
    alarms = np.random.default_rng(rows).random(500) < 0.2
    stream, batch = Quiet(rows), Quiet(rows)
    one_by_one = [stream.update(bool(alarm)) for alarm in alarms]
    in_parts = np.concatenate([batch.update_many(part) for part in np.split(alarms, [3, 3, 250])])
    np.testing.assert_array_equal(in_parts, one_by_one)
    assert batch.to_dict() == stream.to_dict()


def test_alarms_are_further_apart_than_the_quiet():
    raised = Quiet(5).update_many(np.ones(20, bool))
    assert np.flatnonzero(raised).tolist() == [0, 6, 12, 18]
    np.testing.assert_array_equal(Quiet(0).update_many(np.ones(20, bool)), True)


def test_a_restart_in_the_quiet_stays_quiet():
    quiet = Quiet(3)
    assert quiet.update(True)
    again = Quiet.from_dict(json.loads(json.dumps(quiet.to_dict())))
    assert [again.update(True) for _ in range(4)] == [False, False, False, True]


def test_bad_input():
    with pytest.raises(ParameterError, match="rows must be an integer of at least 0, got -1"):
        Quiet(-1)
    with pytest.raises(ParameterError, match=r"shape \[T\]"):
        Quiet(1).update_many(np.ones((2, 2), bool))
    for wrong in ({"rows": 1}, {"rows": 1, "left": 2}, {"rows": 1, "left": -1}):
        with pytest.raises(ParameterError, match="must be"):
            Quiet.from_dict(wrong)
