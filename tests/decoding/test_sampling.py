from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import ParameterError
from grukit.decoding.sampling import Past, Sampling

LOGITS = np.log([0.4, 0.3, 0.2, 0.06, 0.04])


def chances(past: Past | None = None, **rules) -> list[float]:
    return Sampling(**rules).chances(LOGITS, past or Past()).round(4).tolist()


def past_of(tokens, ngram=None) -> Past:
    past = Past(ngram)
    for token in tokens:
        past.add(token)
    return past


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, [0.4, 0.3, 0.2, 0.06, 0.04]),
        ({"temperature": 0}, [1, 0, 0, 0, 0]),
        ({"temperature": 0.5}, [0.542, 0.3049, 0.1355, 0.0122, 0.0054]),
        ({"top_k": 2}, [0.5714, 0.4286, 0, 0, 0]),
        ({"top_k": 9}, [0.4, 0.3, 0.2, 0.06, 0.04]),
        ({"top_p": 0.5}, [0.5714, 0.4286, 0, 0, 0]),
        ({"top_p": 0.01}, [1, 0, 0, 0, 0]),
        ({"min_p": 0.5}, [0.4444, 0.3333, 0.2222, 0, 0]),
        # The entropy is 1.346 nats: 0.3 (1.204) and 0.2 (1.609) are nearest to it, then 0.4.
        ({"typical": 0.4}, [0, 0.6, 0.4, 0, 0]),
        ({"typical": 0.6}, [0.4444, 0.3333, 0.2222, 0, 0]),
        ({"top_k": 3, "min_p": 0.6}, [0.5714, 0.4286, 0, 0, 0]),
    ],
)
def test_each_rule(rules, expected):
    assert chances(**rules) == pytest.approx(expected, abs=1e-4)


def test_penalties_are_for_tokens_that_there_were():
    logits, past = np.array([2.0, -2.0, 0.0]), past_of([0, 1, 1])
    found = Sampling(repetition_penalty=2.0).chances(logits, past)
    assert np.log(found / found[2]) == pytest.approx([1.0, -4.0, 0.0])
    found = Sampling(presence_penalty=0.5).chances(logits, past)
    assert np.log(found / found[2]) == pytest.approx([1.5, -2.5, 0.0])


def test_no_sequence_comes_twice():
    past = past_of([0, 1, 2, 0, 1], ngram=3)
    assert chances(past, no_repeat_ngram=3)[2] == 0
    assert chances(past_of([3], ngram=1), no_repeat_ngram=1)[3] == 0
    assert min(chances(past_of([0, 1], ngram=3), no_repeat_ngram=3)) > 0
    # Something is always left.
    assert sum(chances(past_of(range(5), ngram=1), no_repeat_ngram=1)) == pytest.approx(1)


@given(
    st.lists(st.floats(-30, 30), min_size=1, max_size=9),
    st.fixed_dictionaries(
        {},
        optional={
            "temperature": st.sampled_from([0, 0.1, 1, 5]),
            "top_k": st.integers(1, 12),
            "top_p": st.floats(0.01, 1),
            "min_p": st.floats(0.01, 1),
            "typical": st.floats(0.01, 1),
        },
    ),
    st.integers(0, 9),
)
@settings(max_examples=300, deadline=None)
def test_the_choice_is_one_that_has_a_chance(logits, rules, seed):
    sampling = Sampling(**rules)
    left = sampling.chances(np.array(logits), Past())
    assert left.sum() == pytest.approx(1)
    assert left[sampling.choose(np.array(logits), Past(), np.random.default_rng(seed))] > 0


def test_choices_come_as_often_as_their_chances():
    random, sampling = np.random.default_rng(0), Sampling()
    drawn = np.bincount([sampling.choose(LOGITS, Past(), random) for _ in range(20_000)])
    assert drawn / 20_000 == pytest.approx(np.exp(LOGITS), abs=0.01)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"temperature": -1}, "temperature must be a number of at least 0, got -1"),
        ({"top_k": 0}, "top_k must be None or an integer of at least 1, got 0"),
        ({"top_p": 1.5}, "top_p must be None or a number above 0 and of at most 1, got 1.5"),
    ],
)
def test_rules_are_checked(rules, message):
    with pytest.raises(ParameterError, match=message):
        Sampling(**rules)
