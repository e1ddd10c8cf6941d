"""From the chances of tokens to segments of what was said."""

from __future__ import annotations

import numpy as np

from grukit.data.alphabet import BLANK, Alphabet
from grukit.decoding.segments import TimedToken, segment_of
from grukit.results.transcript import Segment


class Decoding:
    """One recording or stream: its chances come in any pieces, its segments in order.

    seconds: from step to step.
    """

    def __init__(self, alphabet: Alphabet, seconds: float) -> None:
        self._alphabet, self._seconds = alphabet, seconds
        self._tokens: list[TimedToken] = []
        self._last, self._step = BLANK, 0

    def push(self, chances: np.ndarray) -> list[Segment]:
        """ln of the chances of the next steps, [t, V], to the segments that end with them."""
        for row in chances:
            token = int(row.argmax())
            if token not in (BLANK, self._last):
                self._tokens.append(TimedToken(token, self._step, float(np.exp(row[token]))))
            self._last = token
            self._step += 1
        return []

    def partial(self) -> Segment | None:
        """What has been said since the last segment."""
        return segment_of(self._tokens, self._alphabet, self._seconds, is_final=False)

    def finish(self) -> list[Segment]:
        """The last segments."""
        found = segment_of(self._tokens, self._alphabet, self._seconds)
        return [] if found is None else [found]
