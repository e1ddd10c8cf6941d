from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.tokenizers import (
    CharTokenizer,
    learn_tokenizer,
    tokenizer_from_json,
    words_of,
)

SPECIALS = ("<end>", "<unused>")
LEARNED = ["the cat, the hat\n", "naïve 東京 🙂", "<end>"]
KINDS = {kind: learn_tokenizer(kind, LEARNED, 300, SPECIALS) for kind in ("byte", "char", "bpe")}


@pytest.mark.parametrize("kind", KINDS)
@given(text=st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_comes_back_unchanged(kind, text):
    tokenizer = KINDS[kind]
    tokens = tokenizer.encode(text)
    assert tokens.dtype == np.int64
    assert tokenizer.decode(tokens.tolist()) == text
    assert not len(tokens) or len(SPECIALS) <= tokens.min() <= tokens.max() < len(tokenizer)


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_holds_a_special_token(kind):
    tokenizer = KINDS[kind]
    assert tokenizer.special("<unused>") == 1
    assert tokenizer.encode("a<end>b").min() >= 2
    assert tokenizer.decode([0, *tokenizer.encode("ab").tolist(), 1]) == "ab"


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_read_again(kind):
    text = "the hat 🙂 ÿ\x00"
    tokenizer = tokenizer_from_json(KINDS[kind].to_json())
    assert (tokenizer.kind, len(tokenizer)) == (kind, len(KINDS[kind]))
    assert tokenizer.encode(text).tolist() == KINDS[kind].encode(text).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_character_is_refused(kind):
    with pytest.raises(DataError, match=r"the surrogate '\\ud800' at 1"):
        KINDS[kind].encode("a\ud800")


def test_characters_are_one_token_and_others_their_half_bytes():
    tokenizer = CharTokenizer.learn(["ab"])
    assert len(tokenizer) == 16 + 2
    assert tokenizer.encode("ba").tolist() == [17, 16]
    assert tokenizer.encode("aé").tolist() == [16, 0xC, 0x3, 0xA, 0x9]
    assert tokenizer.decode([16, 0xC, 16, 0xC]) == "a\ufffda\ufffd"
    assert CharTokenizer("").encode("z").tolist() == [0x7, 0xA]


def test_frequent_pairs_become_one_token():
    tokenizer = learn_tokenizer("bpe", ["banana " * 50], 262)
    assert len(tokenizer) <= 262
    assert len(tokenizer.encode("banana banana")) < 13


def test_byte_pairs_of_a_large_text_come_from_all_of_it(monkeypatch):
    monkeypatch.setattr("grukit.data.tokenizers.MOST_LEARNED", 1000)
    begins, ends = ["zq" * 5, "xj" * 5] * 100, ["vk" * 5, "xj" * 5] * 100
    tokenizer = learn_tokenizer("bpe", iter(begins + ends), 258)
    # Every other text is left out, whatever is in it.
    assert tokenizer.pieces("zqvkxj") == ["zq", "vk", "x", "j"]


def test_a_kind_that_is_none():
    with pytest.raises(
        ParameterError, match="'byte', 'char', 'bpe', 'word', 'spaced word', got 'line'"
    ):
        learn_tokenizer("line", [])
    with pytest.raises(ValueError, match="a tokenizer must be one of"):
        tokenizer_from_json(json.dumps({"kind": "line", "specials": []}))


def test_words_that_come_twice_are_known():
    texts = ["The cat sat.", "The CAT ran!", "a dog sat"]
    tokenizer = learn_tokenizer("word", texts, specials=("<unknown>",))
    assert tokenizer.words == ("cat", "sat", "the")
    assert tokenizer.encode("the dog sat").tolist() == [3, 0, 2]
    assert tokenizer.decode([3, 0, 2]) == "the <unknown> sat"
    assert tokenizer.pieces("The dog's, sat") == ["the", "dog's", ",", "sat"]
    assert len(tokenizer) == 4
    again = tokenizer_from_json(tokenizer.to_json())
    assert (again.words, again.specials) == (tokenizer.words, tokenizer.specials)
    assert len(learn_tokenizer("word", texts, 3, ("<unknown>",))) == 3
    with pytest.raises(DataError, match="the surrogate"):
        tokenizer.encode("a\ud800")
    with pytest.raises(DataError, match="the surrogate"):
        learn_tokenizer("word", ["a\ud800"], specials=("<unknown>",))


@given(text=st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_words_leave_nothing_out_but_spaces(text):
    words = words_of(text)
    assert "".join(words) == "".join(text.lower().split())


def test_words_of_many_scripts():
    assert words_of("Don't, DON’T _x_ 3.5") == ["don't", ",", "don’t", "_x_", "3", ".", "5"]
    assert words_of("हिन्दी में, été e\u0301te\u0301") == ["हिन्दी", "में", ",", "été", "e\u0301te\u0301"]
    assert words_of("日本語 한국어 🙂👍") == ["日", "本", "語", "한국어", "🙂", "👍"]
    assert [len(words_of(text * 1_000_000)) for text in ("x", "a'", "\u0301")] == [1, 2, 1_000_000]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_what_tokens_stand_for(kind):
    text = "the hat"
    assert "".join(KINDS[kind].pieces(text)) == text


@given(text=st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_pieces_with_their_spaces_are_the_text(text):
    specials = ("<end>", "<unknown>")
    tokenizer = learn_tokenizer("spaced word", [" A", " A", " A,  b\n", " b"], specials=specials)
    assert tokenizer.words == (" A",)
    assert "".join(tokenizer.pieces(text)) == text
    known = learn_tokenizer("spaced word", [text] * 3, specials=specials)
    assert known.decode(known.encode(text)) == text
    again = tokenizer_from_json(known.to_json())
    assert again.decode([*again.encode(text), 0, 1]) == f"{text} <unknown>"
