"""From tokens that were found to segments of timed words."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from grukit.data.alphabet import Alphabet
from grukit.decoding.ctc import CtcHypothesis
from grukit.decoding.word_times import spoken_spans
from grukit.results.transcript import Segment, TimedCharacter, TimedWord


def segment_of(
    found: CtcHypothesis,
    alphabet: Alphabet,
    seconds: float,
    loudness: np.ndarray | None = None,
    first: int = 0,
    is_final: bool = True,
    is_late: bool = False,
) -> Segment | None:
    """The segment of a text; None if it says nothing.

    seconds: from frame to frame of the search.
    loudness: of each frame from frame `first` on, on a logarithmic scale, if it is known.
    is_late: whether words are found later than they are said.

    A token lasts for its frame. A word lasts as `grukit.decoding.word_times` has it; where it is
    not known how loud it was, from its first token to its last. It is as sure as its tokens are in
    the mean (see `grukit.decoding.confidence`).

    >>> found = CtcHypothesis((2, 1), (4, 9), (0.9, 0.8), -0.4, -0.4)
    >>> segment_of(found, Alphabet("word", ["", "left", "turn"]), 0.04).words[1]
    TimedWord(text='left', start=0.36, end=0.4, confidence=0.8)
    """
    space, begins = alphabet.space, alphabet.begins_word
    tokens = list(zip(found.tokens, found.frames, found.confidences, strict=True))
    parts: list[list[tuple[int, int, float]]] = []
    between = True
    for token in tokens:
        if token[0] == space:
            between = True
            continue
        if between or begins[token[0]]:
            parts.append([])
        parts[-1].append(token)
        between = False
    spans = [(own[0][1], own[-1][1] + 1) for own in parts]
    if loudness is not None:
        inside = [(start - first, end - 1 - first) for start, end in spans]
        spans = [
            (a + first, b + first) for a, b in spoken_spans(inside, loudness, seconds, is_late)
        ]
    words = tuple(
        TimedWord(text, start * seconds, end * seconds, fmean(sure for *_, sure in own))
        for own, (start, end) in zip(parts, spans, strict=True)
        if (text := alphabet.decode(token for token, *_ in own))
    )
    if not words:
        return None
    characters = tuple(
        TimedCharacter(alphabet.tokens[token], frame * seconds, (frame + 1) * seconds, sure)
        for token, frame, sure in tokens
    )
    text = " ".join(word.text for word in words)
    return Segment(words[0].start, words[-1].end, text, words, characters, is_final)
