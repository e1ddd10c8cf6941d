from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from grukit import FitConfig, Forecaster, TextGenerator
from grukit.core.errors import ParameterError
from grukit.data.synthetic import seasonal_series
from grukit.insight import own_data
from grukit.insight.own_data import compare_estimator

TRAINING = FitConfig(epochs=2, batch_size=16, progress=False)


@pytest.fixture(scope="module")
def table():
    return pd.DataFrame(seasonal_series(count=1, length=300))


def test_a_forecaster_is_compared_beside_its_own_baselines(tmp_path, table, monkeypatch):
    model = Forecaster(horizon=4, lookback=16, hidden_size=8, training=TRAINING)
    train = table[table.ds < "2024-01-11"]
    asked = {"metric": "mae", "folder": tmp_path, "rates": [0.001, 0.03], "seeds": 2}
    found = compare_estimator(model, train, table, cells=["gru", "rnn"], **asked)
    assert [(run.cell, run.seed) for run in found.runs].count(("rnn", 1)) == 1
    rows = {row.cell: row for row in found.rows("forecast")}
    assert rows["rnn"].hidden_size == 14
    assert rows["rnn"].parameters > rows["gru"].parameters > 500
    question = found.questions[0]
    best = rows["gru"]
    settings = {**model.get_params(), "cell": "gru", "seed": 0}
    settings["training"] = dataclasses.replace(TRAINING, learning_rate=best.rate)
    alone = Forecaster(**settings).fit(train).evaluate(table)
    assert best.scores[0] == pytest.approx(alone.scores[0].metrics["mae"])
    assert question.blank == min(own.metrics["mae"] for own in alone.scores[1:])
    assert "goal" not in found.verdict("forecast").lower()
    monkeypatch.setattr(own_data, "_run", None)
    again = compare_estimator(model, train, table, cells=["gru", "rnn"], **asked)
    assert again.to_dict() == found.to_dict()
    assert json.loads((tmp_path / "comparison.json").read_text()) == found.to_dict()


def test_other_data_are_another_run(tmp_path):
    model = TextGenerator(hidden_size=8, length=16, training=TRAINING)
    asked = {"metric": "perplexity", "folder": tmp_path, "rates": [0.01], "seeds": 1}
    for text in ("tick, tack, " * 30, "tack, tick, " * 30):
        compare_estimator(model, text, "tick, tack, " * 9, cells=["lstm"], **asked)
    assert len(list(tmp_path.glob("generation-lstm-*.json"))) == 2


def test_wrong_arguments_are_refused(tmp_path):
    model = TextGenerator(hidden_size=8, length=16, training=TRAINING)
    text = "tick, tack, " * 30
    with pytest.raises(ParameterError, match=r"metric must be one of .*nats_per_character"):
        compare_estimator(model, text, text, metric="bleu", folder=tmp_path, rates=[0.01])
    for wrong in ({"cells": ["gro"]}, {"rates": []}, {"seeds": 0}, {"by": "speed"}):
        with pytest.raises(ParameterError, match=f"{next(iter(wrong))} must be"):
            compare_estimator(model, text, text, metric="perplexity", folder=tmp_path, **wrong)
