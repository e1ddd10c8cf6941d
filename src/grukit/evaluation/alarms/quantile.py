"""The plainest threshold."""

from __future__ import annotations

from typing import Self

import numpy as np

from grukit.evaluation.alarms.threshold import Threshold


class Quantile(Threshold):
    """The quantile 1 - risk of the ordinary scores.

    It cannot tell a risk smaller than one row of those it was fitted to: then it is their
    largest. POT can.

    >>> threshold = Quantile(risk=0.01).fit(np.arange(1000.0))
    >>> threshold.level_
    990.0
    >>> threshold.update(990.5)
    True
    """

    def __init__(self, risk: float = 0.001) -> None:
        super().__init__(risk)

    def fit(self, scores: np.ndarray) -> Self:
        known = self._calibration(scores)
        self.level_ = float(np.quantile(known, 1 - self.risk, method="higher"))
        return self
