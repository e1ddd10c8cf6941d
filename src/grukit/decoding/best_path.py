"""The best path through the outputs of CTC: in every frame the likeliest token."""

from __future__ import annotations

import itertools

import numpy as np

from grukit.ops.ctc.contract import BLANK, Found


class BestPath:
    """The likeliest token of each frame, those that follow each other as one (Graves 2006).

    It goes on as a search does. The chance of its text is that of the path alone.

    >>> path = BestPath()
    >>> path.push(np.log([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]]))
    4
    >>> path.best(1)[0].frames
    (0, 3)
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, at frame 0."""
        self._frames, self._last, self._chance = 0, BLANK, 0.0
        self._tokens: list[int] = []
        self._at: list[int] = []
        self._peaks: list[float] = []

    def push(self, log_probs: np.ndarray) -> int:
        """Go on by frames [T, V]; how many they are."""
        if not len(log_probs):
            return 0
        best = log_probs.argmax(axis=1)
        peaks = np.take_along_axis(log_probs, best[:, None], axis=1)[:, 0].astype(np.float64)
        # One by one, so that the sum does not depend on the pieces in which frames come.
        for peak in peaks.tolist():
            self._chance += peak
        starts = np.flatnonzero(best != np.concatenate([[self._last], best[:-1]]))
        if self._last != BLANK:
            self._go_on(peaks[: starts[0] if len(starts) else None])
        for start, end in itertools.pairwise([*starts.tolist(), len(best)]):
            if best[start] != BLANK:
                self._tokens.append(int(best[start]))
                self._at.append(self._frames + start)
                self._peaks.append(float(peaks[start]))
                self._go_on(peaks[start:end], start)
        self._last = int(best[-1])
        self._frames += len(best)
        return len(best)

    def _go_on(self, peaks: np.ndarray, start: int = 0) -> None:
        """More frames of the last token."""
        if len(peaks) and peaks.max() > self._peaks[-1]:
            self._at[-1] = self._frames + start + int(peaks.argmax())
            self._peaks[-1] = float(peaks.max())

    def best(self, count: int, final: bool = False) -> list[Found]:
        """The text so far; there is one."""
        parts = (tuple(self._tokens), tuple(self._at), tuple(self._peaks))
        return [Found(*parts, self._chance, self._chance)]
