"""Thresholds from extreme values: for risks smaller than the rows at hand can show."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import Rule, each, flag, integer, number
from grukit.evaluation.alarms.pareto import fit_tail
from grukit.evaluation.alarms.threshold import Threshold, one_axis

MOST_PEAKS = 1000
"""The peaks that SPOT keeps, the latest ones."""


class POT(Threshold):
    """Peaks over threshold: a Pareto tail fitted to the largest of the ordinary scores.

    The tail starts at the quantile `start` of the scores. The level that is exceeded with
    probability `risk`, which must be below 1 - start, follows from it (Siffer et al. 2017, KDD,
    equation 1), also where the risk is far below one row of those seen. Needs the extra
    `forecast`, for scipy.

    >>> scores = np.random.default_rng(0).exponential(size=10_000)
    >>> threshold = POT(risk=1e-5).fit(scores)  # of all exponential scores: log(1e5) = 11.5
    >>> round(threshold.level_, 1), round(float(scores.max()), 1)
    (10.9, 8.7)
    """

    options: ClassVar[dict[str, Rule]] = {**Threshold.options, "start": number(above=0, below=1)}

    def __init__(self, risk: float = 0.001, start: float = 0.98) -> None:
        super().__init__(risk)
        self.start = start

    def fit(self, scores: np.ndarray) -> Self:
        self._fit(scores)
        return self

    def _fit(self, scores: np.ndarray) -> tuple[float, int, np.ndarray]:
        """Set the level; return where the tail starts, the rows and the excesses."""
        known = self._calibration(scores)
        if not self.risk < 1 - self.start:
            raise ParameterError(must_be("risk", f"below 1 - start, {1 - self.start:g}", self.risk))
        start = float(np.quantile(known, self.start))
        excesses = known[known > start] - start
        self.level_ = start  # where more than 1 - start of the scores are the largest
        if len(excesses):
            share = self.risk * len(known) / len(excesses)
            self.level_ += fit_tail(excesses).exceeded_with(share)
        return start, len(known), excesses


class SPOT(POT):
    """POT that goes on learning from a stream (after Siffer et al. 2017, KDD, algorithm 2).

    A score above the start of the tail is a new peak. An alarm is a peak whose size is not
    looked at, only that it lies above the level, and a run of alarms is a single one, so that an
    anomaly moves the level little. The paper leaves alarms out: that cuts the tail off, lowers the
    level and raises more of them (at risk 0.001, of 100,000 Gaussian scores 488 instead of 100).

    The tail is fitted again whenever its peaks are 1 % more. It keeps the latest 1,000, so a row
    costs O(1).

    >>> random = np.random.default_rng(0)
    >>> threshold = SPOT(risk=1e-3).fit(random.normal(size=1000))
    >>> alarms, levels = threshold.update_many(random.normal(size=100_000))
    >>> int(alarms.sum())
    112
    """

    learned: ClassVar[dict[str, Rule]] = {
        **POT.learned,
        "start_": number(),
        "rows_": integer(at_least=1),
        "peaks_": integer(at_least=0),
        "peaks_at_fit_": integer(at_least=0),
        "excesses_": each(number(at_least=0)),
        "censored_": each(flag()),
        "in_alarm_": flag(),
    }
    start_: float
    rows_: int
    peaks_: int
    peaks_at_fit_: int
    excesses_: deque[float]
    censored_: deque[bool]
    in_alarm_: bool

    def fit(self, scores: np.ndarray) -> Self:
        self.start_, self.rows_, excesses = self._fit(scores)
        self.peaks_ = self.peaks_at_fit_ = len(excesses)
        self.excesses_ = deque(excesses.tolist(), maxlen=MOST_PEAKS)
        self.censored_ = deque([False] * len(excesses), maxlen=MOST_PEAKS)
        self.in_alarm_ = False
        return self

    def update(self, score: float) -> bool:
        self._check_fitted()
        if score > self.start_:
            return self._update_above(score)
        if not math.isnan(score):
            self.rows_ += 1
            self.in_alarm_ = False
        return False

    def update_many(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._check_fitted()
        scores = one_axis(scores)
        alarms, levels = np.zeros(scores.shape, bool), np.empty(scores.shape)
        below = np.concatenate([[0], np.cumsum(scores <= self.start_)]).tolist()
        # The many scores below the start are only counted.
        done = 0
        for row in [*np.flatnonzero(scores > self.start_).tolist(), len(scores)]:
            levels[done : row + 1] = self.level_
            if passed := below[row] - below[done]:
                self.rows_ += passed
                self.in_alarm_ = False
            if row < len(scores):
                alarms[row] = self._update_above(float(scores[row]))
            done = row + 1
        return alarms, levels

    def _update_above(self, score: float) -> bool:
        alarm = score > self.level_
        if not (alarm and self.in_alarm_):
            self._add(min(score, self.level_) - self.start_, alarm)
        self.in_alarm_ = alarm
        return alarm

    def _add(self, excess: float, censored: bool) -> None:
        self.rows_ += 1
        self.peaks_ += 1
        self.excesses_.append(excess)
        self.censored_.append(censored)
        if 100 * (self.peaks_ - self.peaks_at_fit_) < len(self.excesses_) or all(self.censored_):
            return
        count = len(self.excesses_)
        tail = fit_tail(
            np.fromiter(self.excesses_, np.float64, count), np.fromiter(self.censored_, bool, count)
        )
        share = min(self.risk * self.rows_ / self.peaks_, 1.0)
        self.level_ = self.start_ + tail.exceeded_with(share)
        self.peaks_at_fit_ = self.peaks_

    def to_dict(self) -> dict[str, Any]:
        state = super().to_dict()
        lists = {"excesses_": list(self.excesses_), "censored_": list(self.censored_)}
        return {**state, **lists}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        made = super().from_dict(state)
        made.excesses_ = deque(made.excesses_, maxlen=MOST_PEAKS)
        made.censored_ = deque(made.censored_, maxlen=MOST_PEAKS)
        if len(made.censored_) != len(made.excesses_):
            raise ParameterError(
                must_be("censored_", f"of {len(made.excesses_)} peaks", len(made.censored_))
            )
        return made
