"""Texts that a model translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from grukit.results.scores import ScoreTable


class Candidate(NamedTuple):
    """A text that was considered: the log of its chance, and the score that ranks it."""

    text: str
    log_chance: float
    score: float


@dataclass(frozen=True, eq=False)
class Translation:
    """A text and its translation.

    Attributes:
        source: the text.
        text: its translation, the best of the candidates.
        candidates: the best that were found, best first.
        source_tokens, tokens: S pieces of the source and T of the translation, each with an end.
        attention: float32 [T, S]: where in the source the model looked for each piece; rows sum
            to 1.
    """

    source: str
    text: str
    candidates: tuple[Candidate, ...]
    source_tokens: tuple[str, ...]
    tokens: tuple[str, ...]
    attention: np.ndarray

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """The texts and scores as JSON values, without attention."""
        return {
            "source": self.source,
            "text": self.text,
            "candidates": [one._asdict() for one in self.candidates],
        }


@dataclass(frozen=True, eq=False)
class TranslationEvaluation(ScoreTable):
    """Translations beside references.

    Attributes:
        scores: BLEU, BLEU of lower-cased texts, and chrF, the model first.
        sentences: how many.
        signatures: by metric, how sacreBLEU computed it, for others to do the same.
    """

    sentences: int
    signatures: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "sentences": self.sentences,
            "scores": self._score_dicts(),
            "signatures": self.signatures,
        }
