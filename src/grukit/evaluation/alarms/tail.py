"""How unusual a number is among those before it, as a score and as a threshold."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left, insort
from collections import deque

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer
from grukit.evaluation.alarms.threshold import Threshold

# The tail is the largest share of the numbers, and at least so many.
SHARE, FEWEST = 0.02, 40
# Below this many numbers nothing is unusual.
FEWEST_KNOWN = 2 * FEWEST
LARGEST = 300.0
"""No surprise is larger, so that all stay finite."""


class Tail:
    """Surprise at a number, -log10 of the share of numbers as large, among the latest `memory`.

    Up to the 98th percentile the share is counted. Beyond, it falls as an exponential with the mean
    excess of the largest 2 %, at least 40 numbers: the limit law of peaks over a high threshold for
    light tails (Pickands 1975), so that a number far beyond all before is far more surprising than
    the largest of them. A surprise of 3 is seen once in 1,000 numbers, if they stay as they were.

    What a number costs is bounded by the memory, however many came before.

    >>> tail = Tail(memory=10_000).fit(np.random.default_rng(0).exponential(size=5000))
    >>> [round(tail.surprise(value), 1) for value in (0.7, 2.3, 6.9, 13.8)]
    [0.3, 1.0, 2.9, 5.9]
    """

    def __init__(self, memory: int, smallest_scale: float = 0.0) -> None:
        """smallest_scale: a mean excess below it counts as this, in the unit of the numbers."""
        check({"memory": memory}, {"memory": integer(at_least=FEWEST_KNOWN)})
        self.smallest_scale = max(smallest_scale, np.finfo(np.float64).tiny)
        self._latest: deque[float] = deque(maxlen=memory)
        self._sorted: list[float] = []

    def fit(self, values: np.ndarray) -> Tail:
        """Forget all, and learn the latest of values [T]; NaN are left out."""
        known = np.asarray(values, np.float64)
        if np.isinf(known).any():
            raise ParameterError(must_be("values", "finite, or NaN where there is none", np.inf))
        self._latest.clear()
        self._latest.extend(known[~np.isnan(known)].tolist())
        self._sorted = sorted(self._latest)
        return self

    def surprise(self, value: float) -> float:
        """Of one more number, which is not learned; NaN for NaN."""
        if math.isnan(value):
            return math.nan
        known = len(self._sorted)
        if known < FEWEST_KNOWN:
            return 0.0
        size = max(FEWEST, int(SHARE * known))
        start = self._sorted[known - size - 1]
        if value <= start:
            return math.log10(known / (known - bisect_left(self._sorted, value)))
        excess = max(sum(self._sorted[known - size :]) / size - start, self.smallest_scale)
        beyond = (value - start) / (excess * math.log(10))
        return min(math.log10(known / size) + beyond, LARGEST)

    def learn(self, value: float) -> None:
        """Learn one more number, and forget the oldest beyond `memory`; nothing for NaN."""
        if math.isnan(value):
            return
        if len(self._latest) == self._latest.maxlen:
            del self._sorted[bisect_left(self._sorted, self._latest[0])]
        self._latest.append(value)
        insort(self._sorted, value)

    def update_many(self, values: np.ndarray) -> np.ndarray:
        """The surprise of each of values [T], each learned before the next; float64 [T]."""
        surprises = np.empty(len(values))
        for row, value in enumerate(values.tolist()):
            surprises[row] = self.surprise(value)
            self.learn(value)
        return surprises

    def copy(self) -> Tail:
        """A tail of its own that knows the same."""
        other = copy.copy(self)
        other._latest, other._sorted = self._latest.copy(), self._sorted.copy()
        return other

    @property
    def latest(self) -> np.ndarray:
        """The numbers known, the oldest first: float64 [n], what `fit` goes on from."""
        return np.array(self._latest)


class Surprise(Threshold):
    """The level of scores that are surprises: -log10 of the risk. It learns nothing.

    >>> Surprise(risk=1e-3).fit(np.zeros(100)).level_
    3.0
    """

    def __init__(self, risk: float = 1e-3) -> None:
        super().__init__(risk)

    def fit(self, scores: np.ndarray) -> Surprise:
        self._calibration(scores)
        self.level_ = -math.log10(self.risk)
        return self
