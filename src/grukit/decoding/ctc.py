"""From the outputs of CTC to what was said: greedy or by beam search, whole or as it comes.

>>> import numpy as np
>>> alphabet = Alphabet("char", ["", " ", "a", "b"])
>>> decoder = CtcDecoder(alphabet, CtcSearch(beam=8))
>>> log_probs = np.log([[[0.1, 0.1, 0.7, 0.1], [0.6, 0.1, 0.2, 0.1], [0.1, 0.1, 0.2, 0.6]]])
>>> best = decoder.decode(log_probs)[0][0]
>>> alphabet.decode(best.tokens), best.frames
('ab', (0, 2))
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grukit.core import clib
from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.rules import Rule, check, flag, integer, number
from grukit.data.alphabet import Alphabet
from grukit.decoding.best_path import BestPath
from grukit.decoding.confidence import confidences
from grukit.decoding.endpoint import Endpoint
from grukit.decoding.ngram import NgramModel, as_ngram_model
from grukit.decoding.spelling import hot_phrases, letters_of
from grukit.decoding.token_model import TokenChances, TokenModel, TokenRows
from grukit.ops.ctc.contract import BLANK, Found, Rules
from grukit.ops.ctc.native import NativeRules, NativeSearch, push
from grukit.ops.ctc.reference import ReferenceSearch

_SUM = 1e-3
"""How much the chances of a frame may differ from 1 in sum; those of bfloat16 do by half of it."""

_RULES = {
    "beam": integer(at_least=1),
    "language_weight": number(at_least=0),
    "word_bonus": number(),
    "unknown_cost": number(at_least=0),
    "closed": flag(),
    "token_weight": number(at_least=0),
    "hot_words": Rule(
        "words or phrases with weights above 0",
        lambda words: (
            isinstance(words, Mapping)
            and all(isinstance(word, str) and word.strip() for word in words)
            and all(number(above=0).holds(weight) for weight in words.values())
        ),
    ),
    "least_chance": number(at_least=0, below=1),
    "window": number(above=0),
}


@dataclass(frozen=True)
class CtcSearch:
    """The rules of a search for what was said.

    >>> CtcSearch(beam=32, hot_words={"Reykjavik": 6.0}).language_weight
    0.5

    Scores are natural logarithms; see `grukit.ops.ctc.contract` for what they are the sum of.

    beam: how many beginnings of texts are followed side by side; 1, with nothing to help it, takes
        the likeliest token of each frame.
    language_weight: that of a model of words. word_bonus: for each word, since every word costs.
    unknown_cost: that of a word which the model of words does not know.
    closed: only words that it knows may occur.
    token_weight: that of a model of tokens.
    hot_words: words or phrases to be expected, with what each adds to a score: 3 makes one 20 times
        as likely as the models think.
    least_chance: tokens less likely than this in a frame are not thought of there.
    window: beginnings whose score is so much less than that of the best are given up.
    """

    beam: int = 16
    language_weight: float = 0.5
    word_bonus: float = 0.5
    unknown_cost: float = 5.0
    closed: bool = False
    token_weight: float = 0.3
    hot_words: Mapping[str, float] = field(default_factory=dict)
    least_chance: float = 1e-6
    window: float = 25.0

    def __post_init__(self) -> None:
        check(vars(self), _RULES)


GREEDY = CtcSearch(beam=1)


class CtcHypothesis(NamedTuple):
    """A text that may have been said.

    tokens: its U tokens. frames: for each of them the frame where it is the likeliest. confidences:
    how sure each is, from 0 to 1; see `grukit.decoding.confidence`. log_chance: ln of the chance of
    the text by the network alone, in all ways to say it; for greedy search of its best path. score:
    that by which texts are ranked, with what models and hot words add.
    """

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    confidences: tuple[float, ...]
    log_chance: float
    score: float


class CtcSegment(NamedTuple):
    """What was said from one frame to another, best first."""

    start: int
    end: int
    hypotheses: list[CtcHypothesis]


class CtcDecoder:
    """Finds what was said in the outputs of a network with CTC.

    alphabet: its V tokens, of which 0 is the blank.
    search: the rules.
    words: a model of words: an `NgramModel`, or the path of an ARPA file.
    tokens: a model of tokens.
    threads: recordings are searched side by side on so many.

    Where the native core is missing, the search runs in Python, thousands of times as slowly.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        search: CtcSearch | None = None,
        words: NgramModel | str | Path | None = None,
        tokens: TokenModel | None = None,
        threads: int = 1,
    ) -> None:
        check({"threads": threads}, {"threads": integer(at_least=1)})
        self.alphabet, self.search = alphabet, search or CtcSearch()
        self._model, self._threads = tokens, threads
        helped = words is not None or tokens is not None or bool(self.search.hot_words)
        if self.search.closed and words is None:
            raise ParameterError(must_be("closed", "False without a model of words", True))
        self.is_greedy = self.search.beam == 1 and not helped
        self._rules = self._rules_of(None if words is None else as_ngram_model(words))

    def _rules_of(self, words: NgramModel | None) -> Rules:
        own, spelled = self.search, letters_of(self.alphabet)
        hot = hot_phrases(self.alphabet, own.hot_words)
        spared = [word for phrase in own.hot_words for word in phrase.split()]
        return Rules(
            letters=spelled,
            beam=own.beam,
            window=own.window,
            least=math.log(own.least_chance) if own.least_chance else -math.inf,
            words=words.words(spared) if words else None,
            weight=own.language_weight,
            bonus=own.word_bonus if words else 0.0,
            unknown=own.unknown_cost,
            closed=own.closed,
            hot=hot,
            token_weight=own.token_weight if self._model else None,
        )

    @functools.cached_property
    def _native(self) -> NativeRules | None:
        return None if self.is_greedy or clib.why_missing() else NativeRules(self._rules)

    def decode(
        self, log_probs: Any, lengths: Sequence[int] | None = None, count: int = 1
    ) -> list[list[CtcHypothesis]]:
        """What was said in each of B recordings: its likeliest texts, best first.

        log_probs: [B, T, V], ln of the chances of tokens, which sum to 1 in each frame.
        lengths: [B], their frames; all T if None.
        count: how many texts at most; greedy search has one.

        Raises DataError for what are no such chances.
        """
        check({"count": count}, {"count": integer(at_least=1)})
        x = np.asarray(log_probs, np.float32)
        if x.ndim != 3:
            raise DataError(must_be("log_probs", "of shape [B, T, V]", x.shape))
        own = [x.shape[1]] * len(x) if lengths is None else np.asarray(lengths).tolist()
        if len(own) != len(x) or not all(0 <= length <= x.shape[1] for length in own):
            raise DataError(must_be("lengths", f"[B], from 0 to {x.shape[1]}", lengths))
        parts = [self.checked(row[:length]) for row, length in zip(x, own, strict=True)]
        searches = [self.open() for _ in parts]
        if self._native and not self._model:
            push(searches, parts, self._threads)
        else:
            for one, part in zip(searches, parts, strict=True):
                one.push(part)
        return [self.texts(one, count, final=True) for one in searches]

    def stream(self, endpoint: Endpoint | None = None, seconds: float = 0.04) -> CtcStream:
        """The same for one recording as its frames come, which are so many seconds apart.

        endpoint: where segments end; None makes one segment of all.
        """
        check({"seconds": seconds}, {"seconds": number(above=0)})
        return CtcStream(self, endpoint, seconds)

    def checked(self, log_probs: Any) -> np.ndarray:
        """Frames as float32 [T, V]; DataError if they are none."""
        x, size = np.asarray(log_probs, np.float32), len(self.alphabet)
        if x.ndim != 2 or x.shape[1] != size:
            raise DataError(must_be("log_probs", f"of shape [T, {size}]", x.shape))
        sums = np.exp(x).sum(axis=1)
        if not (np.abs(sums - 1) <= _SUM).all():
            frame = int(np.flatnonzero(~(np.abs(sums - 1) <= _SUM))[0])
            wanted = "ln of chances that sum to 1"
            raise DataError(must_be("log_probs", wanted, f"{sums[frame]:.4g} at frame {frame}"))
        return x

    def open(self) -> Any:
        """A search through one recording: it has push, best and reset."""
        if self.is_greedy:
            return BestPath()
        if self._native is None:
            return self.reference()
        if self._model:
            return _AskingSearch(self._native, self._model)
        return NativeSearch(self._native)

    def reference(self) -> ReferenceSearch:
        """The same search in plain Python, to be compared with."""
        return ReferenceSearch(self._rules, TokenChances(self._model) if self._model else None)

    def texts(self, search: Any, count: int, final: bool, first: int = 0) -> list[CtcHypothesis]:
        """The best texts that a search has found, whose frame 0 is frame `first`."""
        found: list[Found] = search.best(self.search.beam, final)
        sure = confidences(found, self._rules.letters, count)
        return [
            CtcHypothesis(
                one.tokens,
                tuple(first + frame for frame in one.frames),
                own,
                one.log_chance,
                one.score,
            )
            for one, own in zip(found, sure, strict=False)
        ]


class CtcStream:
    """One recording whose frames come bit by bit; what is found does not depend on the bits.

    frames: how many have come. first: where the segment that is not yet whole begins.
    """

    def __init__(self, decoder: CtcDecoder, endpoint: Endpoint | None, seconds: float) -> None:
        self._decoder, self._search = decoder, decoder.open()
        self._endpoint = None if endpoint is None else endpoint.open(seconds)
        self.first = self.frames = 0

    def push(self, log_probs: Any) -> list[CtcSegment]:
        """The segments that end within these frames, [t, V], in which anything was said."""
        x = self._decoder.checked(log_probs)
        if self._endpoint is None:
            ends = []
        else:
            ends = self._endpoint.push(x.argmax(axis=1) == BLANK)
        found, before = [], 0
        for end in ends:
            self._push(x[before:end])
            found += self.finish()
            before = end
        self._push(x[before:])
        return found

    def _push(self, frames: np.ndarray) -> None:
        self._search.push(frames)
        self.frames += len(frames)

    def best(self) -> CtcHypothesis:
        """The likeliest text since the last segment, so far."""
        return self._decoder.texts(self._search, 1, final=False, first=self.first)[0]

    def finish(self, count: int = 1) -> list[CtcSegment]:
        """The segment that ends here, if anything was said; what comes begins another one.

        count: how many texts of it at most.
        """
        found = self._decoder.texts(self._search, count, final=True, first=self.first)
        segment = CtcSegment(self.first, self.frames, found)
        self._search.reset()
        self.first = self.frames
        return [segment] if found[0].tokens else []


class _AskingSearch(NativeSearch):
    """A native search with a model of tokens, which it asks as it goes on."""

    def __init__(self, rules: NativeRules, model: TokenModel) -> None:
        super().__init__(rules)
        self._rows = TokenRows(model, 2 * rules.beam)

    def push(self, log_probs: np.ndarray) -> int:
        done = 0
        while True:
            self._rows.answer(self)
            if done == len(log_probs):
                return done
            done += super().push(log_probs[done:])

    def best(self, count: int, final: bool = False) -> list[Found]:
        self._rows.answer(self)
        return super().best(count, final)
