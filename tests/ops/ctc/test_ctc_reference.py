"""Prefix beam search against the sum over all alignments, and what is added by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from ctc_cases import ALPHABETS, CHARACTERS, LINES, MODELS, posteriors, rules, token_chances
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.decoding.ngram import NgramModel
from grukit.ops.ctc.added import added
from grukit.ops.ctc.contract import Rules
from grukit.ops.ctc.reference import ReferenceSearch, search_all

SPACE, A, B = 1, 2, 3


def nats_of_words(words: list[str], ended: bool = False) -> float:
    model = NgramModel.learn(LINES, order=3)
    chances = [model.chance(words[:at], word) for at, word in enumerate(words)]
    return sum(chances) + (model.chance(words, "</s>") if ended else 0.0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("alphabet", ALPHABETS)
@settings(max_examples=6)
@given(st.integers(0, 10**6), st.integers(0, 5), st.sampled_from([0.5, 2.0, 6.0]))
def test_a_wide_beam_finds_what_the_sum_over_all_alignments_finds(
    alphabet, model, seed, frames, sharpness
):
    own = rules(alphabet, model, beam=10_000)
    x = posteriors(seed, frames, len(own.letters), sharpness)
    chances = token_chances(len(own.letters), seed) if model == "all" else None
    search = ReferenceSearch(own, chances)
    search.push(x)
    found = search.best(10_000, final=True)
    wanted = search_all(own, x, chances)
    assert [one.tokens for one in found] == [tokens for tokens, _, _ in wanted]
    for one, (_, chance, score) in zip(found, wanted, strict=True):
        assert one.log_chance == pytest.approx(chance, abs=1e-9)
        assert one.score == pytest.approx(score, abs=1e-9)
    if model == "nothing":
        assert sum(math.exp(one.log_chance) for one in found) == pytest.approx(1)


def test_what_words_add_is_the_sum_of_their_chances():
    own = rules("characters", "words")
    tokens = (A, B, SPACE, SPACE, A, SPACE, B, B)
    wanted = 0.8 * nats_of_words(["ab", "a"]) + 3 * 0.4
    # "bb" is in no word: until it ends it costs what an unknown word does.
    wanted += 0.8 * NgramModel.learn(LINES).unknown - 2.0
    assert added(own, tokens).score == pytest.approx(wanted)
    wanted = 0.8 * nats_of_words(["ab", "a", "bb"], ended=True) + 3 * 0.4 - 2.0
    assert added(own, tokens, final=True).score == pytest.approx(wanted)


def test_a_word_that_was_begun_is_taken_for_the_likeliest_that_begins_like_it():
    own = rules("characters", "words")
    model = NgramModel.learn(LINES)
    likeliest = max(model.chance((), word) for word in ("a", "ab")) - model.chance((), "a")
    assert likeliest >= 0
    known = own.words.known
    assert added(own, (A,)).score == pytest.approx(0.8 * max(known["a"], known["ab"]) + 0.4)
    assert added(own, (B, A)).score == pytest.approx(0.8 * known["ba"] + 0.4)


def test_only_known_words_where_the_vocabulary_is_closed():
    own = rules("characters", "closed")
    assert added(own, (A, B, SPACE)).allowed
    assert not added(own, (B, B)).allowed
    assert not added(own, (A, A, SPACE)).allowed
    final = added(own, (B, A, SPACE, A, B), final=True)
    assert final.allowed
    assert final.whole
    narrow = dataclasses.replace(own, words=NgramModel.learn(["ab"]).words())
    unfinished = added(narrow, (A,), final=True)
    assert unfinished.allowed
    assert not unfinished.whole


def test_hot_phrases_give_their_weight_and_take_back_what_is_not_completed():
    own = Rules(CHARACTERS, hot=(((*b"ab",), 3.0), ((*b"ba", 0, *b"a"), 4.0)))

    def nats(*tokens, final=False):
        return added(own, tokens, final=final).score

    assert nats() == nats(SPACE) == 0
    assert nats(A) == 1.5
    assert nats(A, B) == 3.0
    assert nats(A, A) == nats(A, B, B) == nats(A, A, B) == 0
    assert nats(A, B, SPACE) == nats(A, B, final=True) == 3.0
    assert nats(A, B, SPACE, SPACE, A, B, SPACE) == 6.0
    assert nats(A, B, SPACE, B) == 4.0
    assert nats(B, A) == 2.0
    assert nats(B, A, SPACE) == 3.0
    assert nats(B, A, final=True) == nats(B, A, SPACE, B, B) == nats(B, A, SPACE, A, A) == 0
    assert nats(B, A, SPACE, B) == nats(B) == 1.0
    assert nats(B, A, SPACE, A, final=True) == 4.0
    assert nats(B, A, SPACE, SPACE, A, B) == 3.0


def test_where_no_token_ends_a_word_hot_phrases_are_anywhere():
    own = Rules(((), (ord("a"),), (ord("b"),)), hot=(((*b"ab",), 3.0),))
    assert [added(own, tokens).score for tokens in ((2, 1), (2, 1, 2), (2, 1, 1))] == [1.5, 3, 1.5]
    assert added(own, (2, 1, 2, 1), final=True).score == 3.0


def test_times_are_the_frames_where_tokens_are_the_likeliest():
    x = np.log(
        [[0.1, 0.7, 0.2], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.1, 0.2, 0.7], [0.1, 0.1, 0.8]]
    )
    search = ReferenceSearch(Rules(((), (97,), (98,)), beam=8))
    search.push(x)
    best = search.best(1)[0]
    assert best.tokens == (1, 2)
    assert best.frames == (1, 4)
    assert np.exp(best.peaks) == pytest.approx([0.8, 0.8])


def test_ties_go_to_what_was_there_before_and_then_to_the_first_token():
    search = ReferenceSearch(Rules(((), (97,), (98,)), beam=3))
    search.push(np.log(np.full((1, 3), 1 / 3)))
    assert [found.tokens for found in search.best(3)] == [(), (1,), (2,)]


def test_a_frame_in_which_nothing_can_go_on_is_passed_over():
    search = ReferenceSearch(Rules(((), (97,)), beam=2, least=-1.0))
    search.push(np.log([[0.2, 0.8]]))
    before = search.best(2)
    with np.errstate(divide="ignore"):
        search.push(np.log([[0.0, 0.0]]))
    assert search.best(2) == before
    assert search.frames == 2


def test_tokens_and_beginnings_that_are_too_unlikely_are_given_up():
    x = np.log([[0.5, 0.3, 0.2]])

    def found(**settings):
        search = ReferenceSearch(Rules(((), (97,), (98,)), **settings))
        search.push(x)
        return [one.tokens for one in search.best(9)]

    assert found() == [(), (1,), (2,)]
    assert found(beam=2) == [(), (1,)]
    assert found(least=math.log(0.25)) == [(), (1,)]
    assert found(window=math.log(0.5 / 0.25)) == [(), (1,)]
