"""Where words begin and end, from where they were found and how loud it is there.

CTC says at which step it is sure of a token, which is anywhere in its sound or a little after it
(Graves et al. 2006). The sound itself says more: a word is as long as it is loud around its tokens;
where those are late, all of them as much earlier as makes them loudest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# Loud is what stands out of the quietest by this share of what the loudest of the word does, on
# the scale of decibels. A word may be quiet for so long inside, as before a stop.
_LOUD = 0.25
_QUIETEST = 0.05
_INSIDE_SECONDS = 0.12
_LATEST_SECONDS = 0.4


def spoken_spans(
    found: Sequence[tuple[int, int]],
    loudness: np.ndarray,
    seconds: float,
    is_late: bool = False,
) -> list[tuple[int, int]]:
    """The first step of each word, and the step after its last.

    found: the first and the last step at which tokens of each word were found, in order.
    loudness: of every step, on a logarithmic scale, [T].
    seconds: from step to step.
    is_late: whether words may all have been found later than they were said, as by a network that
        sees little of what comes.

    No word goes beyond the quietest step between it and its neighbour.

    >>> loudness = np.array([0, 0, 9, 9, 9, 0, 0, 8, 8, 8, 8, 1.0])
    >>> spoken_spans([(4, 4), (11, 11)], loudness, 0.1)
    [(2, 5), (7, 11)]
    """
    if not found:
        return []
    floor = float(np.quantile(loudness, _QUIETEST))
    late = _lateness(found, loudness, round(_LATEST_SECONDS / seconds)) if is_late else 0
    found = [(max(0, first - late), max(0, last - late)) for first, last in found]
    walls = [0]
    for (_, before), (after, _) in pairwise(found):
        walls.append(before + _middle_of_lowest(loudness[before : after + 1]))
    walls.append(len(loudness))
    return [
        _span(own, loudness[low:high] - floor, low, round(_INSIDE_SECONDS / seconds))
        for own, (low, high) in zip(found, pairwise(walls), strict=True)
    ]


def _lateness(found: Sequence[tuple[int, int]], loudness: np.ndarray, most: int) -> int:
    """By how many steps the words were found later than where they are loudest."""
    places = np.array(found).mean(axis=1).astype(np.int64)
    earlier = np.maximum(0, places - np.arange(most + 1)[:, None])
    return int(loudness[earlier].sum(axis=1).argmax())


def _middle_of_lowest(loudness: np.ndarray) -> int:
    """Of the quietest steps the one in the middle, at least one after the first."""
    lowest = np.flatnonzero(loudness == loudness.min())
    return max(1, int(lowest[len(lowest) // 2]))


def _span(found: tuple[int, int], above: np.ndarray, low: int, inside: int) -> tuple[int, int]:
    """That of a word between its neighbours, where it is louder than the floor by `above`."""
    loud = np.flatnonzero(above >= max(_LOUD * above.max(initial=0.0), 1e-6))
    if not len(loud):
        return found[0], found[1] + 1
    # Runs of loud steps; what is between two of them is short where the word goes on.
    first, last = found[0] - low, found[1] - low
    start = int(np.abs(loud - first).argmin())
    end = int(np.abs(loud - last).argmin())
    while start > 0 and loud[start] - loud[start - 1] <= inside + 1:
        start -= 1
    while end < len(loud) - 1 and loud[end + 1] - loud[end] <= inside + 1:
        end += 1
    return low + int(loud[start]), low + int(loud[end]) + 1
