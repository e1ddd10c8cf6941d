"""How well speech is recognized, beside baselines."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from grukit.results.conversion import none_unless_finite
from grukit.results.scores import ScoreTable


@dataclass(frozen=True)
class Edits:
    """What turns references into what was recognized, in words or in characters.

    Attributes:
        hits: what is right. substitutions: what is said wrong. deletions: what is missing.
        insertions: what nobody said.
    """

    hits: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def said(self) -> int:
        """How many the references have."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """All three kinds of errors for each one said: WER or CER; NaN where nothing was said."""
        errors = self.substitutions + self.deletions + self.insertions
        return errors / self.said if self.said else math.nan

    def __str__(self) -> str:
        return (
            f"{self.substitutions:,} wrong, {self.deletions:,} missing, "
            f"{self.insertions:,} too many of {self.said:,}"
        )


class Confusion(NamedTuple):
    """A word that was taken for another, and how often."""

    said: str
    heard: str
    count: int


@dataclass(frozen=True, eq=False)
class SpeechEvaluation(ScoreTable):
    """Transcripts beside references.

    The metrics are wer and cer, the errors for each word and character of the references. Case and
    punctuation count as they are written.

    Attributes:
        scores: one Score each, the model first, then the most frequent transcript of the training
            and a transcript in which nothing is said.
        words, characters: the errors of the model.
        confusions: the words most often taken for others, most frequent first.
        utterances: how many were transcribed. empty_references: of these, in which nothing is said.
        seconds: of audio; NaN where it is not known.
        real_time_factor: seconds of computing for each second of audio; NaN where it is not known.
    """

    words: Edits
    characters: Edits
    confusions: tuple[Confusion, ...]
    utterances: int
    empty_references: int
    seconds: float = math.nan
    real_time_factor: float = math.nan

    @property
    def recordings(self) -> int:
        """How many were judged."""
        return self.utterances

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "utterances": self.utterances,
            "empty_references": self.empty_references,
            "seconds": none_unless_finite(self.seconds),
            "real_time_factor": none_unless_finite(self.real_time_factor),
            "scores": self._score_dicts(),
            "words": asdict(self.words),
            "characters": asdict(self.characters),
            "confusions": [confusion._asdict() for confusion in self.confusions],
        }


@dataclass(frozen=True, eq=False)
class WordsEvaluation(ScoreTable):
    """Recordings of single words, recognized.

    The metrics are accuracy and macro_f1. What is none of the words, or rejected, is a class of its
    own, the last.

    Attributes:
        scores: one Score each, the model first, then a linear model of the mean features and the
            most frequent word.
        classes: C words.
        confusion: int64 [C + 1, C + 1], how often what is said in a row was taken for a column.
        threshold: below this chance an answer is rejected.
        seconds, real_time_factor: as in `SpeechEvaluation`.
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    threshold: float
    seconds: float = math.nan
    real_time_factor: float = math.nan

    @property
    def recordings(self) -> int:
        """How many were judged."""
        return int(self.confusion.sum())

    @property
    def rejected(self) -> float:
        """The share of the recordings of known words that were rejected; NaN without any."""
        known = self.confusion[:-1]
        return float(known[:, -1].sum() / known.sum()) if known.any() else math.nan

    def per_class(self) -> dict[str | None, dict[str, float]]:
        """By word, and None for what is none of them: recall, precision, and how many there are.

        NaN where a word is never said, or never recognized.
        """
        right = np.diag(self.confusion)
        said, heard = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return {
            name: {
                "recall": float(right[at] / said[at]) if said[at] else math.nan,
                "precision": float(right[at] / heard[at]) if heard[at] else math.nan,
                "count": int(said[at]),
            }
            for at, name in enumerate((*self.classes, None))
        }

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "recordings": self.recordings,
            "seconds": none_unless_finite(self.seconds),
            "real_time_factor": none_unless_finite(self.real_time_factor),
            "scores": self._score_dicts(),
            "threshold": self.threshold,
            "rejected": none_unless_finite(self.rejected),
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
            "per_class": [
                {"word": name, **{key: none_unless_finite(value) for key, value in own.items()}}
                for name, own in self.per_class().items()
            ],
        }
