from __future__ import annotations

import math

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.latency import latency

# "four" is told early, taken back, and told again; "six" is never found; "zero" nobody said.
LOG = [
    (0.5, ""),
    (1.0, "three"),
    (1.5, "three four"),
    (2.0, "tree for"),
    (2.5, "three four"),
    (3.0, "three four zero"),
    (3.5, "three four zero five"),
]
TRUTH = [("three", 0.875), ("four", 1.25), ("five", 3.0), ("six", 3.25)]


def test_a_word_counts_from_when_it_stays():
    found = latency(LOG, TRUTH)
    np.testing.assert_array_equal(found.delays, [2.5 - 0.875, 2.5 - 1.25, 0.5])
    assert found.missed == 1
    assert found.median == 1.25
    assert found.percentile_90 == pytest.approx(1.25 + 0.8 * 0.375)


def test_words_told_early_have_delays_below_zero():
    assert latency([(0.25, "go")], [("go", 0.5)]).delays.tolist() == [-0.25]


def test_a_word_that_moved_was_not_there_for_good():
    log = [(1.0, "b"), (2.0, "a b"), (3.0, "a b")]
    assert latency(log, [("a", 0.0), ("b", 0.0)]).delays.tolist() == [2.0, 2.0]


def test_streams_add_up():
    both = latency(LOG, TRUTH) + latency([(1.0, "a")], [("a", 0.75), ("b", 1.0)])
    assert both.delays.tolist() == [1.625, 1.25, 0.5, 0.25]
    assert both.missed == 2


@pytest.mark.parametrize("log", [[], [(1.0, "")], [(1.0, "well")]])
def test_nothing_recognized_has_no_latency(log):
    found = latency(log, [("a", 0.5)])
    assert (len(found.delays), found.missed) == (0, 1)
    assert math.isnan(found.median)
    assert math.isnan(found.percentile_90)


def test_a_log_goes_forwards():
    with pytest.raises(ParameterError, match=r"log must be in the order of time, got \[1.0, 0.5\]"):
        latency([(1.0, "a"), (0.5, "a b")], [("a", 0.5)])
