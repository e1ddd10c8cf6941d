"""What every search through the outputs of CTC takes and gives.

A network says for each of T frames how likely each of V tokens is; token 0, the blank, says
nothing. The chance of a text is the sum over all ways to spread its tokens over the frames (Graves
et al. 2006). A search follows the best beginnings of texts, from frame to frame, by

    score = ln of their chance + what language models and hot words add

The models know letters. A token is spelled as letters, and the letter BOUNDARY says that a word
ends, where one was begun; several of them count once. So a space is a boundary, a piece that begins
a word has one in front, and a token that is a whole word has one behind.

What is added to the score is, in this order:

1. `weight` times ln of the chance of every word that has ended, after those before it; minus
   `unknown` if it is outside the vocabulary; plus `bonus` for each word that was begun. For a word
   begun and not ended, `weight` times ln of the unigram chance of the likeliest word that begins
   like it, or what an unknown word costs if there is none.
2. The weight of every hot phrase that is complete; and for one that has begun, its weight times
   the share of its letters that are there, which is taken back if the text goes on otherwise. Of
   several that have begun, the one to which this gives the most.
3. `token_weight` times ln of the chance of each token by a model of tokens.

At the end the last word and phrase end, and the chance that the text ends is added, where a model
knows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BLANK = 0
BOUNDARY = 0
"""The letter that ends a word; the others are code points."""
END = "</s>"
"""The word by which a language model says that a text ends."""


Chances = Callable[[tuple[int, ...]], Sequence[float] | np.ndarray]
"""A model of tokens: ln of the chance of every token after some, [V]; at the blank the chance that
the text ends."""


class Automaton(NamedTuple):
    """An n-gram model as states, each of which is the end of a text so far.

    After state s comes word w with ln chance `chance[k]`, and the state is `next[k]`, for the k in
    `begin[s]` to `begin[s + 1]` with `word[k] == w`, which are sorted. If there is none,
    `backoff[s]` is added and w is looked for in `shorter[s]`. State 0 has every word.

    begin: int64 [S + 1]. word, next: int32 [N]. chance: float64 [N]. backoff: float64 [S]. shorter:
    int32 [S]. start: the state where a text begins. unknown, end: the numbers of a word outside the
    vocabulary and of the end of a text; -1 without one.
    """

    begin: np.ndarray
    word: np.ndarray
    next: np.ndarray
    chance: np.ndarray
    backoff: np.ndarray
    shorter: np.ndarray
    start: int
    unknown: int
    end: int


@dataclass(frozen=True, eq=False)
class Words:
    """A language model of words, as a search asks it.

    known: the words of the vocabulary, with ln of the chance of each alone.
    unknown: ln of the chance of any other word alone.
    chance: ln of the chance of a word after those before it, also of END if the model `ends`.
    number: of each word in `known`, that of the automaton.
    automaton: the same chances, for the native core.
    """

    known: Mapping[str, float]
    unknown: float
    chance: Callable[[tuple[str, ...], str], float]
    ends: bool
    number: Mapping[str, int]
    automaton: Automaton


@dataclass(frozen=True, eq=False)
class Rules:
    """All that a search knows beside what the network says.

    letters: how each of the V tokens is spelled; the blank has none.
    beam: how many beginnings are followed.
    window: one that scores so much less than the best is given up.
    least: ln of the least chance in a frame by which a token is added.
    closed: only words of the vocabulary may occur.
    hot: phrases by letters, without boundaries at their ends, with their weights.
    token_weight: that of a model of tokens; None without one.
    """

    letters: tuple[tuple[int, ...], ...]
    beam: int = 16
    window: float = math.inf
    least: float = -math.inf
    words: Words | None = None
    weight: float = 0.0
    bonus: float = 0.0
    unknown: float = 0.0
    closed: bool = False
    hot: tuple[tuple[tuple[int, ...], float], ...] = ()
    token_weight: float | None = None

    @property
    def has_words(self) -> bool:
        """Whether any token ends or begins a word."""
        return any(BOUNDARY in letters for letters in self.letters)


class Found(NamedTuple):
    """A text that was found.

    tokens: its U tokens. frames: for each of them the frame where it is the likeliest, in the best
    way to spread this text over the frames. peaks: ln of its chance there. log_chance: ln of the
    chance of the text by the network, all ways together. score: that by which texts are ranked.
    whole: False where only known words may occur and the last one is not.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    peaks: tuple[float, ...]
    log_chance: float
    score: float
    whole: bool = True
