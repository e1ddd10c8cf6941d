from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.alphabet import Alphabet

TEXTS = ["turn left now", "turn right", "go  left", " stop "]
ALPHABETS = {kind: Alphabet.learn(TEXTS, kind, vocabulary=30) for kind in ("char", "bpe", "word")}
each = pytest.mark.parametrize("kind", ALPHABETS)


@each
def test_a_text_comes_back_with_single_spaces(kind):
    alphabet = ALPHABETS[kind]
    for text in TEXTS:
        tokens = alphabet.encode(text)
        assert tokens.min() > 0
        assert alphabet.decode(tokens) == " ".join(text.split())
    assert alphabet.encode("  ").tolist() == []
    assert alphabet.decode([0, 0]) == ""


@given(st.lists(st.sampled_from(["turn", "left", "right", "go", "stop", "now"]), max_size=5))
def test_all_kinds_agree_on_any_words_of_theirs(words):
    text = " ".join(words)
    for alphabet in ALPHABETS.values():
        assert alphabet.decode(alphabet.encode(text)) == text


@each
def test_a_strange_part_is_named(kind):
    with pytest.raises(DataError, match=r"got '(z|turnz)'.* in 'go turnz'"):
        ALPHABETS[kind].encode("go turnz")


def test_the_mark_of_a_piece_is_no_character():
    with pytest.raises(DataError, match="▁"):
        ALPHABETS["bpe"].encode("go▁left")


@each
def test_it_survives_json(kind):
    alphabet = ALPHABETS[kind]
    again = Alphabet.from_json(alphabet.to_json())
    assert (again.kind, again.tokens) == (kind, alphabet.tokens)
    assert again.encode("turn right").tolist() == alphabet.encode("turn right").tolist()


def test_where_words_begin():
    char, bpe, word = ALPHABETS.values()
    assert char.tokens[char.space] == " "
    assert not char.begins_word.any()
    assert bpe.space is None
    for text in TEXTS:
        assert bpe.begins_word[bpe.encode(text)].sum() == len(text.split())
    assert word.begins_word.tolist() == [False] + [True] * (len(word) - 1)


def test_an_alphabet_needs_tokens():
    with pytest.raises(DataError, match="not all be empty"):
        Alphabet.learn([" ", ""], "char")
    with pytest.raises(ParameterError, match="kind must be one of"):
        Alphabet("letters", ["", "a"])
    for tokens in ([], ["a"], ["", "a", "a"]):
        with pytest.raises(DataError, match="'' first"):
            Alphabet("char", tokens)
