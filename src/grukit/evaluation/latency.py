"""How long after a word has ended it is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.evaluation.speech_metrics import right_words


@dataclass(frozen=True, eq=False)
class Latency:
    """The delays of the words that were recognized.

    Attributes:
        delays: float64 [N], seconds of audio from the true end of a word to its first appearance
            for good; below zero where it was told before it ended.
        missed: how many words were not recognized.
    """

    delays: np.ndarray
    missed: int

    @property
    def median(self) -> float:
        """Seconds; NaN where nothing was recognized."""
        return self._percentile(50)

    @property
    def percentile_90(self) -> float:
        """Nine of ten words come no later than this, in seconds; NaN as above."""
        return self._percentile(90)

    def _percentile(self, share: float) -> float:
        return float(np.percentile(self.delays, share)) if len(self.delays) else math.nan

    def __add__(self, other: Latency) -> Latency:
        """Of two streams together."""
        return Latency(np.append(self.delays, other.delays), self.missed + other.missed)


def latency(log: Sequence[tuple[float, str]], truth: Sequence[tuple[str, float]]) -> Latency:
    """The delays of the words of one stream.

    >>> log = [(0.5, "on"), (1.0, "one"), (1.5, "one two"), (2.0, "one too"), (2.5, "one two")]
    >>> latency(log, [("one", 0.75), ("two", 1.25)]).delays
    array([0.25, 1.25])

    log: each partial or final result: how much audio had been heard, in seconds, and the whole text
        so far.
    truth: each word that was said, and when it ended.

    A word has appeared for good with the first result from which on every later one has it at the
    same place. Words of the last result are matched with those said as for the WER. Raises
    ParameterError for a log that does not go forwards in time.
    """
    if any(later < earlier for (earlier, _), (later, _) in pairwise(log)):
        raise ParameterError(must_be("log", "in the order of time", [at for at, _ in log]))
    results = [text.split() for _, text in log]
    last = results[-1] if results else []
    matched = right_words(" ".join(last), " ".join(word for word, _ in truth))
    delays = [_appeared(log, results, place) - truth[said][1] for place, said in matched]
    return Latency(np.array(delays, np.float64), len(truth) - len(matched))


def _appeared(log: Sequence[tuple[float, str]], results: list[list[str]], place: int) -> float:
    """When the word of the last result at this place came to stay."""
    word, since = results[-1][place], len(results) - 1
    while since and results[since - 1][place : place + 1] == [word]:
        since -= 1
    return log[since][0]
