"""Areas and volumes under curves: how well scores rank the rows of events above the others.

They need no threshold. Scores [T] are the larger the more anomalous; a tie is no order. Labels [T]
are True in the rows of events. Every function raises ParameterError if the two do not fit, if a
score is NaN, or if not both kinds of rows are labelled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer
from grukit.results import runs


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The probability that a row of an event has a higher score than another row, half for ties.

    The area under the receiver operating characteristic, 0.5 for random scores. Where events are
    rare it is near 1 also for detectors whose alarms are mostly false: read `pr_auc` beside it.

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    labels, scores = _checked(labels, scores)
    others = np.sort(scores[~labels])
    lower = np.searchsorted(others, scores[labels], side="left")
    not_higher = np.searchsorted(others, scores[labels], side="right")
    return float((lower + not_higher).mean() / (2 * len(others)))


def pr_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Average precision, the sum of (R[n] - R[n-1]) P[n] over the thresholds from the highest on.

    R and P are recall and precision of single rows. Random scores have the share of event rows.

    >>> round(pr_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    labels, scores = _checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(scores[order][1:] != scores[order][:-1], True)
    hits = np.cumsum(labels[order])[last_of_ties]
    precision = hits / (np.flatnonzero(last_of_ties) + 1)
    return float(np.diff(hits, prepend=0) @ precision / labels.sum())


class Volume(NamedTuple):
    """VUS-PR and VUS-ROC, from 0 to 1."""

    pr: float
    roc: float


def volume(
    labels: np.ndarray, scores: np.ndarray, buffer: int = 100, thresholds: int = 250
) -> Volume:
    """The volumes under the surfaces of precision and recall and of the ROC.

    Paparrizos et al. 2022, Volume Under the Surface (PVLDB 15, 2774-2787): an alarm just beside
    an event is not worthless. With a buffer of w rows the label of a row at distance d from an
    event is sqrt(1 - d / w), for d up to w / 2; where buffers meet, labels add up to 1 at most.
    Then

        TP        sum of the labels of the rows above the threshold
        P         rows of events + half the sum of the labels of buffer rows above the threshold
        recall    min(TP / P, 1) * share of the events with a row above the threshold
        precision TP / rows above the threshold
        FPR       (rows above the threshold - TP) / (T - P)

    give a curve, and the areas under the curves of w = 0, 1, ..., `buffer` have the volume as
    their mean. So do the authors' code and their benchmark, TSB-AD (2024), with thresholds at 250
    evenly spaced ranks; the paper has the labels of all buffer rows in P. Random scores have a
    VUS-ROC above 0.5, since buffers forgive them too; look at theirs beside a detector's.

    >>> labels = np.zeros(1000, bool)
    >>> labels[500:520] = True
    >>> near = np.zeros(1000)
    >>> near[495:515] = 1.0
    >>> found = volume(labels, near, buffer=20)
    >>> round(found.pr, 2), round(found.roc, 2)
    (0.77, 0.92)
    """
    check(
        {"buffer": buffer, "thresholds": thresholds},
        {"buffer": integer(at_least=0), "thresholds": integer(at_least=2)},
    )
    labels, scores = _checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    ranks = np.linspace(0, len(scores) - 1, thresholds).astype(int)
    levels = scores[order][ranks]
    above = len(scores) - np.searchsorted(scores[order][::-1], levels, side="left")
    events = runs(labels)
    inside = np.cumsum(labels[order])[above - 1]
    pr, roc = [], []
    for width in range(buffer + 1):
        hits = np.cumsum(_soften(labels, events, width)[order])[above - 1]
        positives = labels.sum() + (hits - inside) / 2
        highest = [scores[first : last + 1].max() for first, last in _joined(events, width, labels)]
        found = np.mean(np.array(highest)[:, None] >= levels, axis=0)
        recall = np.minimum(hits / positives, 1) * found
        false = (above - hits) / (len(scores) - positives)
        pr.append(np.diff(recall, prepend=0) @ (hits / above))
        height = np.array([0, *recall, 1])
        roc.append(np.diff([0, *false, 1]) @ (height[1:] + height[:-1]) / 2)
    return Volume(float(np.mean(pr)), float(np.mean(roc)))


def _soften(labels: np.ndarray, events: list[tuple[int, int]], width: int) -> np.ndarray:
    soft, half = labels.astype(np.float64), width // 2
    slope = np.sqrt(1 - np.arange(1, half + 1) / width) if half else np.empty(0)
    for first, last in events:
        after = min(half, len(labels) - 1 - last)
        soft[last + 1 : last + 1 + after] += slope[:after]
        before = min(half, first)
        soft[first - before : first] += slope[:before][::-1]
    return np.minimum(soft, 1.0)


def _joined(events: list[tuple[int, int]], width: int, labels: np.ndarray) -> list[tuple[int, int]]:
    """The events with their buffers; those that overlap as one."""
    half, joined = width // 2, []
    for first, last in events:
        span = (max(first - half, 0), min(last + half, len(labels) - 1))
        if joined and span[0] <= joined[-1][1]:
            span = (joined.pop()[0], span[1])
        joined.append(span)
    return joined


def check_flags(name: str, flags: np.ndarray) -> np.ndarray:
    """The flags as bool [T]; ParameterError unless each is False, True, 0 or 1."""
    flags = np.asarray(flags)
    if flags.ndim != 1:
        raise ParameterError(must_be(name, "of shape [T]", flags.shape))
    odd = ~np.isin(flags, (0, 1))
    if odd.any():
        raise ParameterError(must_be(name, "True or False, or 1 or 0", flags[odd][0]))
    return flags.astype(bool)


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = check_flags("labels", labels), np.asarray(scores, np.float64)
    if labels.shape != scores.shape:
        raise ParameterError(must_be("scores", f"of shape {labels.shape}", scores.shape))
    if np.isnan(scores).any():
        raise ParameterError(must_be("scores", "numbers", np.nan))
    if labels.all() or not labels.any():
        raise ParameterError(
            must_be("labels", "True in some rows and False in others", f"{labels.sum()} True")
        )
    return labels, scores
