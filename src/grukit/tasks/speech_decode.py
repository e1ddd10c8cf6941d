"""From the chances of tokens to segments of what was said."""

from __future__ import annotations

import numpy as np

from grukit.decoding.ctc import CtcDecoder, CtcHypothesis, CtcSegment
from grukit.decoding.endpoint import Endpoint
from grukit.decoding.segments import segment_of
from grukit.results.transcript import Segment


class Decoding:
    """One recording or stream: its chances come in any pieces, its segments in order.

    seconds: from step to step. is_live: whether the network sees but little of what comes.
    """

    def __init__(
        self, decoder: CtcDecoder, endpoint: Endpoint, seconds: float, is_live: bool
    ) -> None:
        self._alphabet, self._seconds = decoder.alphabet, seconds
        self._stream = decoder.stream(endpoint, seconds)
        self._is_live = is_live
        self._loudness = np.zeros(0, np.float32)
        self._first = 0

    def push(self, chances: np.ndarray, loudness: np.ndarray) -> list[Segment]:
        """ln of the chances of the next steps, [t, V], and how loud they are, [t], to the segments
        that end with them."""
        self._loudness = np.concatenate([self._loudness, loudness])
        return self._final(self._stream.push(chances))

    def partial(self) -> Segment | None:
        """What has been said since the last segment."""
        return self._segment(self._stream.best(), self._first + len(self._loudness), False)

    def finish(self) -> list[Segment]:
        """The last segments."""
        return self._final(self._stream.finish())

    def _final(self, found: list[CtcSegment]) -> list[Segment]:
        segments = []
        for own in found:
            self._forget(own.start)
            segments.append(self._segment(own.hypotheses[0], own.end, True))
        self._forget(self._stream.first)
        return [own for own in segments if own is not None]

    def _segment(self, found: CtcHypothesis, end: int, is_final: bool) -> Segment | None:
        loudness = self._loudness[: end - self._first]
        return segment_of(
            found, self._alphabet, self._seconds, loudness, self._first, is_final, self._is_live
        )

    def _forget(self, first: int) -> None:
        """What is before this step is of segments that have ended."""
        self._loudness = self._loudness[first - self._first :]
        self._first = first


def by_step(loudness: np.ndarray, stride: int) -> np.ndarray:
    """The mean loudness of the `stride` frames of each step, the last of which may be fewer."""
    missing = -len(loudness) % stride
    whole = np.pad(loudness, (0, missing), "edge") if missing else loudness
    return whole.reshape(-1, stride).mean(axis=1)
