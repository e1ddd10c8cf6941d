"""The forecasts of a backtest, one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import NotFittedError, ParameterError
from grukit.evaluation.metrics import coverage, mae

START = "2024-01-06 20:00"


def test_they_are_those_that_evaluate_scores(fitted, frame):
    found = fitted.backtest(frame, start=START, stride=3)
    scores = fitted.evaluate(frame, start=START, stride=3)
    truth, median, low, high = (
        found[name].to_numpy().reshape(-1, 6) for name in ("y", "q0.5", "q0.1", "q0.9")
    )
    metrics = scores.scores[0].metrics
    assert len(truth) == scores.windows
    assert mae(truth, median) == pytest.approx(metrics["mae"])
    assert coverage(truth, low, high) == pytest.approx(metrics["coverage_80"])


def test_each_is_what_predict_said_at_its_origin(fitted, frame):
    found = fitted.backtest(frame, start=START)
    assert list(found)[:4] == ["unique_id", "origin", "ds", "y"]
    origin = found["origin"].iloc[24]
    own = found[found["origin"] == origin]
    asked = fitted.predict(frame[frame.ds <= origin])
    assert own["unique_id"].tolist() == [name for name in asked.series for _ in range(6)]
    assert (own["ds"].to_numpy() == asked.times.ravel()).all()
    np.testing.assert_allclose(own["q0.5"], asked.median.ravel(), rtol=1e-5)
    known = frame.set_index(["unique_id", "ds"]).y
    wanted = known.reindex(pd.MultiIndex.from_frame(own[["unique_id", "ds"]]))
    np.testing.assert_array_equal(own["y"], wanted)


def test_events_have_a_probability(small, planted):
    table = planted()
    table["y"] = (table.y > table.y.mean()).astype(float)
    model = small(distribution="bernoulli").fit(table[table.ds < START])
    found = model.backtest(table, backend="polars")
    assert found.columns == ["unique_id", "origin", "ds", "y", "probability"]
    assert found["probability"].is_between(0, 1).all()


def test_one_series_without_a_name(small, planted):
    table = planted(count=1).drop(columns="unique_id")
    model = small().fit(table[table.ds < START])
    assert list(model.backtest(table))[:3] == ["origin", "ds", "y"]


def test_arguments_and_order(small, fitted, frame):
    with pytest.raises(ParameterError, match="stride must be"):
        fitted.backtest(frame, stride=0)
    with pytest.raises(ParameterError, match="backend must be"):
        fitted.backtest(frame, start=START, backend="excel")
    with pytest.raises(NotFittedError):
        small().backtest(frame)
