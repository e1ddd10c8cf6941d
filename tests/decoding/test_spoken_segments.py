"""From tokens of every kind of alphabet to words with times."""

from __future__ import annotations

import pytest

from grukit.data.alphabet import Alphabet
from grukit.decoding.ctc import CtcHypothesis
from grukit.decoding.segments import segment_of

TEXTS = ["turn left now", "turn right", "go left"]


def found(tokens):
    """Token k at frame 3 k, k + 1 tenths sure."""
    frames = tuple(range(0, 3 * len(tokens), 3))
    sure = tuple((at + 1) / 10 for at in range(len(tokens)))
    return CtcHypothesis(tuple(tokens), frames, sure, -1.0, -1.0)


@pytest.mark.parametrize("kind", ["char", "bpe", "word"])
def test_words_are_put_together_from_tokens_of_any_kind(kind):
    alphabet = Alphabet.learn(TEXTS, kind, vocabulary=24)
    tokens = alphabet.encode("turn left now").tolist()
    segment = segment_of(found(tokens), alphabet, 0.1)
    assert segment.text == "turn left now"
    assert [word.text for word in segment.words] == ["turn", "left", "now"]
    assert len(segment.characters) == len(tokens)
    assert segment.start == 0
    assert segment.end == pytest.approx(0.3 * (len(tokens) - 1) + 0.1)
    starts = [word.start for word in segment.words]
    assert starts == sorted(starts)
    assert all(a.end <= b.start for a, b in zip(segment.words, segment.words[1:], strict=False))


def test_a_word_is_as_sure_as_its_tokens_in_the_mean():
    alphabet = Alphabet("char", ["", " ", "a", "b"])
    segment = segment_of(found([2, 3, 1, 2]), alphabet, 0.1)
    assert [round(word.confidence, 6) for word in segment.words] == [0.15, 0.4]


def test_spaces_alone_say_nothing():
    alphabet = Alphabet("char", ["", " ", "a"])
    assert segment_of(found([]), alphabet, 0.1) is None
    assert segment_of(found([1, 1]), alphabet, 0.1) is None
    assert segment_of(found([1, 2, 1]), alphabet, 0.1).text == "a"
