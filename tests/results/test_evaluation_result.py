"""Evaluations: the table, who beats whom, and JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.results import Evaluation, Score


def make_evaluation(model: dict[str, float], **baselines: dict[str, float]) -> Evaluation:
    scores = (Score("GRU", model), *(Score(name, values) for name, values in baselines.items()))
    return Evaluation(
        scores=scores,
        windows=10,
        observations=29,
        horizon=3,
        season=24,
        first_origin=np.datetime64("2013-12-01T00", "us"),
        last_origin=np.datetime64("2013-12-10T00", "us"),
        by_step={
            score.name: {"mae": np.array([1.0, 2.0, np.nan]), "rmse": np.ones(3)}
            for score in scores
        },
    )


GOOD = {"mae": 1.0, "mase": 0.5, "coverage_80": 0.79}
BAD = {"mae": 1.5, "mase": 0.7, "coverage_80": 0.9}


def test_beats_wants_strictly_better_than_every_baseline():
    assert make_evaluation(GOOD, last=BAD).beats("mae")
    assert not make_evaluation(BAD, last=GOOD).beats("mae")
    assert not make_evaluation(GOOD, last=BAD, mean=GOOD).beats("mae")
    assert not make_evaluation({**GOOD, "mae": np.nan}, last=BAD).beats("mae")
    with pytest.raises(ParameterError, match="metric must be one of 'mae'"):
        make_evaluation(GOOD).beats("mape")


def test_a_coverage_is_better_the_nearer_it_is_to_nominal():
    assert make_evaluation(GOOD, last=BAD).beats("coverage_80")
    assert not make_evaluation(BAD, last=GOOD).beats("coverage_80")


def test_the_table_is_aligned_and_stars_the_best():
    table = make_evaluation({**GOOD, "mase": 0.9}, **{"last value": BAD, "mean": GOOD}).table()
    assert table.splitlines() == [
        "              MAE     MASE   in 80 %",
        "GRU         1.000*  0.9000    79.0 %*",
        "last value  1.500   0.7000    90.0 %",
        "mean        1.000*  0.5000*   79.0 %*",
    ]


def test_an_undefined_metric_is_a_dash_and_none():
    undefined = {**GOOD, "mase": float("nan")}
    evaluation = make_evaluation(undefined, last=undefined)
    assert " - " in evaluation.table()
    answer = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert answer["scores"][0] == {"name": "GRU", "mae": 1.0, "mase": None, "coverage_80": 0.79}
    assert answer["by_step"]["last"]["mae"] == [1.0, 2.0, None]
    assert answer["first_origin"] == "2013-12-01T00:00:00"


def test_an_infinite_metric_is_none_in_json():
    evaluation = make_evaluation({**GOOD, "mase": float("inf")}, last=GOOD)
    answer = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert answer["scores"][0]["mase"] is None


def test_the_evaluation_frame_has_one_row_per_forecaster():
    frame = make_evaluation(GOOD, last=BAD).to_frame()
    assert frame["name"].tolist() == ["GRU", "last"]
    assert frame["mae"].tolist() == [1.0, 1.5]


def test_scores_must_share_their_metrics():
    with pytest.raises(ParameterError, match="metrics of last"):
        make_evaluation(GOOD, last={"mae": 1.0})
