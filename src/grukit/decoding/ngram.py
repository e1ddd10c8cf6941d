"""N-gram models of words: read from ARPA files, learned from lines of text, asked for chances.

>>> model = NgramModel.learn(["we go home", "we go by train"], order=2)
>>> round(math.exp(model.chance(("we",), "go")), 2)
0.73
>>> model.chance(("we",), "go") > model.chance((), "go")
True
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.files import write_atomically
from grukit.core.rules import check, integer
from grukit.ops.ctc.contract import END, Automaton, Words

START, UNKNOWN = "<s>", "<unk>"
_LN_10 = math.log(10)
_NEVER = -99.0  # the log10 of a chance of 0, by the custom of ARPA files

Gram = tuple[str, ...]


class NgramModel:
    """Chances of words after those before them, by backing off (Katz 1987).

    p(w | h) is that of the n-gram h w where the model has it, else backoff(h) p(w | h') with h' the
    words of h without the first.

    grams: for each length from 1 on, of every n-gram ln of its chance and of its backoff.
    """

    def __init__(self, grams: Sequence[dict[Gram, tuple[float, float]]]) -> None:
        self.grams = tuple(grams)

    @property
    def order(self) -> int:
        """The words of the longest n-grams."""
        return len(self.grams)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The words that the model knows."""
        return frozenset(word for (word,) in self.grams[0]) - {START, END, UNKNOWN}

    @cached_property
    def unknown(self) -> float:
        """ln of the chance of any other word alone: that of <unk>, else the least of a word."""
        if (UNKNOWN,) in self.grams[0]:
            return self.grams[0][UNKNOWN,][0]
        return min(chance for (word,), (chance, _) in self.grams[0].items() if word != START)

    @property
    def ends(self) -> bool:
        """Whether it tells where a text ends."""
        return (END,) in self.grams[0]

    def chance(self, history: Sequence[str], word: str) -> float:
        """ln of the chance of a word, or of END, after all words from the beginning of a text."""
        before = (START, *history)[-self.order + 1 :] if self.order > 1 else ()
        gram, sum_of_backoffs = tuple(map(self._known, (*before, word))), 0.0
        while gram not in self.grams[len(gram) - 1]:
            if len(gram) == 1:
                return sum_of_backoffs + self.unknown
            sum_of_backoffs += self._backoff(gram[:-1])
            gram = gram[1:]
        return sum_of_backoffs + self.grams[len(gram) - 1][gram][0]

    def _known(self, word: str) -> str:
        return word if word in self.vocabulary or word in (START, END) else UNKNOWN

    def _backoff(self, context: Gram) -> float:
        return self.grams[len(context) - 1].get(context, (0.0, 0.0))[1]

    @classmethod
    def learn(cls, lines: Iterable[str], order: int = 3) -> NgramModel:
        """One of the words of lines, each of which is a text.

        With c(h w) the counts and k(h) the kinds of words after h, interpolated as by Witten and
        Bell (1991):

            p(w | h) = (c(h w) + k(h) p(w | h')) / (c(h) + k(h))

        where below all is 1 / (words + 2), for those that are not known and for the end. DataError
        without any word.
        """
        check({"order": order}, {"order": integer(at_least=1)})
        counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
        for line in lines:
            words = [START, *line.split(), END]
            for length, own in enumerate(counts, 1):
                # The start is never what is foretold.
                own.update(zip(*(words[at:] for at in range(length)), strict=False))
        counts[0].pop((START,), None)
        if reserved := {(UNKNOWN,), (START,)} & counts[0].keys():
            raise DataError(must_be("lines", f"without {START} and {UNKNOWN}", sorted(reserved)))
        if not counts[0].keys() - {(END,)}:
            raise DataError(must_be("lines", "texts with words in them", "none"))
        grams: list[dict[Gram, tuple[float, float]]] = []
        chances: dict[Gram, float] = {(): 1 / (len(counts[0]) + 1)}
        backoffs: dict[Gram, float] = {}
        for own in counts:
            totals: Counter[Gram] = Counter()
            kinds: Counter[Gram] = Counter()
            for gram, count in own.items():
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
            for context, total in totals.items():
                backoffs[context] = kinds[context] / (total + kinds[context])
            longer = {
                gram: count / (totals[gram[:-1]] + kinds[gram[:-1]])
                + backoffs[gram[:-1]] * chances[gram[1:] if len(gram) > 1 else ()]
                for gram, count in own.items()
            }
            if not grams:
                longer[UNKNOWN,] = backoffs[()] * chances[()]
            chances = longer
            grams.append({gram: (math.log(chance), 0.0) for gram, chance in longer.items()})
        grams[0][START,] = (_NEVER * _LN_10, 0.0)
        for context, backoff in backoffs.items():
            if context:
                chance, _ = grams[len(context) - 1][context]
                grams[len(context) - 1][context] = (chance, math.log(backoff))
        return cls(grams)

    @classmethod
    def from_arpa(cls, path: str | Path) -> NgramModel:
        """One from a file in the ARPA format; DataError for one that is not, with the line."""
        try:
            with open(path, encoding="utf-8") as file:
                return cls(_Arpa(str(path)).grams(file))
        except UnicodeDecodeError as error:
            raise DataError(must_be(str(path), "text in UTF-8", str(error))) from error

    @classmethod
    def from_text(cls, content: str) -> NgramModel:
        """The inverse of `to_text`; DataError for what is none."""
        return cls(_Arpa("the model of words").grams(content.splitlines()))

    def to_arpa(self, path: str | Path) -> None:
        """Write it in the ARPA format, for any other program."""
        write_atomically(path, self.to_text())

    def to_text(self) -> str:
        """The content of an ARPA file."""
        lines = ["", "\\data\\"]
        lines += [f"ngram {length}={len(own)}" for length, own in enumerate(self.grams, 1)]
        for length, own in enumerate(self.grams, 1):
            lines += ["", f"\\{length}-grams:"]
            for gram, (chance, backoff) in own.items():
                line = f"{chance / _LN_10:.9g}\t{' '.join(gram)}"
                lines.append(f"{line}\t{backoff / _LN_10:.9g}" if length < self.order else line)
        return "\n".join([*lines, "", "\\end\\", ""])

    def words(self, spared: Iterable[str] = ()) -> Words:
        """The model as a search asks it.

        spared: words that count as known, though the model does not have them.
        """
        automaton, number = self._automaton
        known = {word: self.grams[0][word,][0] for word in self.vocabulary}
        for word in spared:
            known.setdefault(word, self.unknown)
        numbers = {word: number.get(word, automaton.unknown) for word in known}
        return Words(known, self.unknown, self.chance, self.ends, numbers, automaton)

    @cached_property
    def _automaton(self) -> tuple[Automaton, dict[str, int]]:
        words = [*sorted(self.vocabulary), UNKNOWN, *([END] if self.ends else [])]
        number = {word: at for at, word in enumerate(words)}
        contexts = {gram[:-1] for own in self.grams for gram in own}
        for own in self.grams[:-1]:
            contexts.update(gram for gram, (_, backoff) in own.items() if backoff != 0)
        contexts.discard(())
        state: dict[Gram, int] = {(): 0}
        for context in sorted(contexts, key=lambda one: (len(one), one)):
            state[context] = len(state)
        at: list[int] = []
        word: list[int] = []
        to: list[int] = []
        chance: list[float] = []
        before = self.order - 1
        for own in self.grams:
            for gram, (nats, _) in own.items():
                if gram[-1] != START:
                    at.append(state[gram[:-1]])
                    word.append(number[gram[-1]])
                    to.append(_longest(gram[-before:] if before else (), state))
                    chance.append(nats)
        if (UNKNOWN,) not in self.grams[0]:
            at, word, to = [*at, 0], [*word, number[UNKNOWN]], [*to, 0]
            chance = [*chance, self.unknown]
        order = np.lexsort((word, at))
        automaton = Automaton(
            begin=np.cumsum([0, *np.bincount(at, minlength=len(state))], dtype=np.int64),
            word=np.array(word, np.int32)[order],
            next=np.array(to, np.int32)[order],
            chance=np.array(chance, np.float64)[order],
            backoff=np.array([self._backoff(one) if one else 0.0 for one in state], np.float64),
            shorter=np.array([_longest(one[1:], state) for one in state], np.int32),
            start=_longest((START,), state),
            unknown=number[UNKNOWN],
            end=number.get(END, -1),
        )
        return automaton, number


def _longest(gram: Gram, state: dict[Gram, int]) -> int:
    """The state of the longest end of an n-gram that has one."""
    while gram not in state:
        gram = gram[1:]
    return state[gram]


class _Arpa:
    """An ARPA file, line by line. name: what messages call it."""

    def __init__(self, name: str) -> None:
        self._name, self._at = name, 0

    def grams(self, lines: Iterable[str]) -> list[dict[Gram, tuple[float, float]]]:
        return self._read(self._lines(lines))

    def _lines(self, file: Iterable[str]) -> Iterator[str]:
        """The lines that are not empty; the last must be the end of the model."""
        for line in file:
            self._at += 1
            if text := line.strip():
                yield text
        raise self._problem("\\end\\", "the end of the file")

    def _read(self, lines: Iterator[str]) -> list[dict[Gram, tuple[float, float]]]:
        while next(lines) != "\\data\\":
            pass
        counts: list[int] = []
        while (line := next(lines)).startswith("ngram "):
            name, equals, count = line.removeprefix("ngram ").partition("=")
            if not equals or name.strip() != str(len(counts) + 1) or not count.strip().isdigit():
                raise self._problem(f"ngram {len(counts) + 1}=COUNT", line)
            counts.append(int(count))
        if not counts:
            raise self._problem("ngram 1=COUNT", line)
        grams: list[dict[Gram, tuple[float, float]]] = []
        for length, count in enumerate(counts, 1):
            if line != f"\\{length}-grams:":
                raise self._problem(f"\\{length}-grams:", line)
            own: dict[Gram, tuple[float, float]] = {}
            while not (line := next(lines)).startswith("\\"):
                gram, values = self._entry(line, length, grams)
                if gram in own:
                    raise self._problem("an n-gram that is not there yet", line)
                own[gram] = values
            if len(own) != count:
                raise self._problem(f"after {count} {length}-grams", f"{len(own)} of them")
            grams.append(own)
        if line != "\\end\\":
            raise self._problem("\\end\\", line)
        if not grams[0].keys() - {(START,), (END,), (UNKNOWN,)}:
            raise self._problem("after at least one word", "none")
        return grams

    def _entry(
        self, line: str, length: int, shorter: list[dict[Gram, tuple[float, float]]]
    ) -> tuple[Gram, tuple[float, float]]:
        """An n-gram with ln of its chance and of its backoff."""
        chance, *words = line.split()
        backoff = words.pop() if len(words) > length else "0"
        try:
            values = (float(chance), float(backoff))
        except ValueError:
            values = (math.nan, 0.0)
        if len(words) != length or not (values[0] <= 0 and all(map(math.isfinite, values))):
            wanted = "'LOG10 OF A CHANCE'" + " WORD" * length + " [BACKOFF]"
            raise self._problem(wanted, line)
        gram = tuple(UNKNOWN if word == "<UNK>" else word for word in words)
        if shorter and (strange := [word for word in gram if (word,) not in shorter[0]]):
            raise self._problem("of words that are 1-grams", strange[0])
        return gram, (values[0] * _LN_10, values[1] * _LN_10)

    def _problem(self, wanted: str, got: str) -> DataError:
        return DataError(must_be(f"{self._name}, line {self._at},", wanted, got))


def as_ngram_model(model: NgramModel | str | Path) -> NgramModel:
    """A model, or what an ARPA file at a path has."""
    if isinstance(model, str | Path):
        return NgramModel.from_arpa(model)
    if not isinstance(model, NgramModel):
        wanted = "an NgramModel or the path of an ARPA file"
        raise ParameterError(must_be("language_model", wanted, model))
    return model
