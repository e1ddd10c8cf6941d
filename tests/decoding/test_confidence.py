from __future__ import annotations

import itertools
import math

import pytest

from grukit.decoding.confidence import _kept, confidences
from grukit.ops.ctc.contract import Found

CHARACTERS = ((), (0,), (97,), (98,), (99,))
PIECES = ((), (0, 97), (98,), (0, 99))
WHOLE = ((), (97, 98, 0), (99, 0))
SPACE, A, B, C = 1, 2, 3, 4


def text(tokens, share, peak=1.0):
    count = len(tokens)
    return Found(tokens, tuple(range(count)), (math.log(peak),) * count, -9.0, math.log(share) - 70)


def test_a_text_without_rivals_is_as_sure_as_the_network():
    assert confidences([text((A, B), 0.3, 0.8)], CHARACTERS, 1) == [pytest.approx((0.8, 0.8))]
    assert confidences([text((), 0.3)], CHARACTERS, 3) == [()]


def test_words_are_as_sure_as_the_texts_that_have_them():
    found = [
        text((A, B, SPACE, C), 0.6, 0.5),
        text((A, SPACE, C), 0.3),
        text((A, B), 0.1),
    ]
    first, second, third = confidences(found, CHARACTERS, 3)
    # "ab" is in the first and the last, "c" in the first two; the space goes with what is before.
    assert first == pytest.approx((0.35, 0.35, 0.35, 0.45))
    assert second == pytest.approx((0.3, 0.3, 0.9))
    assert third == pytest.approx((0.7, 0.7))


def test_words_of_pieces_and_whole_words_are_compared_by_their_letters():
    pieces = [text((1, 2, 3), 0.75), text((1, 3), 0.25)]
    assert confidences(pieces, PIECES, 1) == [pytest.approx((0.75, 0.75, 1.0))]
    whole = [text((1, 2), 0.75), text((2, 2), 0.25)]
    assert confidences(whole, WHOLE, 1) == [pytest.approx((0.75, 1.0))]


def test_without_words_tokens_are_compared():
    letters = ((), (97,), (98,))
    found = [text((1, 2, 1), 0.5), text((1, 1), 0.5)]
    assert confidences(found, letters, 1) == [pytest.approx((1.0, 0.5, 1.0))]


def test_a_space_at_the_beginning_goes_with_the_first_word():
    found = [text((SPACE, A), 0.8), text((B,), 0.2), text((SPACE,), 0.0 + 1e-9)]
    assert confidences(found, CHARACTERS, 1) == [pytest.approx((0.8, 0.8))]
    assert confidences([text((SPACE,), 1.0, 0.4)], CHARACTERS, 1) == [pytest.approx((0.4,))]


def test_what_is_kept_is_a_longest_alignment():
    texts = [list(one) for n in range(4) for one in itertools.product("ab", repeat=n)]

    def edits(a, b):
        if not a or not b:
            return len(a) + len(b)
        least = min(edits(a[1:], b), edits(a, b[1:])) + 1
        return min(least, edits(a[1:], b[1:]) + (a[0] != b[0]))

    for a, b in itertools.product(texts, repeat=2):
        kept = _kept(a, b)
        assert len(set(kept)) == len(kept)
        assert len(kept) >= max(len(a), len(b)) - edits(a, b)
        if a == b:
            assert sorted(kept) == list(range(len(a)))
