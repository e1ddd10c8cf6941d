"""Metrics of detectors: of their alarms event by event, and of everything in one table.

An event is a labelled window, a run of rows [T] that are True in `labels`. Point-adjusted F1, which
takes an event with one alarm for an event with alarms in every row, is not offered: random scores
look good under it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.evaluation.alarms import Quiet
from grukit.evaluation.anomaly_baselines import random_scores, windowed_gaussian
from grukit.evaluation.nab import nab_score
from grukit.evaluation.volume import check_flags, pr_auc, roc_auc, volume
from grukit.results import AnomalyEvaluation, AnomalyReport, Score, runs


class EventCounts(NamedTuple):
    """What alarms did, event by event.

    events: labelled windows. detected: those with an alarm in them. false_alarms: stretches with
    alarms outside of windows. rows_late: rows from the first row of each detected window to the
    first alarm in it, all together.
    """

    events: int
    detected: int
    false_alarms: int
    rows_late: int

    @property
    def precision(self) -> float:
        """Detected events among them and the false alarms; 0 without any alarm."""
        return self.detected / max(self.detected + self.false_alarms, 1)

    @property
    def recall(self) -> float:
        """Detected events among all; NaN without any event."""
        return self.detected / self.events if self.events else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 where both are; NaN without any event."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def delay(self) -> float:
        """Rows from the start of a window to its first alarm, mean of the detected; else NaN."""
        return self.rows_late / self.detected if self.detected else float("nan")


def count_events(labels: np.ndarray, alarms: np.ndarray, span: int | None = None) -> EventCounts:
    """Compare alarms, bool [T], with labels, bool [T].

    A false alarm stands for `span` rows, by default the mean length of the windows: further alarms
    in them are the same one, and a detector that is always in alarm has as many false alarms as
    there is room for events. In as many rows after a detected window alarms are still its own.

    >>> labels = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 1])
    >>> alarms = np.array([1, 0, 0, 1, 1, 0, 1, 1, 0, 0])
    >>> counts = count_events(labels, alarms)
    >>> counts
    EventCounts(events=2, detected=1, false_alarms=2, rows_late=1)
    >>> round(counts.precision, 2), counts.recall, counts.delay
    (0.33, 0.5, 1.0)
    """
    labels, alarms = check_flags("labels", labels), check_flags("alarms", alarms)
    if alarms.shape != labels.shape:
        raise ParameterError(must_be("alarms", f"of shape {labels.shape}", alarms.shape))
    events = runs(labels)
    span = _mean_length([labels]) if span is None else span
    outside, late = alarms & ~labels, []
    for first, last in events:
        inside = alarms[first : last + 1]
        if inside.any():
            late.append(int(np.argmax(inside)))
            outside[last + 1 : last + 1 + span] = False
    false = int(Quiet(span - 1).update_many(outside).sum())
    return EventCounts(len(events), len(late), false, sum(late))


def _mean_length(labels: Sequence[np.ndarray]) -> int:
    """Of the events of all series, at least 1."""
    rows, events = sum(own.sum() for own in labels), sum(len(runs(own)) for own in labels)
    return max(round(rows / events), 1) if events else 1


def score(
    name: str,
    labels: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    alarms: Sequence[np.ndarray],
    buffer: int = 100,
) -> Score:
    """Every metric of one detector on one or several series, in the order of the table.

    labels, scores and alarms: [T] of each series; a score that is NaN ranks lowest.

    nab: the standard score of the alarms (`grukit.evaluation.nab`), 100 is perfect, 0 no alarm.
    vus_pr, pr_auc, roc_auc: from the scores, without a threshold, means over the series that have
    events; `buffer` is that of `volume`. precision, recall, f1, delay, false_alarms: from the
    alarms, of the events of all series together. A metric without any event is NaN.
    """
    if not labels:
        raise ParameterError(must_be("labels", "of at least one series", len(labels)))
    if not len(labels) == len(scores) == len(alarms):
        raise ParameterError(must_be("scores and alarms", f"of {len(labels)} series", len(scores)))
    labels = [check_flags("labels", own) for own in labels]
    span = _mean_length(labels)
    each = [count_events(*series, span) for series in zip(labels, alarms, strict=True)]
    counts = EventCounts(*map(sum, zip(*each, strict=True)))
    ranks = []
    for own, of_rows in zip(labels, scores, strict=True):
        ranked = np.where(np.isnan(of_rows), -np.inf, of_rows)
        if own.any() and not own.all():
            ranks.append(
                (volume(own, ranked, buffer).pr, pr_auc(own, ranked), roc_auc(own, ranked))
            )
    vus_pr, pr, roc = np.mean(ranks, axis=0) if ranks else [float("nan")] * 3
    nab = float("nan")
    if counts.events:
        raised = [np.asarray(rows, np.float64) for rows in alarms]
        nab = nab_score(raised, [runs(own) for own in labels], threshold=1.0).score
    return Score(
        name,
        {
            "nab": nab,
            "vus_pr": float(vus_pr),
            "pr_auc": float(pr),
            "roc_auc": float(roc),
            "precision": counts.precision,
            "recall": counts.recall,
            "f1": counts.f1,
            "delay": counts.delay,
            "false_alarms": float(counts.false_alarms),
        },
    )


def evaluate_detector(
    name: str,
    reports: Sequence[AnomalyReport],
    labels: Sequence[np.ndarray],
    values: Sequence[np.ndarray],
    quiet: int = 0,
    buffer: int = 100,
    seed: int = 0,
) -> AnomalyEvaluation:
    """A detector beside the random score and the windowed Gaussian of NAB.

    A baseline raises its alarms in the rows with its highest scores. In each series it may have
    as many of them as the detector has rows above its threshold, and is quiet after an alarm as
    the detector is, so that all have the same means.

    Args:
        name: of the detector, for the table.
        reports: its answer for each series.
        labels: bool [T] of each series, True in the rows of events.
        values: what it saw, [T] or [T, C] of each series, NaN where missing.
        quiet: rows without an alarm after one, as in the reports.
        buffer: of `volume`, in rows; the authors take the period of the series, or 100.
        seed: of the random score.
    """
    labels = [check_flags("labels", own) for own in labels]
    if not len(reports) == len(labels) == len(values):
        raise ParameterError(must_be("labels and values", f"of {len(reports)} series", len(labels)))
    for report, own, seen in zip(reports, labels, values, strict=True):
        if not len(report.scores) == len(own) == len(seen):
            raise ParameterError(
                must_be("labels and values", f"of {len(report.scores)} rows", (len(own), len(seen)))
            )
    budgets = [int(np.sum(report.scores > report.threshold)) for report in reports]
    baselines = {
        "random score": [
            random_scores(len(seen), seed + index) for index, seen in enumerate(values)
        ],
        "windowed Gaussian": [windowed_gaussian(seen) for seen in values],
    }
    own = score(name, labels, [r.scores for r in reports], [r.alarms for r in reports], buffer)
    beside = [
        score(
            baseline,
            labels,
            scores,
            [
                Quiet(quiet).update_many(_highest(of_rows, rows))
                for of_rows, rows in zip(scores, budgets, strict=True)
            ],
            buffer,
        )
        for baseline, scores in baselines.items()
    ]
    return AnomalyEvaluation(
        (own, *beside),
        series=len(reports),
        rows=sum(map(len, labels)),
        events=sum(len(runs(flags)) for flags in labels),
    )


def _highest(scores: np.ndarray, rows: int) -> np.ndarray:
    """Where the `rows` highest scores are, the earlier of equal ones, bool [T]."""
    found = np.zeros(len(scores), bool)
    found[np.argsort(-scores, kind="stable")[:rows]] = True
    return found
