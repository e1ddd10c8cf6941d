"""A threshold with a guarantee."""

from __future__ import annotations

import math
from typing import ClassVar, Self

import numpy as np

from grukit.core.rules import Rule, each, number
from grukit.evaluation.alarms.threshold import Threshold


class Conformal(Threshold):
    """An alarm where the conformal p-value is at most the risk (Vovk et al. 2005, chapter 2).

    With n held-out scores of ordinary rows, p(s) = (1 + how many of them are at least s) / (n + 1).
    If the next ordinary score is exchangeable with those n, it raises an alarm with a probability
    of at most the risk, whatever the distribution, and of more than risk - 1 / (n + 1) where no
    scores are equal. The probability is over both: with n given scores the share of alarms
    scatters around the risk by about sqrt(risk / n). Scores that are like their neighbours, as
    those of a time series are, or that drift, are not exchangeable: then it is a good estimate
    without a guarantee. The scores must not come from rows that the detector was fitted to.

    >>> threshold = Conformal(risk=0.05).fit(np.arange(99.0))
    >>> threshold.p_value(98.5)
    0.01
    >>> threshold.update(94.5), threshold.update(93.5)
    (True, False)
    """

    learned: ClassVar[dict[str, Rule]] = {
        **Threshold.learned,
        "calibration_": each(number(), at_least=1),
    }
    calibration_: list[float]

    def __init__(self, risk: float = 0.001) -> None:
        super().__init__(risk)

    def fit(self, scores: np.ndarray) -> Self:
        known = np.sort(self._calibration(scores, lambda: math.ceil(1 / self.risk) - 1))
        self.calibration_ = known.tolist()
        # p(s) <= risk where at most `above` of the scores are at least s.
        above = math.floor(self.risk * (len(known) + 1) * (1 + 1e-12)) - 1
        self.level_ = float(known[len(known) - 1 - above])
        return self

    def p_value(self, score: float) -> float:
        """How likely a score of an ordinary row is to be as large; NaN for NaN."""
        self._check_fitted()
        if math.isnan(score):
            return math.nan
        known = np.asarray(self.calibration_)
        below = int(np.searchsorted(known, score, side="left"))
        return (1 + len(known) - below) / (len(known) + 1)
