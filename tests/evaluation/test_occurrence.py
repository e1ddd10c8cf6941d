"""Scores of events against plain loops, and baselines that know nothing but shares."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import ParameterError
from grukit.data.encoding import PanelEncoder
from grukit.data.frames import Columns, to_panel
from grukit.data.windows import origins
from grukit.evaluation import occurrence
from grukit.evaluation.occurrence import backtest_occurrence, brier, fit_occurrence, log_loss

HISTORY, HORIZON = 3, 2
RANDOM = np.random.default_rng(0)
TRUTH = np.where(RANDOM.random((40, 5)) < 0.2, np.nan, RANDOM.random((40, 5)) < 0.4)
PROBABILITY = RANDOM.random((40, 5))


def encoded_events(rows: int = 30):
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(["a", "b"], rows),
            "ds": np.tile(pd.date_range("2024-01-01", periods=rows, freq="h"), 2),
            "y": (RANDOM.random(2 * rows) < np.repeat([0.2, 0.7], rows)).astype(float),
        }
    )
    table.loc[[4, 5, 17], "y"] = np.nan
    panel = to_panel(table, Columns("ds", "y", "unique_id"), "h")
    return PanelEncoder.fit(panel, "none").encode(panel)


def test_the_scores_are_those_of_plain_loops():
    pairs = [(y, p) for y, p in zip(TRUTH.ravel(), PROBABILITY.ravel(), strict=True) if y == y]
    assert brier(TRUTH, PROBABILITY) == pytest.approx(
        sum((p - y) ** 2 for y, p in pairs) / len(pairs)
    )
    wanted = -sum(math.log(p if y else 1 - p) for y, p in pairs) / len(pairs)
    assert log_loss(TRUTH, PROBABILITY) == pytest.approx(wanted)


def test_being_sure_and_wrong_is_finite():
    assert log_loss(np.array([[1.0]]), np.array([[0.0]])) == pytest.approx(-math.log(1e-6))


@pytest.mark.parametrize(
    ("truth", "probability", "message"),
    [
        ([[0.5]], [[0.5]], "truth must be 0, 1 or NaN, got 0.5"),
        ([[1.0]], [[1.5]], "probability must be between 0 and 1, got 1.5"),
        ([[1.0]], [[math.nan]], "probability must be between 0 and 1, got nan"),
        ([[1.0]], [[0.5, 0.5]], "probability must be of shape"),
        ([[math.nan]], [[0.5]], "truth must be observed somewhere"),
    ],
)
def test_what_cannot_be_scored(truth, probability, message):
    for metric in (brier, log_loss):
        with pytest.raises(ParameterError, match=message):
            metric(np.array(truth), np.array(probability))


def test_climatology_is_the_share_of_each_series_and_persistence_that_after_a_value():
    encoded = encoded_events()
    at = origins(encoded, HISTORY, HORIZON)
    fitted = fit_occurrence(encoded, at, np.array([20, 25]), HISTORY, HORIZON)
    for name, start, seen in (("a", 0, 20), ("b", 30, 25)):
        rows = encoded.target[start : start + seen]
        known = rows[~np.isnan(rows)]
        assert fitted.shares[name] == pytest.approx((known.sum() + 1) / (len(known) + 2))

    events, all_of_them = np.ones((HORIZON, 2)), np.full((HORIZON, 2), 2)
    for origin in at:
        past = encoded.target[origin - HISTORY : origin]
        last = int(past[~np.isnan(past)][-1])
        for step, y in enumerate(encoded.target[origin : origin + HORIZON]):
            if y == y:
                events[step, last] += y
                all_of_them[step, last] += 1
    np.testing.assert_allclose(fitted.persistence, events / all_of_them)

    history = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, np.nan]])
    answers = fitted.probabilities(history, ["b", "new"])
    np.testing.assert_allclose(answers["climatology"][0], fitted.shares["b"])
    np.testing.assert_allclose(answers["climatology"][1], fitted.share)
    np.testing.assert_allclose(answers["persistence"], fitted.persistence.T[[1, 0]])


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_score_like_all_windows_at_once(chunk, monkeypatch):
    monkeypatch.setattr(occurrence, "CHUNK", chunk)
    encoded = encoded_events()
    at = origins(encoded, HISTORY, HORIZON)
    fitted = fit_occurrence(encoded, at, np.array([20, 25]), HISTORY, HORIZON)
    answer = {origin: RANDOM.random(HORIZON) for origin in at}
    evaluation = backtest_occurrence(
        "model",
        encoded,
        at,
        lambda some: np.array([answer[origin] for origin in some]),
        fitted,
        HISTORY,
        HORIZON,
        season=24,
    )
    truth = encoded.target[at[:, None] + np.arange(HORIZON)]
    probability = np.array([answer[origin] for origin in at])
    model, *baselines = evaluation.scores
    assert [score.name for score in baselines] == ["climatology", "persistence"]
    assert model.metrics["brier"] == pytest.approx(brier(truth, probability))
    assert model.metrics["log_loss"] == pytest.approx(log_loss(truth, probability))
    assert evaluation.observations == np.isfinite(truth).sum()
    last = evaluation.by_step["model"]["brier"][-1]
    assert last == pytest.approx(brier(truth[:, -1:], probability[:, -1:]))
    heading = evaluation.table().splitlines()[0]
    assert heading.split() == ["Brier", "log", "loss"]
