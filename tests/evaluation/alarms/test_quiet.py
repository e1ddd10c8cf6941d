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
    scores = np.random.default_rng(rows).exponential(size=500)
    one_by_one = [stream.update(*row) for row in zip(alarms.tolist(), scores.tolist(), strict=True)]
    parts = zip(np.split(alarms, [3, 3, 250]), np.split(scores, [3, 3, 250]), strict=True)
    in_parts = np.concatenate([batch.update_many(*part) for part in parts])
    np.testing.assert_array_equal(in_parts, one_by_one)
    assert batch.to_dict() == stream.to_dict()


def test_alarms_are_further_apart_than_the_quiet():
    raised = Quiet(5).update_many(np.ones(20, bool))
    assert np.flatnonzero(raised).tolist() == [0, 6, 12, 18]
    np.testing.assert_array_equal(Quiet(0).update_many(np.ones(20, bool)), True)


def test_twice_the_score_breaks_the_quiet():
    quiet = Quiet(10)
    scores = np.array([3.0, 5.9, 6.0, 11.9, 1.0, 12.0])
    alarms = np.array([True, True, True, True, False, True])
    assert quiet.update_many(alarms, scores).tolist() == [True, False, True, False, False, True]
    assert not Quiet(10).update_many(alarms)[1:].any()


def test_a_restart_in_the_quiet_stays_quiet():
    quiet = Quiet(3)
    assert quiet.update(True, 2.5)
    again = Quiet.from_dict(json.loads(json.dumps(quiet.to_dict())))
    assert [again.update(True) for _ in range(4)] == [False, False, False, True]


def test_bad_input():
    with pytest.raises(ParameterError, match="rows must be an integer of at least 0, got -1"):
        Quiet(-1)
    with pytest.raises(ParameterError, match=r"shape \[T\]"):
        Quiet(1).update_many(np.ones((2, 2), bool))
    with pytest.raises(ParameterError, match="scores must be of shape"):
        Quiet(1).update_many(np.ones(2, bool), np.ones(3))
    for wrong in (
        {"rows": 1},
        {"rows": 1, "left": 2, "raised": None},
        {"rows": 1, "left": 0, "raised": "a"},
    ):
        with pytest.raises(ParameterError, match="must be"):
            Quiet.from_dict(wrong)
