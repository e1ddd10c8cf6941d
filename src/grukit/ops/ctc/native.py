"""The search in the native core: the same as the reference, to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from grukit.core import clib
from grukit.core.errors import ParameterError, must_be
from grukit.ops.ctc.contract import Found, Rules
from grukit.ops.ctc.tables import Arcs, lexicon, phrases


class Wanted(NamedTuple):
    """What is asked of a model of tokens: the chances of what follows some texts.

    before, token, row: int32 [N], the row that keeps its state before the last token (-1: there is
    no token yet), that token, and the row that is to keep the state after it.
    """

    before: np.ndarray
    token: np.ndarray
    row: np.ndarray


class NativeRules:
    """Rules that the core has copied, for any number of searches.

    BackendError if the core is missing.
    """

    def __init__(self, rules: Rules) -> None:
        self.vocabulary, self.beam = len(rules.letters), rules.beam
        values = _values(rules)
        fields = [_address(values.get(name, 0)) for name in clib.CTC_FIELDS]
        self.rules = clib.CtcRules(clib.ctc_rules(*fields))


class NativeSearch:
    """A search through the frames of one recording, as they come."""

    def __init__(self, rules: NativeRules) -> None:
        self._search = clib.CtcSearch(rules.rules)
        self._vocabulary, self._beam = rules.vocabulary, rules.beam
        self._count = np.zeros(1, np.int64)
        self._wanted = [np.empty(self._beam, np.int32) for _ in Wanted._fields]
        self._places = [values.ctypes.data for values in (self._count, *self._wanted)]

    @property
    def handle(self) -> int:
        return self._search.handle or 0

    def reset(self) -> None:
        """Begin anew, at frame 0."""
        self._search.reset()

    def push(self, log_probs: np.ndarray) -> int:
        """Go on by frames [T, V]; how many were read, all without a model of tokens."""
        return push([self], [log_probs])[0]

    def wanted(self) -> Wanted:
        """What a model of tokens must tell before the search can go on."""
        self._search.wanted(*self._places)
        return Wanted(*(values[: self._count[0]].copy() for values in self._wanted))

    def give(self, chances: np.ndarray) -> None:
        """ln of the chances of every next token, [N, V], for what is wanted."""
        values = np.ascontiguousarray(chances, np.float32)
        self._search.wanted(*self._places)
        if values.shape != (wanted := (int(self._count[0]), self._vocabulary)):
            raise ParameterError(must_be("chances", f"of shape {wanted}", values.shape))
        self._search.give(_address(values))

    def best(self, count: int, final: bool = False) -> list[Found]:
        """The best texts so far, best first; `final`: as texts that end here."""
        number, lengths, whole = np.zeros(1, np.int64), *np.empty((2, self._beam), np.int64)
        chances, scores = np.empty((2, self._beam))
        out = (number, lengths, chances, scores, whole)
        self._search.rank(final, *(values.ctypes.data for values in out))
        found = []
        for rank in range(min(count, int(number[0]))):
            tokens, frames, peaks = self._read(rank, int(lengths[rank]))
            chance, score = float(chances[rank]), float(scores[rank])
            found.append(Found(tokens, frames, peaks, chance, score, bool(whole[rank])))
        return found

    def _read(self, rank: int, length: int) -> list[tuple[Any, ...]]:
        tokens, frames, peaks = (
            np.empty(max(length, 1), kind) for kind in (np.int32, np.int64, np.float64)
        )
        self._search.read(rank, *(values.ctypes.data for values in (tokens, frames, peaks)))
        return [tuple(values[:length].tolist()) for values in (tokens, frames, peaks)]


def push(
    searches: Sequence[NativeSearch], log_probs: Sequence[np.ndarray], threads: int = 1
) -> list[int]:
    """Let searches of the same rules go on by frames [T, V] each; how many each has read.

    What they find depends neither on the threads nor on each other. BackendError for NaN.
    """
    frames = [np.ascontiguousarray(values, np.float32) for values in log_probs]
    handles = np.array([search.handle for search in searches], np.uint64)
    places = np.array([_address(values) for values in frames], np.uint64)
    counts = np.array([len(values) for values in frames], np.int64)
    taken = np.zeros(len(frames), np.int64)
    places_of = (places.ctypes.data, counts.ctypes.data, taken.ctypes.data)
    clib.push_ctc(handles.ctypes.data, len(handles), *places_of, threads)
    return taken.tolist()


def _values(rules: Rules) -> dict[str, Any]:
    """The fields of the C structure, by name; those that are not there are 0."""
    letters = [letter for one in rules.letters for letter in one]
    values: dict[str, Any] = {
        **{name: getattr(rules, name) for name in ("beam", "window", "least", "weight")},
        **{name: getattr(rules, name) for name in ("bonus", "unknown", "closed")},
        "vocabulary": len(rules.letters),
        "letters_begin": np.cumsum([0, *map(len, rules.letters)], dtype=np.int64),
        "letters": np.array(letters, np.int32),
        "asks_tokens": rules.token_weight is not None,
        "token_weight": rules.token_weight or 0.0,
    }
    if rules.words:
        model, words = rules.words.automaton, lexicon(rules.words.number, rules.words.known)
        values |= {**_fields("lexicon", words.arcs), "word": words.word, "ahead": words.ahead}
        values |= _fields("ngrams", Arcs(model.begin, model.word, model.next))
        values |= {name: getattr(model, name) for name in ("chance", "backoff", "shorter")}
        values |= {"start": model.start, "unknown_word": model.unknown, "end_word": model.end}
        values["unknown_chance"] = rules.words.unknown
    if rules.hot:
        hot = phrases(rules.hot, rules.has_words)
        values |= {**_fields("phrases", hot.arcs), "phrases_start": hot.start}
        values |= {name: getattr(hot, name) for name in ("fail", "held", "complete")}
    return values


def _fields(name: str, arcs: Arcs) -> dict[str, Any]:
    own = {f"{name}.{field}": values for field, values in arcs._asdict().items()}
    return {f"{name}.nodes": arcs.nodes, **own}


def _address(value: Any) -> Any:
    """Of an array its address, which must not be 0; anything else as it is."""
    if isinstance(value, np.ndarray):
        return value.ctypes.data if value.size else clib.EMPTY
    return value
