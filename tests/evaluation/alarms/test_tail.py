"""Surprise: how unusual a number is among those before."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.alarms import Surprise, Tail


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_a_surprise_of_an_exponential_is_its_true_one(scale):
    values = np.random.default_rng(0).exponential(scale, size=10_000)
    tail = Tail(memory=10_000).fit(values)
    for true in (0.5, 1.0, 2.0, 4.0, 6.0):
        assert tail.surprise(scale * true * math.log(10)) == pytest.approx(true, rel=0.1)


def test_it_counts_up_to_the_start_of_the_tail_and_rises_beyond():
    values = np.arange(1000.0)
    tail = Tail(memory=1000).fit(values)
    assert tail.surprise(500.0) == pytest.approx(math.log10(2))
    surprises = [tail.surprise(value) for value in np.linspace(0, 1500, 400)]
    assert (np.diff(surprises) >= 0).all()
    assert surprises[-1] < 300
    assert tail.surprise(1e9) == 300


def test_one_by_one_is_at_once_and_a_copy_is_apart():
    values = np.random.default_rng(1).normal(size=500)
    values[[3, 200]] = np.nan
    one, many = Tail(memory=100).fit(values[:100]), Tail(memory=100).fit(values[:100])
    apart = many.copy()
    expected = []
    for value in values[100:].tolist():
        expected.append(one.surprise(value))
        one.learn(value)
    np.testing.assert_array_equal(many.update_many(values[100:]), expected)
    np.testing.assert_array_equal(many.latest, values[-100:])
    assert math.isnan(expected[100])
    assert not np.isnan(many.latest).any()
    np.testing.assert_array_equal(apart.update_many(values[100:]), expected)


def test_the_tail_by_hand():
    tail = Tail(memory=1000).fit(np.arange(1000.0))
    # The largest 40 are 960 to 999, on average 20.5 above the start.
    assert tail.surprise(959.0) == pytest.approx(math.log10(1000 / 41))
    expected = math.log10(1000 / 40) + (1000 - 959) / (20.5 * math.log(10))
    assert tail.surprise(1000.0) == pytest.approx(expected)


def test_what_is_forgotten_counts_no_more():
    values, memory = np.random.default_rng(2).normal(size=400), 150
    tail = Tail(memory).fit(values[:200])
    for row in range(200, 400):
        again = Tail(memory).fit(values[row - memory : row])
        assert tail.surprise(values[row]) == pytest.approx(again.surprise(values[row]))
        tail.learn(values[row])


def test_it_says_nothing_before_it_knows_enough():
    tail = Tail(memory=1000)
    assert tail.update_many(np.arange(80.0)).tolist() == [0.0] * 80
    assert tail.surprise(1000.0) > 3


def test_the_smallest_scale_bounds_what_rounding_can_do():
    same = np.full(200, 2.0)
    assert Tail(memory=200).fit(same).surprise(2.0 + 1e-12) == 300
    assert Tail(memory=200, smallest_scale=1e-3).fit(same).surprise(2.0 + 1e-12) < 1


def test_bad_input():
    with pytest.raises(ParameterError, match="memory must be an integer of at least 80"):
        Tail(memory=10)
    with pytest.raises(ParameterError, match="values must be finite"):
        Tail(memory=100).fit(np.array([1.0, np.inf]))
    with pytest.raises(ParameterError, match="risk must be a number above 0 and below 1"):
        Surprise(risk=1.0).fit(np.zeros(3))
