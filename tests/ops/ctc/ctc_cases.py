"""Alphabets, models and posteriors for the tests of the search."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from grukit.decoding.ngram import NgramModel
from grukit.ops.ctc.contract import BOUNDARY, Rules

LINES = ["ab a", "ab a b", "ba ab", "a", "b ba ba", "ab ab a"]
CHARACTERS = ((), (BOUNDARY,), (ord("a"),), (ord("b"),))
PIECES = ((), (BOUNDARY, ord("a")), (ord("b"),), (BOUNDARY, ord("b"), ord("a")))
WHOLE = ((), (*b"ab", BOUNDARY), (*b"a", BOUNDARY), (*b"ba", BOUNDARY), (*b"c", BOUNDARY))
NO_WORDS = ((), (ord("a"),), (ord("b"),), (ord("c"),))
ALPHABETS = {"characters": CHARACTERS, "pieces": PIECES, "whole": WHOLE, "no words": NO_WORDS}
HOT = (((*b"ab",), 1.5), ((*b"ab", BOUNDARY, *b"b"), 2.0), ((*b"ba",), 0.7), ((*b"b",), 0.3))
MODELS = ("nothing", "words", "closed", "hot", "all")


def rules(alphabet: str, model: str, **settings: Any) -> Rules:
    """Rules of an alphabet with one kind of help, or with all of it."""
    own = Rules(ALPHABETS[alphabet], **settings)
    words = NgramModel.learn(LINES, order=3).words(["b"])
    if model in ("words", "closed", "all"):
        closed = model == "closed"
        own = dataclasses.replace(
            own, words=words, weight=0.8, bonus=0.4, unknown=2.0, closed=closed
        )
    if model in ("hot", "all"):
        own = dataclasses.replace(own, hot=HOT)
    if model == "all":
        own = dataclasses.replace(own, token_weight=0.5)
    return own


def token_chances(vocabulary: int, seed: int = 0):
    """A model of tokens: ln of the chances of the next one, which depend on the last two."""
    table = posteriors(seed, vocabulary**2, vocabulary)

    def chances(tokens: tuple[int, ...]) -> np.ndarray:
        last, before = (*tokens[::-1], 0, 0)[:2]
        return table[last * vocabulary + before]

    return chances


def posteriors(seed: int, frames: int, vocabulary: int, sharpness: float = 1.0) -> np.ndarray:
    """ln of the chances of tokens, float32 [T, V]."""
    logits = np.random.default_rng(seed).normal(size=(frames, vocabulary)) * sharpness
    return (logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)).astype(np.float32)
