"""From text to tokens and back, exactly.

Every tokenizer but those of words keeps any Unicode text as it is, also characters that it has not
learned. Its first tokens are the special ones, such as the end of a text, which no text can
contain.

>>> tokenizer = learn_tokenizer("char", ["hello"], specials=("<end>",))
>>> tokens = tokenizer.encode("hell é")
>>> tokenizer.decode(tokens)
'hell é'
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.extras import require
from grukit.data.texts import spread

# Scripts written without spaces, whose signs say something alone; and signs that go with the one
# before, which are no letters to `re`: accents, and vowels from Hebrew to Tibetan.
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_JOINED = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0963\u0970-\u0fbc"
_RUN = rf"[^\W{_ALONE}](?:[^\W{_ALONE}]|[{_JOINED}])*"
_WORD = re.compile(rf"{_RUN}(?:['’]{_RUN})*|\S")
_SPACED_WORD = re.compile(rf" ?(?:{_WORD.pattern})|\s")
MOST_LEARNED = 100_000_000
"""Byte pairs are learned from so many characters at most."""
_KINDS = "one of 'byte', 'char', 'bpe', 'word', 'spaced word'"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What bytes that are no UTF-8 become."""


class Tokenizer:
    """What all tokenizers do.

    specials: names of the special tokens 0, 1, ...; kind: its name in a model folder.
    """

    kind: ClassVar[str]

    def __init__(self, specials: Sequence[str] = ()) -> None:
        self.specials = tuple(specials)

    def __len__(self) -> int:
        """How many tokens there are, V."""
        raise NotImplementedError

    def encode(self, text: str) -> np.ndarray:
        """Text as int64 [N]; DataError for a lone surrogate, which is half a character."""
        raise NotImplementedError

    def decode(self, tokens: Iterable[int]) -> str:
        """The text; special tokens say nothing, and bytes that are no UTF-8 become U+FFFD."""
        raise NotImplementedError

    def pieces(self, text: str) -> list[str]:
        """What each token of a text stands for."""
        return [self.decode([token]) for token in self.encode(text).tolist()]

    def special(self, name: str) -> int:
        """The token of a special name."""
        return self.specials.index(name)

    def to_json(self) -> str:
        """All of it, for `tokenizer_from_json`."""
        return json.dumps({"kind": self.kind, "specials": self.specials, **self._config()})

    def _config(self) -> dict[str, Any]:
        return {}


class ByteTokenizer(Tokenizer):
    """The bytes of UTF-8, one token each."""

    kind = "byte"

    def __len__(self) -> int:
        return len(self.specials) + 256

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(_utf8(text), np.uint8).astype(np.int64) + len(self.specials)

    def decode(self, tokens: Iterable[int]) -> str:
        first = len(self.specials)
        return bytes(t - first for t in tokens if t >= first).decode("utf-8", "replace")


class CharTokenizer(Tokenizer):
    """The characters that were learned, one token each; any other as the half bytes of its UTF-8.

    characters: those learned, sorted.
    """

    kind = "char"

    def __init__(self, characters: str, specials: Sequence[str] = ()) -> None:
        super().__init__(specials)
        self.characters = characters
        self._halves = len(self.specials)
        self._first = self._halves + 16

    @classmethod
    def learn(cls, texts: Iterable[str], specials: Sequence[str] = ()) -> CharTokenizer:
        """One for all characters of `texts`."""
        seen: set[str] = set()
        for text in texts:
            seen.update(text)
        return cls("".join(sorted(seen)), specials)

    def __len__(self) -> int:
        return self._first + len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        points = _points(text)
        found = np.searchsorted(self._known, points)
        strange = np.ones(len(points), bool)
        if len(self._known):
            strange = np.take(self._known, found, mode="clip") != points
        parts, start = [], 0
        for at in np.flatnonzero(strange):
            halves = [half for byte in _utf8(text[at]) for half in divmod(byte, 16)]
            parts += [found[start:at] + self._first, np.array(halves) + self._halves]
            start = at + 1
        return np.concatenate([*parts, found[start:] + self._first])

    def decode(self, tokens: Iterable[int]) -> str:
        found, high = bytearray(), -1
        for token in tokens:
            if self._halves <= token < self._first:
                half = token - self._halves
                if high < 0:
                    high = half
                else:
                    found.append(16 * high + half)
                    high = -1
            elif token >= self._first:
                if high >= 0:
                    found.append(0xFF)
                    high = -1
                found += self.characters[token - self._first].encode()
        return (bytes(found) + b"\xff" * (high >= 0)).decode("utf-8", "replace")

    @cached_property
    def _known(self) -> np.ndarray:
        return _points(self.characters)

    def _config(self) -> dict[str, Any]:
        return {"characters": self.characters}


class BpeTokenizer(Tokenizer):
    """Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019).

    library: a tokenizer of the library `tokenizers`.
    """

    kind = "bpe"

    def __init__(self, library: Any, specials: Sequence[str] = ()) -> None:
        super().__init__(specials)
        self.library = library

    @classmethod
    def learn(
        cls, texts: Iterable[str], vocabulary: int, specials: Sequence[str] = ()
    ) -> BpeTokenizer:
        """One of at most `vocabulary` tokens, the 256 bytes and the specials among them.

        Of more than 100 million characters it reads pieces of them, evenly spread.
        """
        tokenizers = require("tokenizers")
        library = tokenizers.Tokenizer(tokenizers.models.BPE())
        level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.pre_tokenizer = level
        library.decoder = tokenizers.decoders.ByteLevel()
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=vocabulary - len(specials),
            initial_alphabet=level.alphabet(),
            show_progress=False,
        )
        library.train_from_iterator(map(_checked, spread(texts, MOST_LEARNED)), trainer)
        return cls(library, specials)

    def __len__(self) -> int:
        return len(self.specials) + self.library.get_vocab_size()

    def encode(self, text: str) -> np.ndarray:
        # The quick form leaves out where in the text each token is.
        (found,) = self.library.encode_batch_fast([_checked(text)], add_special_tokens=False)
        return np.array(found.ids, np.int64) + len(self.specials)

    def decode(self, tokens: Iterable[int]) -> str:
        first = len(self.specials)
        return self.library.decode([int(t) - first for t in tokens if t >= first])

    def _config(self) -> dict[str, Any]:
        return {"tokenizer": json.loads(self.library.to_str())}


class WordTokenizer(Tokenizer):
    """The most frequent words, one token each, and one token for all others.

    Unlike the rest it loses something: case, spaces, and the words that it does not know. That is
    for models that judge texts.

    words: those known. The special names must hold "<unknown>".
    """

    kind = "word"
    UNKNOWN = "<unknown>"
    fewest: ClassVar[int] = 2

    def __init__(self, words: Sequence[str], specials: Sequence[str] = (UNKNOWN,)) -> None:
        super().__init__(specials)
        self.words = tuple(words)
        self._unknown = self.special(self.UNKNOWN)
        first = len(self.specials)
        self._tokens = {word: at for at, word in enumerate(self.words, first)}

    @classmethod
    def learn(
        cls, texts: Iterable[str], vocabulary: int, specials: Sequence[str] = (UNKNOWN,)
    ) -> WordTokenizer:
        """One of the most frequent words of `texts`, of those that come at least `fewest` times."""
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(cls._cut(_checked(text)))
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        known = [word for word, count in frequent if count >= cls.fewest]
        return cls(known[: vocabulary - len(specials)], specials)

    def __len__(self) -> int:
        return len(self.specials) + len(self.words)

    def encode(self, text: str) -> np.ndarray:
        found = [self._tokens.get(word, self._unknown) for word in self._cut(_checked(text))]
        return np.array(found, np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        first = len(self.specials)
        return " ".join(self.words[t - first] if t >= first else self.specials[t] for t in tokens)

    def pieces(self, text: str) -> list[str]:
        return self._cut(text)

    @staticmethod
    def _cut(text: str) -> list[str]:
        return words_of(text)

    def _config(self) -> dict[str, Any]:
        return {"words": self.words}


class SpacedWordTokenizer(WordTokenizer):
    """Words as they are written, each with the space before it.

    It loses only the words that it does not know; its pieces together are the text.
    """

    kind = "spaced word"
    # A name that comes in a single pair of texts comes in both of them.
    fewest = 3

    def decode(self, tokens: Iterable[int]) -> str:
        first = len(self.specials)
        unknown = {self._unknown: f" {self.UNKNOWN}"}
        return "".join(self.words[t - first] if t >= first else unknown.get(t, "") for t in tokens)

    @staticmethod
    def _cut(text: str) -> list[str]:
        return _SPACED_WORD.findall(text)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, and each other sign apart.

    >>> words_of("It's n't GOOD, 10 %!")
    ["it's", "n't", 'good', ',', '10', '%', '!']
    >>> words_of("हिन्दी 日本語")
    ['हिन्दी', '日', '本', '語']
    """
    return _WORD.findall(text.lower())


def learn_tokenizer(
    kind: str, texts: Iterable[str], vocabulary: int = 8000, specials: Sequence[str] = ()
) -> Tokenizer:
    """A tokenizer for texts, of at most `vocabulary` tokens.

    kind: "byte", "char", "bpe", "word" or "spaced word".
    """
    if kind == "byte":
        return ByteTokenizer(specials)
    if kind == "char":
        return CharTokenizer.learn(texts, specials)
    if kind == "bpe":
        return BpeTokenizer.learn(texts, vocabulary, specials)
    if kind == "word":
        return WordTokenizer.learn(texts, vocabulary, specials)
    if kind == "spaced word":
        return SpacedWordTokenizer.learn(texts, vocabulary, specials)
    raise ParameterError(must_be("tokenizer", _KINDS, kind))


def tokenizer_from_json(text: str) -> Tokenizer:
    """The inverse of `to_json`; an error of the usual kinds for a text that is none."""
    config = json.loads(text)
    kind, specials = config["kind"], tuple(map(str, config["specials"]))
    if kind == "byte":
        return ByteTokenizer(specials)
    if kind == "char":
        return CharTokenizer(str(config["characters"]), specials)
    if kind == "bpe":
        library = require("tokenizers").Tokenizer.from_str(json.dumps(config["tokenizer"]))
        return BpeTokenizer(library, specials)
    if kind == "word":
        return WordTokenizer(tuple(map(str, config["words"])), specials)
    if kind == "spaced word":
        return SpacedWordTokenizer(tuple(map(str, config["words"])), specials)
    raise ValueError(must_be("a tokenizer", _KINDS, kind))


def _points(text: str) -> np.ndarray:
    try:
        return np.frombuffer(text.encode("utf-32-le"), np.uint32).astype(np.int64)
    except UnicodeEncodeError as error:
        raise _half_a_character(text, error) from error


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _half_a_character(text, error) from error


def _checked(text: str) -> str:
    _utf8(text)
    return text


def _half_a_character(text: str, error: UnicodeEncodeError) -> DataError:
    at = error.start
    return DataError(f"text must be of whole characters, got the surrogate {text[at]!r} at {at}")
