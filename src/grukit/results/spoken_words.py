"""Single words that were recognized in recordings and streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Detection(NamedTuple):
    """A word spotted in a stream: from when to when in seconds, and its chance."""

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class WordAnswer:
    """Which word a recording is.

    >>> print(WordAnswer("yes", {"yes": 0.9, "no": 0.1}))
    yes 0.900
    >>> print(WordAnswer(None, {"yes": 0.5, "no": 0.5}))
    (unknown) 0.500

    Attributes:
        word: one of the known; None where none is likely enough, or where it is none of them.
        chances: of each known word, by its name.
    """

    word: str | None
    chances: Mapping[str, float]

    @property
    def confidence(self) -> float:
        """The chance of the word; of an unknown one that of the likeliest of the known."""
        return max(self.chances.values()) if self.word is None else self.chances[self.word]

    def __str__(self) -> str:
        return f"{'(unknown)' if self.word is None else self.word} {self.confidence:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"word": self.word, "confidence": self.confidence, "chances": dict(self.chances)}
