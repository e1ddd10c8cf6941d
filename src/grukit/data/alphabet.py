"""The tokens that speech is written in: characters, pieces of words, or whole words.

Token 0 is the blank of CTC, which stands for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from grukit.core.errors import DataError, ParameterError, did_you_mean, must_be
from grukit.core.extras import require

BLANK = 0
KINDS = ("char", "bpe", "word")
# How a piece of a bpe says that a word begins with it, as in SentencePiece.
_BEGIN = "▁"


class Alphabet:
    """Tokens of one kind, and texts as rows of them.

    >>> alphabet = Alphabet.learn(["turn left", "turn right"], "word")
    >>> alphabet.tokens
    ('', 'left', 'right', 'turn')
    >>> alphabet.encode("turn right").tolist()
    [3, 2]
    >>> alphabet.decode([3, 1])
    'turn left'

    kind: "char", "bpe" or "word". tokens: V names, the blank's "" first. merges: of a bpe, the
        pairs of pieces to join, the first first.
    """

    def __init__(
        self, kind: str, tokens: Sequence[str], merges: Sequence[tuple[str, str]] = ()
    ) -> None:
        if kind not in KINDS:
            raise ParameterError(must_be("kind", f"one of {KINDS}", kind))
        if not tokens or tokens[BLANK] != "" or len(set(tokens)) != len(tokens):
            raise DataError("the tokens must be names that differ, '' first")
        self.kind, self.tokens = kind, tuple(tokens)
        self.merges = tuple((a, b) for a, b in merges)
        self._ids = {token: at for at, token in enumerate(self.tokens)}
        self._bpe = None
        if kind == "bpe":
            model = require("tokenizers").models.BPE(vocab=self._ids, merges=list(self.merges))
            self._bpe = _tokenizer(model)

    @classmethod
    def learn(cls, texts: Iterable[str], kind: str, vocabulary: int = 500) -> Alphabet:
        """All characters or words of `texts`, or the at most `vocabulary` pieces of a bpe.

        Raises DataError where there are none, MissingExtra for a bpe without its package.
        """
        texts = [spaced(text) for text in texts]
        if not any(texts):
            raise DataError("the transcripts must not all be empty")
        if kind == "bpe":
            return cls(kind, *_learn_bpe(texts, vocabulary))
        parts = (text.split() if kind == "word" else text for text in texts)
        return cls(kind, ["", *sorted({token for part in parts for token in part})])

    def __len__(self) -> int:
        """How many tokens there are, V, with the blank."""
        return len(self.tokens)

    def encode(self, text: str) -> np.ndarray:
        """A text as int64 [U]; DataError, which names it, for a part that is not in the alphabet.

        Words are apart by one space, however many there are in the text.
        """
        text = spaced(text)
        if self._bpe is not None:
            known = {c for token in self.tokens for c in token} - {_BEGIN}
            self._check(set(text) - {" "}, text, known)
            return np.array(self._bpe.encode(text).ids, np.int64)
        parts: Sequence[str] = text.split() if self.kind == "word" else text
        self._check(set(parts), text, self._ids.keys())
        return np.array([self._ids[part] for part in parts], np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; blanks say nothing."""
        return self.text(self.tokens[token] for token in tokens)

    def text(self, names: Iterable[str]) -> str:
        """The text of the names of tokens."""
        if self.kind == "word":
            return " ".join(name for name in names if name)
        return spaced("".join(names).replace(_BEGIN, " "))

    @property
    def space(self) -> int | None:
        """The token between words; None where tokens begin words themselves."""
        return self._ids.get(" ") if self.kind == "char" else None

    @property
    def begins_word(self) -> np.ndarray:
        """Whether a token begins a new word by itself, bool [V]."""
        whole = self.kind == "word"
        return np.array([bool(t) and (whole or t.startswith(_BEGIN)) for t in self.tokens])

    def to_json(self) -> str:
        """All of it, for `from_json`."""
        content = {"kind": self.kind, "tokens": self.tokens, "merges": self.merges}
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, content: str) -> Alphabet:
        """The inverse of `to_json`; an error of the usual kinds for what is none."""
        given = json.loads(content)
        return cls(given["kind"], given["tokens"], given["merges"])

    def _check(self, parts: set[str], text: str, known: Iterable[str]) -> None:
        known = set(known)
        strange = sorted(parts - known)
        if strange:
            what = "words" if self.kind == "word" else "characters"
            hint = did_you_mean(strange[0], known - {""}) if self.kind == "word" else ""
            shown = ", ".join(map(repr, strange[:5])) + (", ..." if len(strange) > 5 else "")
            raise DataError(
                f"a transcript must be of the {what} that were learned, "
                f"got {shown} in {text[:80]!r}{hint}"
            )


def spaced(text: str) -> str:
    """The same words, one space between them and none around."""
    return " ".join(text.split())


def _tokenizer(model: Any) -> Any:
    tokenizers = require("tokenizers")
    bpe = tokenizers.Tokenizer(model)
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(_BEGIN, prepend_scheme="always")
    return bpe


def _learn_bpe(texts: Sequence[str], vocabulary: int) -> tuple[list[str], list[tuple[str, str]]]:
    """The tokens and merges of `texts`; all their characters are among the tokens."""
    tokenizers = require("tokenizers")
    bpe = _tokenizer(tokenizers.models.BPE())
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary - 1, show_progress=False, special_tokens=[]
    )
    bpe.train_from_iterator(texts, trainer)
    model = json.loads(bpe.to_str())["model"]
    merges = [(first, second) for first, second in model["merges"]]
    return ["", *sorted(model["vocab"], key=model["vocab"].__getitem__)], merges
