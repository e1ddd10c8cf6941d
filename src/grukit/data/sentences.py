"""A long text in parts that a model can take."""

from __future__ import annotations

import re
from collections.abc import Callable

# Where a text is best cut, from the best place to the worst: after a line, a sentence, a part of
# one, a word.
_ENDS = tuple(map(re.compile, (r"\n+", r"[.!?…。！？]['\")\]]*\s+", r"[,;:—–،、]\s+", r"\s+")))


def parts_of(text: str, most: int, size: Callable[[str], int]) -> list[str]:
    """A text cut where it is best into parts, the text when put together, of at most `most` each.

    size: of a part, as in tokens. A part with nothing to cut at is cut in the middle.

    >>> parts_of("One, two. Three four.", 3, size=lambda part: len(part.split()))
    ['One, two. ', 'Three four.']
    """
    if size(text) <= most or len(text) < 2:
        return [text]
    middle = len(text) / 2
    for end in _ENDS:
        places = [found.end() for found in end.finditer(text) if found.end() < len(text)]
        if places:
            at = min(places, key=lambda place: abs(place - middle))
            break
    else:
        at = len(text) // 2
    return [*parts_of(text[:at], most, size), *parts_of(text[at:], most, size)]
