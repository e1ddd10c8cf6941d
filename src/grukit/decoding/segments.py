"""From tokens with times to segments of timed words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from grukit.data.alphabet import Alphabet
from grukit.results.transcript import Segment, TimedCharacter, TimedWord


class TimedToken(NamedTuple):
    """A token, the step of the network where it is the likeliest, and how sure it is, 0 to 1."""

    token: int
    step: int
    confidence: float


def segment_of(
    tokens: Sequence[TimedToken],
    alphabet: Alphabet,
    seconds: float,
    first: int = 0,
    is_final: bool = True,
) -> Segment | None:
    """The segment of tokens; None if they say nothing.

    seconds: from step to step. first: the step at which the segment's own step 0 is.

    A token lasts for its step; a word lasts from its first token to its last, and is as sure as
    the least sure of them.

    >>> tokens = [TimedToken(2, 4, 0.9), TimedToken(1, 9, 0.8)]
    >>> segment_of(tokens, Alphabet("word", ["", "left", "turn"]), 0.04).words[1]
    TimedWord(text='left', start=0.36, end=0.4, confidence=0.8)
    """
    space, begins = alphabet.space, alphabet.begins_word
    words: list[list[TimedToken]] = []
    between = True
    for token in tokens:
        if token.token == space:
            between = True
            continue
        if between or begins[token.token]:
            words.append([])
        words[-1].append(token)
        between = False

    def times(parts: Sequence[TimedToken]) -> tuple[float, float]:
        return (first + parts[0].step) * seconds, (first + parts[-1].step + 1) * seconds

    timed = [
        TimedWord(text, *times(parts), min(part.confidence for part in parts))
        for parts in words
        if (text := alphabet.decode(part.token for part in parts))
    ]
    if not timed:
        return None
    characters = tuple(
        TimedCharacter(alphabet.tokens[one.token], *times([one]), one.confidence) for one in tokens
    )
    text = " ".join(word.text for word in timed)
    return Segment(timed[0].start, timed[-1].end, text, tuple(timed), characters, is_final)
