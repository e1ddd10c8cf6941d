"""Reports of anomalies: their parts fit, events, frames, JSON and the table of detectors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.results import AnomalyEvaluation, AnomalyReport, Score, runs

SCORES = np.array([0.1, 6.0, 9.0, 0.2, np.nan, 7.0, 7.0, 8.0])
ALARMS = np.array([0, 0, 1, 0, 0, 1, 0, 0], bool)


def make_report(**changes) -> AnomalyReport:
    shares = np.tile([0.25, 0.75], (8, 1))
    shares[7] = [1.0, 0.0]
    shares[4] = 0.0
    parts = {
        "times": np.datetime64("2024-05-01T00", "h") + np.arange(8),
        "channels": ("flow", "pressure"),
        "scores": SCORES,
        "threshold": 5.0,
        "alarms": ALARMS,
        "contributions": shares,
    }
    return AnomalyReport(**{**parts, **changes})


def test_events_begin_with_an_alarm_and_last_above_the_threshold():
    first, second = make_report(times=np.arange(100, 108)).events()
    assert first == (102, 102, 102, 9.0, "pressure")
    assert second == (105, 107, 107, 8.0, "flow")


def test_scores_above_the_threshold_without_an_alarm_are_no_event():
    assert make_report(alarms=np.zeros(8, bool)).events() == []


def test_two_alarms_in_one_stretch_are_one_event():
    alarms = ALARMS.copy()
    alarms[7] = True
    assert len(make_report(alarms=alarms).events()) == 2


def test_an_alarm_below_the_threshold_is_an_event_of_its_own():
    alarms = ALARMS.copy()
    alarms[0] = True
    report = make_report(alarms=alarms, threshold=np.where(np.arange(8) < 3, 7.0, 5.0))
    assert [event.score for event in report.events()] == [0.1, 9.0, 8.0]


def test_runs():
    assert runs(np.array([], bool)) == []
    assert runs(np.ones(3, bool)) == [(0, 2)]
    assert runs(np.array([1, 0, 0, 1, 1, 0], bool)) == [(0, 0), (3, 4)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.zeros((8, 1))}, r"scores must be of shape \[T\]"),
        ({"scores": np.full(8, np.inf)}, "finite, or NaN"),
        ({"scores": np.full(8, np.nan)}, "known in every row with an alarm"),
        ({"threshold": np.zeros(7)}, r"threshold must be of shape \(8,\), got \(7,\)"),
        ({"threshold": np.nan}, "threshold must be numbers"),
        ({"alarms": np.zeros(9, bool)}, "alarms must be of shape"),
        ({"contributions": np.zeros((8, 3))}, r"of shape \(8, 2\), got \(8, 3\)"),
        ({"contributions": np.full((8, 2), 0.4)}, "1 together or all 0"),
        ({"contributions": np.tile([-0.5, 1.5], (8, 1))}, "from 0 to 1"),
        ({"contributions": np.full((8, 2), np.nan)}, "from 0 to 1"),
        ({"channels": ("flow", "flow")}, "names that differ"),
        ({"time": "score"}, "time must be a name other than"),
        ({"times": np.arange(8.0)}, "moments or whole numbers, got 'float64'"),
        ({"times": np.zeros(8, int)}, "must rise"),
        ({"times": np.full(8, np.datetime64("NaT", "us"))}, "must rise"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        make_report(**changes)


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_the_frame_has_a_row_for_each_time(backend):
    narwhals = pytest.importorskip("narwhals")
    pytest.importorskip(backend)
    frame = narwhals.from_native(make_report(time="hour").to_frame(backend))
    assert frame.columns == [
        *("hour", "score", "threshold", "alarm"),
        *("share_flow", "share_pressure"),
    ]
    assert frame["alarm"].to_list() == ALARMS.tolist()
    assert frame["share_flow"].to_list()[5] == 0.25


def test_a_report_survives_json():
    answer = json.loads(json.dumps(make_report().to_dict(), allow_nan=False))
    assert answer["scores"][4] is None
    assert answer["times"][1] == "2024-05-01T01:00:00"
    assert answer["events"][1]["start"] == "2024-05-01T05:00:00"
    assert answer["events"][1]["channel"] == "flow"
    rows = json.loads(json.dumps(make_report(times=np.arange(8)).to_dict()))
    assert rows["times"] == list(range(8))
    assert rows["events"][0]["peak"] == 2


def make_evaluation() -> AnomalyEvaluation:
    good = {"nab": 62.0, "vus_pr": 0.5, "recall": 0.75, "delay": 3.0, "false_alarms": 2.0}
    bad = {"nab": 11.0, "vus_pr": 0.1, "recall": 0.5, "delay": np.nan, "false_alarms": 0.0}
    scores = (Score("GRU", good), Score("random", bad))
    return AnomalyEvaluation(scores, series=1, rows=100, events=4)


def test_the_table_stars_the_higher_scores_and_the_fewer_false_alarms():
    assert make_evaluation().table().splitlines() == [
        "         NAB   VUS-PR   recall   delay   false",
        "GRU     62.0*   0.500*   0.750*    3.0*    2.0",
        "random  11.0    0.100    0.500       -     0.0*",
    ]


def test_beats_knows_which_way_is_better():
    evaluation = make_evaluation()
    assert evaluation.beats("nab")
    assert evaluation.beats("recall")
    assert not evaluation.beats("false_alarms")


def test_the_evaluation_survives_json():
    answer = json.loads(json.dumps(make_evaluation().to_dict(), allow_nan=False))
    assert answer["events"] == 4
    assert answer["scores"][1]["delay"] is None
