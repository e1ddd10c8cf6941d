"""Where a segment of speech ends, by rules of silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from grukit.core.rules import check, number

_RULES = {
    "after_speech": number(above=0),
    "without_speech": number(above=0),
    "longest": number(above=0),
}


@dataclass(frozen=True)
class Endpoint:
    """When a segment ends, in seconds; the rules are those of Kaldi's online decoding.

    >>> Endpoint(after_speech=0.5).open(seconds=0.1).push(np.array([0, 1, 1, 1, 1, 1, 1]) == 1)
    [6]

    after_speech: how long nothing must have been said after something was.
    without_speech: how long nothing must have been said since the segment began.
    longest: how long a segment may be.
    """

    after_speech: float = 0.8
    without_speech: float = 5.0
    longest: float = 30.0

    def __post_init__(self) -> None:
        check(vars(self), _RULES)

    def open(self, seconds: float) -> EndpointStream:
        """The rules over a stream of frames, so many seconds apart."""
        return EndpointStream(self, seconds)


class EndpointStream:
    """Decides frame by frame, so that it cannot depend on the pieces in which frames come."""

    def __init__(self, rules: Endpoint, seconds: float) -> None:
        limits = (rules.after_speech, rules.without_speech, rules.longest)
        self._after, self._without, self._longest = (max(round(x / seconds), 1) for x in limits)
        self._begin()

    def _begin(self) -> None:
        self._frames = self._silence = 0
        self._spoken = False

    def push(self, silent: np.ndarray) -> list[int]:
        """Whether frames say nothing, bool [t]: after how many of them a segment ends."""
        ends = []
        for at, is_silent in enumerate(silent.tolist(), 1):
            self._frames += 1
            self._silence = self._silence + 1 if is_silent else 0
            self._spoken = self._spoken or not is_silent
            enough = self._after if self._spoken else self._without
            if self._silence >= enough or self._frames >= self._longest:
                ends.append(at)
                self._begin()
        return ends
