"""Text that a model wrote, and what it thinks of text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from grukit.results.conversion import to_frame
from grukit.results.scores import ScoreTable


@dataclass(frozen=True)
class Generation:
    """A text that was written.

    Attributes:
        prompt: what it goes on from.
        text: what was written after that.
        tokens: how many were chosen.
        nats: the surprise of the model at them, -log of their chance, before any rule of sampling.
        ended: why: "length", a "stop" string, or the "end" of the text by the model.
    """

    prompt: str
    text: str
    tokens: int
    nats: float
    ended: Literal["length", "stop", "end"]

    def __str__(self) -> str:
        return self.prompt + self.text

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class TextSurprise:
    """The tokens of a text, and how little each was to be expected; iterates over both in pairs.

    Attributes:
        tokens: T of them, which together are the text.
        nats: float64 [T], -log of the chance that the model gave each.
    """

    tokens: tuple[str, ...]
    nats: np.ndarray

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return zip(self.tokens, self.nats.tolist(), strict=True)

    def __len__(self) -> int:
        return len(self.tokens)

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each token."""
        return to_frame({"token": list(self.tokens), "nats": self.nats.tolist()}, backend)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"tokens": list(self.tokens), "nats": self.nats.tolist()}


@dataclass(frozen=True)
class TextScore:
    """How well a model foretells a text.

    Attributes:
        nats: -log of the chance of the whole text.
        tokens, characters, bytes: how long it is, bytes as UTF-8.
    """

    nats: float
    tokens: int
    characters: int
    bytes: int

    @property
    def nats_per_character(self) -> float:
        """Mean surprise of a character; NaN of no text."""
        return self.nats / self.characters if self.characters else math.nan

    @property
    def bits_per_byte(self) -> float:
        """Mean surprise of a byte, which no tokenizer changes the unit of; NaN of no text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    @property
    def perplexity(self) -> float:
        """Among how many tokens, equally likely, the model chooses on the mean; NaN of no text."""
        return math.exp(self.nats / self.tokens) if self.tokens else math.nan

    def metrics(self) -> dict[str, float]:
        """All three, by name."""
        names = ("nats_per_character", "bits_per_byte", "perplexity")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class TextEvaluation(ScoreTable):
    """A language model beside n-grams, on one text.

    Attributes:
        scores: one Score each, the model first.
        characters: of the text.
    """

    characters: int

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {"characters": self.characters, "scores": self._score_dicts()}
