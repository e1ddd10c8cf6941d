from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.tokenizers import CharTokenizer, learn_tokenizer, tokenizer_from_json

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


def test_a_kind_that_is_none():
    with pytest.raises(ParameterError, match="'byte', 'char', 'bpe', got 'word'"):
        learn_tokenizer("word", [])
    with pytest.raises(ValueError, match="a tokenizer must be one of"):
        tokenizer_from_json(json.dumps({"kind": "word", "specials": []}))
