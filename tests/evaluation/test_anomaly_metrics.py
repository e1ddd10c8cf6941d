"""Event by event, and detectors beside their baselines."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.anomaly_metrics import count_events, evaluate_detector, score
from grukit.results import AnomalyReport


def flags(length, *rows):
    found = np.zeros(length, bool)
    found[list(rows)] = True
    return found


LABELS = flags(20, 5, 6, 7, 12, 13, 18)


@pytest.mark.parametrize(
    ("alarms", "expected"),
    [
        ((), (3, 0, 0, 0)),
        ((5, 12, 18), (3, 3, 0, 0)),
        ((7, 13), (3, 2, 0, 3)),
        ((5, 6, 7), (3, 1, 0, 0)),
        # The windows have two rows in the mean, so has a false alarm.
        ((0, 1, 3), (3, 0, 2, 0)),
        ((0, 1, 2), (3, 0, 2, 0)),
        ((4, 5), (3, 1, 1, 0)),
        ((7, 8, 9), (3, 1, 0, 2)),
        ((7, 8, 9, 10), (3, 1, 1, 2)),
        ((8, 9), (3, 0, 1, 0)),
        (range(20), (3, 3, 5, 0)),
    ],
)
def test_counts_by_hand(alarms, expected):
    assert count_events(LABELS, flags(20, *alarms)) == expected


def test_ratios_by_hand_and_at_the_edges():
    counts = count_events(LABELS, flags(20, 1, 7, 13))
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)
    assert counts.f1 == pytest.approx(2 / 3)
    assert counts.delay == 1.5
    silent = count_events(LABELS, flags(20))
    assert (silent.precision, silent.recall, silent.f1) == (0.0, 0.0, 0.0)
    assert np.isnan(silent.delay)
    ordinary = count_events(flags(20), flags(20, 3))
    assert np.isnan(ordinary.recall)
    assert np.isnan(ordinary.f1)
    assert ordinary.precision == 0


def test_events_of_several_series_are_counted_together():
    other = flags(20, 2, 3)
    found = score(
        "GRU",
        [LABELS, other, flags(20)],
        [np.arange(20.0)] * 3,
        [flags(20, 7), flags(20, 2, 9), flags(20, 0)],
        buffer=4,
    ).metrics
    assert found["recall"] == 2 / 4
    assert found["precision"] == 2 / 4
    assert found["delay"] == 1.0
    assert found["false_alarms"] == 2
    each = [score("", [own], [np.arange(20.0)], [own], 4).metrics for own in (LABELS, other)]
    for name in ("vus_pr", "pr_auc", "roc_auc"):
        assert found[name] == pytest.approx(np.mean([metrics[name] for metrics in each]))


def test_no_threshold_makes_random_scores_look_good():
    """Nor does an alarm in every row."""
    labels = flags(
        5000, *(row for first in range(100, 5000, 500) for row in range(first, first + 50))
    )
    scores = np.random.default_rng(0).random(5000)
    for level in (0.0, 0.1, 0.5, 0.9, 0.99, 0.999):
        assert count_events(labels, scores >= level).f1 < 0.3


def test_unknown_scores_rank_lowest():
    scores = np.where(LABELS, 1.0, np.nan)
    assert score("", [LABELS], [scores], [LABELS]).metrics["pr_auc"] == 1.0
    scores = np.where(LABELS, np.nan, 1.0)
    assert score("", [LABELS], [scores], [LABELS]).metrics["roc_auc"] == 0.0


def test_without_events_there_is_nothing_to_rank():
    metrics = score("", [flags(20)], [np.zeros(20)], [flags(20, 3)]).metrics
    assert metrics["false_alarms"] == 1
    assert all(np.isnan(metrics[name]) for name in ("nab", "vus_pr", "recall", "delay"))


def make_problem(rows=3000):
    """Level shifts in noise, and a report that knows them."""
    values = np.random.default_rng(0).normal(size=rows)
    labels = flags(rows, *range(1000, 1040), *range(2000, 2030))
    values[labels] += 1.5
    scores = np.convolve(values, np.ones(10) / 10)[:rows].clip(0)
    report = AnomalyReport(
        times=np.arange(rows),
        channels=("y",),
        scores=scores,
        threshold=1.2,
        alarms=scores > 1.2,
        contributions=np.ones((rows, 1)),
    )
    return report, labels, values


def test_a_detector_stands_beside_its_baselines():
    report, labels, values = make_problem()
    evaluation = evaluate_detector("mean of ten", [report], [labels], [values], buffer=20)
    assert [own.name for own in evaluation.scores] == [
        "mean of ten",
        "random score",
        "windowed Gaussian",
    ]
    assert (evaluation.series, evaluation.rows, evaluation.events) == (1, 3000, 2)
    assert evaluation.beats("vus_pr")
    assert evaluation.beats("f1")
    assert evaluation.beats("false_alarms")
    assert "windowed Gaussian" in evaluation.table()


def test_baselines_have_as_many_rows_of_alarms(monkeypatch):
    report, labels, values = make_problem()
    seen = {}

    def note(name, labels, scores, alarms, buffer):
        seen[name] = alarms
        return score(name, labels, scores, alarms, buffer=0)

    monkeypatch.setattr("grukit.evaluation.anomaly_metrics.score", note)
    evaluate_detector("own", [report] * 2, [labels] * 2, [values, values[:, None]])
    budget = int((report.scores > 1.2).sum())
    assert {rows.sum() for alarms in seen.values() for rows in alarms} == {budget}
    evaluate_detector("own", [report], [labels], [values], quiet=50)
    for name in ("random score", "windowed Gaussian"):
        raised = np.flatnonzero(seen[name][0])
        assert len(raised) > 2
        assert np.diff(raised).min() > 50


def test_bad_input():
    report, labels, values = make_problem(100 + 2000)
    with pytest.raises(ParameterError, match="of 1 series"):
        evaluate_detector("own", [report], [], [values])
    with pytest.raises(ParameterError, match="at least one series"):
        evaluate_detector("own", [], [], [])
    with pytest.raises(ParameterError, match="of 2100 rows"):
        evaluate_detector("own", [report], [labels[1:]], [values])
    with pytest.raises(ParameterError, match="labels must be True or False"):
        evaluate_detector("own", [report], [labels * 2.0], [values])
    with pytest.raises(ParameterError, match="of shape"):
        count_events(LABELS, LABELS[1:])
