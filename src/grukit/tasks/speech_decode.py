"""From the chances of tokens to segments of what was said."""

from __future__ import annotations

import numpy as np

from grukit.decoding.ctc import CtcDecoder, CtcSegment
from grukit.decoding.endpoint import Endpoint
from grukit.decoding.segments import segment_of
from grukit.results.transcript import Segment


class Decoding:
    """One recording or stream: its chances come in any pieces, its segments in order.

    seconds: from step to step.
    """

    def __init__(self, decoder: CtcDecoder, endpoint: Endpoint, seconds: float) -> None:
        self._alphabet, self._seconds = decoder.alphabet, seconds
        self._stream = decoder.stream(endpoint, seconds)

    def push(self, chances: np.ndarray) -> list[Segment]:
        """ln of the chances of the next steps, [t, V], to the segments that end with them."""
        return self._final(self._stream.push(chances))

    def partial(self) -> Segment | None:
        """What has been said since the last segment."""
        return segment_of(self._stream.best(), self._alphabet, self._seconds, is_final=False)

    def finish(self) -> list[Segment]:
        """The last segments."""
        return self._final(self._stream.finish())

    def _final(self, found: list[CtcSegment]) -> list[Segment]:
        segments = (segment_of(own.hypotheses[0], self._alphabet, self._seconds) for own in found)
        return [own for own in segments if own is not None]
