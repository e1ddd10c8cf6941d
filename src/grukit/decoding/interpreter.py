"""A text while it is translated: cut where it is too long, searched for, put together again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from grukit.data.sentences import parts_of
from grukit.data.text_batches import padded
from grukit.data.tokenizers import Tokenizer, WordTokenizer
from grukit.decoding.beam import Demand, Hypothesis, beam_search
from grukit.decoding.ensemble import Ensemble
from grukit.decoding.search import Search
from grukit.results.translation import Candidate, Translation

END = "<end>"
# Parts searched for side by side, of about equal length.
_AT_ONCE = 64


def spaced(text: str) -> str:
    """A text as it is tokenized: its first word looks like one within it."""
    return f" {text}"


def tokens_of(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The tokens of a text, int64 [N], without the end."""
    return tokenizer.encode(spaced(text))


class _Part(NamedTuple):
    """A part of a text, and the spaces before and after it."""

    before: str
    text: str
    after: str


class Interpreter:
    """Translates by one network or several.

    longest: of a text with more tokens, parts of at most so many are translated one by one.
    """

    def __init__(self, networks: Iterable[Any], tokenizer: Tokenizer, longest: int) -> None:
        self._model, self._tokenizer, self._longest = Ensemble(networks), tokenizer, longest
        self._end = tokenizer.special(END)
        known = WordTokenizer.UNKNOWN not in tokenizer.specials
        self._unknown = None if known else tokenizer.special(WordTokenizer.UNKNOWN)

    def translate(
        self,
        texts: Sequence[str],
        prefixes: Sequence[str],
        search: Search,
    ) -> list[Translation]:
        """See `grukit.Translator.translate`."""
        terms = _Glossary(search.glossary, self._tokenizer)
        parts = [self._parts(text) for text in texts]
        rows, demands = [], []
        for own, prefix in zip(parts, prefixes, strict=True):
            for at, part in enumerate(own):
                row = np.append(tokens_of(self._tokenizer, part.text), self._end)
                begin = (
                    tuple(tokens_of(self._tokenizer, prefix).tolist()) if prefix and not at else ()
                )
                phrases = terms.phrases(part.text)
                length = 2 * len(row) + 10 + len(begin) + sum(map(len, phrases))
                rows.append(row)
                demands.append(Demand(length, tuple(begin), phrases))
        answers = iter(self._search(rows, demands, search))
        rows = iter(rows)
        return [
            self._joined(text, [(part, next(rows), next(answers)) for part in own], terms)
            for text, own in zip(texts, parts, strict=True)
        ]

    def _parts(self, text: str) -> list[_Part]:
        """The parts that have something to translate."""
        found, before = [], ""
        for part in parts_of(text, self._longest, self._size):
            core = part.strip()
            if not core:
                before += part
                continue
            begin, _, after = part.partition(core)
            found.append(_Part(before + begin, core, after))
            before = ""
        if found and before:
            found[-1] = found[-1]._replace(after=found[-1].after + before)
        return found

    def _size(self, part: str) -> int:
        return len(tokens_of(self._tokenizer, part.strip()))

    def _search(
        self,
        rows: Sequence[np.ndarray],
        demands: Sequence[Demand],
        search: Search,
    ) -> list[list[Hypothesis]]:
        found: list[list[Hypothesis]] = [[] for _ in rows]
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        for first in range(0, len(order), _AT_ONCE):
            batch = order[first : first + _AT_ONCE]
            with torch.no_grad():
                state = self._model.start(*padded([rows[at] for at in batch]))
            asked = [demands[at] for at in batch]
            answers = beam_search(
                self._model, state, asked, self._end, search.beam, search.length_penalty
            )
            for at, own in zip(batch, answers, strict=True):
                found[at] = own
        return found

    def _joined(
        self,
        text: str,
        parts: Sequence[tuple[_Part, np.ndarray, list[Hypothesis]]],
        terms: _Glossary,
    ) -> Translation:
        if not parts:
            return Translation(text, text, (Candidate(text, 0.0, 0.0),), (), (), np.zeros((0, 0)))
        best = [(part, row, found[0]) for part, row, found in parts]
        if len(parts) == 1:
            ((part, row, found),) = parts
            # Of the ways to write the same text the likeliest.
            of_text: dict[str, Candidate] = {}
            for one in found:
                written = self._written(part, row, one, terms)
                of_text.setdefault(written, Candidate(written, one.log_chance, one.score))
            candidates = tuple(of_text.values())
        else:
            written = "".join(self._written(*own, terms) for own in best)
            log_chance = sum(one.log_chance for _, _, one in best)
            candidates = (Candidate(written, log_chance, sum(one.score for _, _, one in best)),)
        return Translation(
            text,
            candidates[0].text,
            candidates,
            tuple(piece for part, _, _ in best for piece in (*self._source(part), END)),
            tuple(piece for own in best for piece in (*self._pieces(*own, terms), END)),
            _diagonal([self._looks(row, one) for _, row, one in best]),
        )

    def _written(self, part: _Part, row: np.ndarray, one: Hypothesis, terms: _Glossary) -> str:
        if self._unknown in one.tokens:
            text = "".join(self._pieces(part, row, one, terms))
        else:
            text = self._tokenizer.decode(one.tokens)
        return part.before + text.strip() + part.after

    def _source(self, part: _Part) -> list[str]:
        return self._tokenizer.pieces(spaced(part.text))

    def _pieces(self, part: _Part, row: np.ndarray, one: Hypothesis, terms: _Glossary) -> list[str]:
        """What each token says; of an unknown word, the one in the source that it looks at most.

        Or what the glossary has for that (Luong et al. 2015, arXiv:1410.8206). Where the source has
        words that are unknown too, it is one of these.
        """
        pieces = [self._tokenizer.decode([token]) for token in one.tokens]
        if self._unknown in one.tokens:
            source = self._source(part)
            places = np.flatnonzero(row == self._unknown)
            places = places if len(places) else np.arange(len(source))
            looked = places[self._looks(row, one)[:, places].argmax(1)]
            for at, token in enumerate(one.tokens):
                if token == self._unknown:
                    pieces[at] = terms.replaced(source[looked[at]])
        return pieces

    @torch.no_grad()
    def _looks(self, row: np.ndarray, one: Hypothesis) -> np.ndarray:
        written = torch.tensor([[self._end, *one.tokens]])
        return self._model.attention(*padded([row]), written)[0].numpy()


def _diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Matrices one after the other along the diagonal of one, zero elsewhere."""
    whole = np.zeros(np.sum([block.shape for block in blocks], axis=0), np.float32)
    row = column = 0
    for block in blocks:
        rows, columns = block.shape
        whole[row : row + rows, column : column + columns] = block
        row, column = row + rows, column + columns
    return whole


class _Glossary:
    """What must be said in a translation where a text has certain phrases."""

    def __init__(self, glossary: Mapping[str, str], tokenizer: Tokenizer) -> None:
        self._words = {phrase.strip().lower(): said.strip() for phrase, said in glossary.items()}
        self._terms = []
        for phrase, answer in glossary.items():
            words = re.compile(rf"(?<!\w){re.escape(phrase.strip())}(?!\w)", re.IGNORECASE)
            self._terms.append((words, tuple(tokens_of(tokenizer, answer.strip()).tolist())))

    def phrases(self, text: str) -> tuple[tuple[int, ...], ...]:
        """The tokens of each that a text asks for, once."""
        return tuple(dict.fromkeys(tokens for words, tokens in self._terms if words.search(text)))

    def replaced(self, piece: str) -> str:
        """A word, with the spaces about it, as the glossary has it; else as it is."""
        word = piece.strip()
        return piece.replace(word, self._words.get(word.lower(), word)) if word else piece
