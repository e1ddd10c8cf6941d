"""Segments of speech cut into subtitles.

A subtitle (a cue) has at most 2 lines of at most 42 characters and stands for at most 7 seconds,
from the start of its first word to the end of its last. It is kept for a second at least, as far as
the next one and the end of the recording leave room. A word that is longer than a line is cut; its
parts share its time by their length, and so do the words of a segment that has a text only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from grukit.results.transcript import Segment

_COLUMNS, _LINES = 42, 2
_SHORTEST, _LONGEST = 1000, 7000  # milliseconds
# SubRip has no escapes: its players take "<" and "{" for tags, and "-->" for a line of times. This
# character, WORD JOINER, is not drawn and keeps them apart.
_JOINER = "\N{WORD JOINER}"


class Cue(NamedTuple):
    """Lines to show from one time to another, in whole milliseconds."""

    start: int
    end: int
    lines: tuple[str, ...]


class _Part(NamedTuple):
    """A word, or what of it fits into a line."""

    text: str
    start: int
    end: int


def cues_of(segments: Iterable[Segment], duration: float) -> list[Cue]:
    """The subtitles of all segments, in order; none overlaps the next.

    duration: of the recording, in seconds, past which no subtitle is kept on.
    """
    rough = [cue for segment in segments for cue in _grouped(_parts(segment))]
    cues: list[Cue] = []
    for at, cue in enumerate(rough):
        start = max(cue.start, cues[-1].end if cues else 0)
        end = min(cue.end, start + _LONGEST)
        end = max(end, min(start + _SHORTEST, round(1000 * duration)))
        if at + 1 < len(rough):
            end = min(end, rough[at + 1].start)
        cues.append(Cue(start, max(end, start + 1), cue.lines))
    return cues


def to_srt(cues: Iterable[Cue]) -> str:
    """Cues as SubRip has them.

    It has no escapes, so that an invisible word joiner (U+2060) stands after each "<" and "{", and
    within "-->".
    """
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{_srt(cue.lines)}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    return "\n".join(blocks)


def to_vtt(cues: Iterable[Cue]) -> str:
    """Cues as WebVTT has them, https://www.w3.org/TR/webvtt1."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_vtt(cue.lines)}\n" for cue in cues
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _parts(segment: Segment) -> Iterator[_Part]:
    words = [(own.text, 1000 * own.start, 1000 * own.end) for own in segment.words]
    if not words:
        words = [(segment.text, 1000 * segment.start, 1000 * segment.end)]
    for text, start, end in words:
        pieces = [
            word[at : at + _COLUMNS]
            for word in text.split()  # so that there are no line breaks in it, of any kind
            for at in range(0, len(word), _COLUMNS)
        ]
        size, done = sum(map(len, pieces)), 0
        for piece in pieces:
            share = [start + (end - start) * at / size for at in (done, done + len(piece))]
            yield _Part(piece, *map(round, share))
            done += len(piece)


def _grouped(parts: Iterable[_Part]) -> Iterator[Cue]:
    """The parts of a segment in cues that are as full as they may be."""
    lines: list[str] = []
    start = end = 0
    for part in parts:
        fits = bool(lines) and part.end - start <= _LONGEST
        if fits and len(lines[-1]) + 1 + len(part.text) <= _COLUMNS:
            lines[-1] += f" {part.text}"
        elif fits and len(lines) < _LINES:
            lines.append(part.text)
        else:
            if lines:
                yield Cue(start, end, tuple(lines))
            lines, start = [part.text], part.start
        end = part.end
    if lines:
        yield Cue(start, end, tuple(lines))


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"


def _srt(lines: tuple[str, ...]) -> str:
    text = "\n".join(lines).replace("<", f"<{_JOINER}").replace("{", f"{{{_JOINER}")
    return text.replace("-->", f"--{_JOINER}>")


def _vtt(lines: tuple[str, ...]) -> str:
    text = "\n".join(lines).replace("&", "&amp;")
    return text.replace("<", "&lt;").replace(">", "&gt;")
