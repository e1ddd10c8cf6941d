"""What was said in a recording, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from grukit.core.errors import ParameterError, must_be
from grukit.results.conversion import none_unless_finite, to_frame
from grukit.results.subtitles import cues_of, to_srt, to_vtt


class TimedWord(NamedTuple):
    """A word: from when to when in seconds, and how sure the model is, from 0 to 1."""

    text: str
    start: float
    end: float
    confidence: float


class TimedCharacter(NamedTuple):
    """A character, or what else a token is: from when to when in seconds, and how sure."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Segment:
    """What was said between two silences.

    Attributes:
        start, end: in seconds from the beginning of the recording or stream.
        text: all of it.
        words: its words in the order of their times.
        characters: its characters, spaces among them, or its pieces; empty where nobody asked.
        is_final: False for a partial result, which may still change.

    Raises:
        ParameterError: times that go backwards, or a word before the one that precedes it.
    """

    start: float
    end: float
    text: str
    words: tuple[TimedWord, ...] = ()
    characters: tuple[TimedCharacter, ...] = ()
    is_final: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end < math.inf:
            wanted = "from 0 up, the start first"
            raise ParameterError(must_be("times of a segment", wanted, (self.start, self.end)))
        for parts in (self.words, self.characters):
            before = 0.0
            for part in parts:
                if not before <= part.start <= part.end:
                    raise ParameterError(must_be("times", "in order", part))
                before = part.start

    @property
    def confidence(self) -> float:
        """The mean of its words'; NaN without words."""
        if not self.words:
            return math.nan
        return sum(word.confidence for word in self.words) / len(self.words)

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values; characters only where there are any."""
        own = {
            "start": self.start,
            "end": self.end,
            "text": self.text,
            "confidence": none_unless_finite(self.confidence),
            "is_final": self.is_final,
            "words": [word._asdict() for word in self.words],
        }
        if self.characters:
            own["characters"] = [one._asdict() for one in self.characters]
        return own


@dataclass(frozen=True)
class Transcript:
    """A recording as text.

    >>> words = (TimedWord("good", 0.2, 0.5, 0.9), TimedWord("morning", 0.5, 1.1, 0.7))
    >>> answer = Transcript((Segment(0.0, 1.4, "good morning", words),), duration=1.4)
    >>> print(answer)
    good morning
    >>> print(answer.to_srt(), end="")
    1
    00:00:00,200 --> 00:00:01,200
    good morning

    Attributes:
        segments: what was said between silences, in the order of time.
        duration: of the whole recording, in seconds.
    """

    segments: tuple[Segment, ...]
    duration: float

    @property
    def text(self) -> str:
        """All that was said, in one line."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def words(self) -> tuple[TimedWord, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    def __str__(self) -> str:
        return self.text

    def table(self) -> str:
        """A line for each word: from when to when, how sure, and the word, as aligned text."""
        rows = [("start", "end", "sure", "word")]
        rows += [
            (f"{w.start:.2f}", f"{w.end:.2f}", f"{w.confidence:.2f}", w.text) for w in self.words
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            "  ".join(
                [*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[3]]
            )
            for row in rows
        )

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each word: segment (from 0), start, end, confidence and word."""
        rows = [(at, word) for at, own in enumerate(self.segments) for word in own.words]
        data = {
            "segment": [at for at, _ in rows],
            "start": [word.start for _, word in rows],
            "end": [word.end for _, word in rows],
            "confidence": [word.confidence for _, word in rows],
            "word": [word.text for _, word in rows],
        }
        return to_frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "text": self.text,
            "duration": self.duration,
            "segments": [segment.to_dict() for segment in self.segments],
        }

    def to_srt(self) -> str:
        """Subtitles as SubRip has them; empty where nothing was said.

        `grukit.results.subtitles` tells how segments are cut.
        """
        return to_srt(cues_of(self.segments, self.duration))

    def to_vtt(self) -> str:
        """Subtitles as WebVTT has them; nothing but its header where nothing was said."""
        return to_vtt(cues_of(self.segments, self.duration))
