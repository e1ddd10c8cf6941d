"""The score of the Numenta Anomaly Benchmark (NAB): alarms early in a labelled window count most.

Lavin and Ahmad 2015 (arXiv:1510.03336). A window is one event, worth its best alarm: 1 at its left
edge, nearly 0 at its right one, and -1 or less without an alarm. An alarm outside costs up to the
weight of a false one, the less the sooner it follows a window. Alarms in the first 15 % of a
series, of its first 5,000 rows at most, are not looked at: a detector may learn there. The sum of
all series is scaled so that no alarms at all give 0 and one at the left edge of every window 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grukit.core.errors import ParameterError, must_be

Windows = Sequence[tuple[int, int]]

PROFILES = {
    "standard": (0.11, 1.0),
    "reward_low_FP_rate": (0.22, 1.0),
    "reward_low_FN_rate": (0.11, 2.0),
}
"""The weights of a false alarm and of a missed window."""
OUTSIDE, UNSEEN = -1, -2


@dataclass(frozen=True)
class NabScore:
    """The scaled score of all series, and the threshold from which on a score is an alarm."""

    score: float
    threshold: float


def nab_score(
    scores: Sequence[np.ndarray],
    windows: Sequence[Windows],
    *,
    profile: str = "standard",
    threshold: float | None = None,
) -> NabScore:
    """The score of detectors' scores on several series.

    scores: for each series [T], the larger the more anomalous. windows: for each the first and the
    last row of every labelled window, in order, without overlaps.
    threshold: one for all series; if None the best there is, as for the published scores.

    Raises ParameterError for NaN, for scores or windows that are not as above, and if no window
    is labelled.

    >>> scores = np.zeros(100)
    >>> scores[40] = 1.0
    >>> round(nab_score([scores], [[(40, 59)]]).score, 1)
    100.0
    """
    if profile not in PROFILES:
        raise ParameterError(must_be("profile", f"one of {tuple(PROFILES)}", profile))
    if len(scores) != len(windows):
        raise ParameterError(must_be("windows", f"of {len(scores)} series", len(windows)))
    if wrong := [np.shape(s) for s in scores if np.ndim(s) != 1]:
        raise ParameterError(must_be("scores", "of shape [T] each", wrong[0]))
    false_alarm, missed = PROFILES[profile]
    rows = [_rows(len(s), spans, false_alarm) for s, spans in zip(scores, windows, strict=True)]
    count = sum(map(len, windows))
    if not count:
        raise ParameterError("windows must be labelled in one series at least, got none")
    alarms = np.concatenate([np.asarray(s, dtype=np.float64) for s in scores])
    if np.isnan(alarms).any():
        raise ParameterError("scores must be numbers, got NaN")
    worth = np.concatenate([values for values, _ in rows])
    # Windows are numbered over all series.
    first = np.cumsum([0, *map(len, windows)])[:-1]
    events = np.concatenate(
        [np.where(e < 0, e, e + start) for (_, e), start in zip(rows, first, strict=True)]
    )
    if threshold is None:
        threshold, total = _best(alarms, worth, events, count, missed)
    else:
        total = _total(alarms >= threshold, worth, events, count, missed)
    none, perfect = -missed * count, float(count)
    return NabScore(float(100 * (total - none) / (perfect - none)), float(threshold))


def _rows(length: int, windows: Windows, false_alarm: float) -> tuple[np.ndarray, np.ndarray]:
    """What an alarm at each row is worth, and its window, or OUTSIDE or UNSEEN."""
    worth = np.full(length, -false_alarm)
    events = np.full(length, OUTSIDE)
    end = -1
    for index, (first, last) in enumerate(windows):
        if not end < first <= last < length:
            wanted = f"rows in order, without overlaps, in a series of {length}"
            raise ParameterError(must_be("windows", wanted, list(windows)))
        end, width = last, last - first + 1
        inside, after = np.arange(first, last + 1), np.arange(last + 1, length)
        worth[inside] = _sigmoid(-(last - inside + 1) / width) / _sigmoid(-1.0)
        with np.errstate(divide="ignore"):
            worth[after] = false_alarm * _sigmoid((after - last) / np.float64(width - 1))
        events[inside] = index
    events[: int(min(0.15 * length, 0.15 * 5000))] = UNSEEN
    return worth, events


def _sigmoid(x: np.ndarray | float) -> np.ndarray:
    return np.where(np.asarray(x) > 3, -1.0, 2 / (1 + np.exp(5 * np.minimum(x, 3.0))) - 1)


def _total(
    alarm: np.ndarray, worth: np.ndarray, events: np.ndarray, count: int, missed: float
) -> float:
    """The sum for the rows with an alarm."""
    best = np.full(count, -missed)
    inside = alarm & (events >= 0)
    np.maximum.at(best, events[inside], worth[inside])
    return float(best.sum() + worth[alarm & (events == OUTSIDE)].sum())


def _best(
    alarms: np.ndarray, worth: np.ndarray, events: np.ndarray, count: int, missed: float
) -> tuple[float, float]:
    """The threshold with the largest sum, and that; the highest of several."""
    order = np.argsort(-alarms, kind="stable")
    order = order[events[order] != UNSEEN]
    best, total = np.full(count, -missed), -missed * count
    found = (np.inf, total)
    values, gains, ids = alarms[order].tolist(), worth[order].tolist(), events[order].tolist()
    for index, (gain, event) in enumerate(zip(gains, ids, strict=True)):
        if event == OUTSIDE:
            total += gain
        elif gain > best[event]:
            total += gain - best[event]
            best[event] = gain
        is_last = index + 1 == len(values) or values[index + 1] != values[index]
        if is_last and total > found[1]:
            found = (values[index], total)
    return found
