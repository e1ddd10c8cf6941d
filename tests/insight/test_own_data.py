from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from grukit import FitConfig, Forecaster, TextGenerator
from grukit.core.errors import DataError, DivergenceError, Interrupted, ParameterError
from grukit.data.synthetic import seasonal_series
from grukit.data.synthetic_texts import planted_reviews
from grukit.insight import own_data
from grukit.insight.own_data import compare_estimator
from grukit.results.scores import METRICS, higher_is_better
from grukit.testing.estimators import CASES
from grukit.training.fit import EpochRecord, LossSum

TRAINING = FitConfig(epochs=2, batch_size=16, progress=False)
TICKS = "tick, tack, " * 30
# What a text, a table or a folder of each case is scored on, the metric that stands first, and
# which of those of the task there are with other settings alone.
TESTS = {
    "anomaly": (lambda data: (data, np.arange(300) // 20 == 9), "nab", set()),
    "classification": (lambda data: data, "accuracy", set()),
    "forecast": (
        lambda data: pd.DataFrame(seasonal_series(count=2, length=150)),
        "mae",
        {"brier", "log_loss"},
    ),
    "generation": (lambda data: data, "nats_per_character", set()),
    "speech": (lambda data: data, "wer", {"accuracy", "macro_f1"}),
    "translation": (lambda data: data, "bleu", set()),
}


@pytest.fixture(scope="module")
def table():
    return pd.DataFrame(seasonal_series(count=1, length=300))


@pytest.fixture
def writer():
    return TextGenerator(hidden_size=8, length=16, training=TRAINING)


@pytest.fixture
def no_training(monkeypatch):
    """Whatever was trained is enough."""

    def refuse(*_, **__):
        raise AssertionError("fit is called")

    def arm():
        for estimator in (Forecaster, TextGenerator):
            monkeypatch.setattr(estimator, "fit", refuse)

    return arm


def test_a_forecaster_is_compared_beside_its_own_baselines(tmp_path, table, no_training):
    model = Forecaster(horizon=4, lookback=16, hidden_size=8, training=TRAINING)
    train = table[table.ds < "2024-01-11"]
    asked = {"folder": tmp_path, "rates": [0.001, 0.03], "seeds": 2, "cells": ["gru", "rnn"]}
    found = compare_estimator(model, train, table, metric="mae", **asked)
    assert [(run.cell, run.seed) for run in found.runs].count(("rnn", 1)) == 1
    rows = {row.cell: row for row in found.rows("forecast")}
    assert all(len(row.scores) == 2 for row in rows.values())  # at the rate that was chosen
    assert rows["gru"].hidden_size == 8
    assert rows["rnn"].hidden_size > 8
    assert rows["rnn"].parameters == pytest.approx(rows["gru"].parameters, rel=0.1)  # of few units
    question = found.questions[0]
    best = rows["gru"]
    settings = {**model.get_params(), "cell": "gru", "seed": 0}
    settings["training"] = dataclasses.replace(TRAINING, learning_rate=best.rate)
    alone = Forecaster(**settings).fit(train).evaluate(table)
    assert best.scores[0] == pytest.approx(alone.scores[0].metrics["mae"])
    assert question.blank == min(own.metrics["mae"] for own in alone.scores[1:])
    assert "goal" not in found.verdict("forecast").lower()
    assert not list(tmp_path.glob("*.training"))
    no_training()
    again = compare_estimator(model, train, table, metric="mae", **asked)
    assert again.to_dict() == found.to_dict()
    assert json.loads((tmp_path / "comparison.json").read_text()) == found.to_dict()
    other = compare_estimator(model, train, table, metric="crps", **asked).rows("forecast")[0]
    assert other.scores[0] == pytest.approx(alone.scores[0].metrics["crps"])


@pytest.mark.parametrize("task", CASES)
def test_every_task_has_its_metrics_and_an_honest_account(task, tmp_path):
    case, (test, first, absent) = CASES[task], TESTS[task]
    data = case.data()
    model = case.make()
    before = model.get_params()
    asked = {"cells": ["gru", "mingru"], "rates": [0.01], "seeds": 1, "folder": tmp_path}
    found = compare_estimator(model, data, test(data), **asked)
    assert all(value is before[name] for name, value in model.get_params().items())
    (question,), (run, mingru) = found.questions, found.runs
    assert question.metric == first
    assert question.higher_is_better == (first in ("nab", "accuracy", "bleu"))
    saved = next(json.loads(file.read_text()) for file in tmp_path.glob(f"{task}-gru-*.json"))
    names = {name for name in saved["scores"][0] if not name.startswith(("coverage_", "name"))}
    assert names == set(METRICS[task]) - absent
    network = case.fitted(cell="gru").network_
    assert run.parameters == sum(own.numel() for own in network.parameters())
    assert mingru.parameters == pytest.approx(run.parameters, rel=0.15)  # of four units
    assert run.memory_bytes > 16 * run.parameters + 1000
    assert len(run.seconds) == len(run.train_losses) == 2
    assert all(second > 0 for second in run.seconds)
    cells = found.table(task).splitlines()[1].split()
    assert (cells[3], cells[-4]) == ("-", "-")  # products; goals reached
    assert f"{run.memory_bytes / 2**20:.1f}" == cells[4]


def test_the_direction_of_a_metric_is_known():
    higher = {name for names in METRICS.values() for name in names if higher_is_better(name)}
    assert {"accuracy", "bleu", "recall", "nab", "vus_pr"} <= higher
    assert not higher & {"mae", "wer", "cer", "perplexity", "log_loss", "ece", "delay", "brier"}


def test_a_detector_without_validation_chooses_by_its_training(tmp_path):
    case = CASES["anomaly"]
    data = case.data()
    asked = {"cells": ["gru"], "rates": [1e-6, 0.01], "seeds": 2, "folder": tmp_path}
    found = compare_estimator(case.make(), data, TESTS["anomaly"][0](data), **asked)
    losses = [run.train_losses[-1] for run in found.runs]
    assert losses[1] < losses[0]
    assert found.rows("anomaly")[0].rate == 0.01
    assert found.runs[0].validation_losses == ()


def test_sizes_and_rates_go_by_the_estimators_own(writer, tmp_path, monkeypatch):
    writer.set_params(cell="lstm")
    found = compare_estimator(writer, TICKS, TICKS, seeds=1, folder=tmp_path)
    rows = found.rows("generation")
    assert [row.cell for row in rows] == ["lstm", "rnn", "gru", "gru_before", "mingru"]
    assert [row.hidden_size for row in rows] == [8, 19, 10, 10, 13]
    assert all(abs(row.parameters / rows[0].parameters - 1) < 0.03 for row in rows)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".width"}
    fits = []
    fit = TextGenerator.fit
    monkeypatch.setattr(TextGenerator, "fit", lambda *own, **more: fits.append(fit(*own, **more)))
    compare_estimator(writer, TICKS, TICKS, seeds=1, folder=tmp_path)
    assert not fits
    assert {run.rate for run in found.runs} == {0.00033, 0.001, 0.003}
    (file,) = tmp_path.glob("generation-rnn-*.width")
    for damaged in ("", "{}", "0", "1.5"):
        file.write_text(damaged)
        with pytest.raises(DataError, match=r"rnn-\w+\.width is not a saved width; delete it"):
            compare_estimator(writer, TICKS, TICKS, seeds=1, folder=tmp_path)
    wide = compare_estimator(
        writer, TICKS, TICKS, seeds=1, rates=[0.001], by="width", folder=tmp_path
    )
    assert {row.hidden_size for row in wide.rows("generation")} == {8}
    writer.training = None
    assert own_data._around(writer.usual_training.learning_rate) == (0.00067, 0.002, 0.006)


def test_a_mingru_has_a_layer_more(writer, tmp_path, monkeypatch):
    layers = []
    fit = TextGenerator.fit

    def noted(self, *args, **kwargs):
        layers.append((self.cell, self.num_layers))
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(TextGenerator, "fit", noted)
    asked = {"cells": ["gru", "mingru"], "rates": [0.01], "seeds": 1, "by": "width"}
    for cell, count in (("gru", 2), ("mingru", 2), ("mingru", 1)):
        layers.clear()
        writer.set_params(cell=cell, num_layers=count)
        compare_estimator(writer, TICKS, TICKS, folder=tmp_path / f"{cell}-{count}", **asked)
        others = max(1, count - (cell == "mingru"))
        own = {cell: count}
        assert dict(layers) == {"gru": others, "mingru": count + (cell == "gru")} | own


def test_a_mingru_has_no_recurrent_dropout(writer, tmp_path):
    asked = {"cells": ["gru", "mingru"], "rates": [0.01], "seeds": 1, "folder": tmp_path}
    (plain,) = compare_estimator(writer, TICKS, TICKS, **{**asked, "cells": ["gru"]}).runs
    writer.set_params(recurrent_dropout=0.3)
    gru, mingru = compare_estimator(writer, TICKS, TICKS, **asked).runs
    assert gru.score != plain.score
    assert math.isfinite(mingru.score)
    assert writer.recurrent_dropout == 0.3


def test_a_cell_that_cannot_be_is_refused_before_any_training(table, tmp_path):
    model = Forecaster(horizon=4, lookback=16, hidden_size=4, ensemble=2, training=TRAINING)
    asked = {"cells": ["gru", "gru_d"], "rates": [0.01], "seeds": 1, "folder": tmp_path}
    with pytest.raises(ParameterError, match="ensemble must be 1 with cell='gru_d'"):
        compare_estimator(model, table[table.ds < "2024-01-11"], table, **asked)
    assert not list(tmp_path.glob("*.json"))


def test_other_data_are_another_run(writer, tmp_path):
    asked = {"folder": tmp_path, "rates": [0.01], "seeds": 1, "cells": ["lstm"]}
    for text in (TICKS, "tack, tick, " * 30):
        compare_estimator(writer, text, "tick, tack, " * 9, **asked)
    file = tmp_path / "a.txt"
    for text in (TICKS, TICKS + "tock"):
        file.write_text(text)
        compare_estimator(writer, file, "tick, tack, " * 9, **asked)
    # A file with the same text is the same.
    assert len(list(tmp_path.glob("generation-lstm-*.json"))) == 3


def test_a_folder_is_told_by_its_texts_and_the_sizes_of_the_others(tmp_path):
    digests = set()
    for name, text in (("a.txt", "one"), ("a.txt", "two"), ("a.wav", "1"), ("a.wav", "22")):
        (tmp_path / name).write_text(text)
        digests.add(own_data._digest(tmp_path))
    assert len(digests) == 4


def test_columns_and_arrays_of_texts_are_told_by_what_is_in_them():
    texts = ["tick", "tock", "7"]
    columns = [
        pd.Series(texts),
        np.array(texts, object),
        np.array(["".join("tick"), *texts[1:]], object),
    ]
    assert len({own_data._digest(own) for own in (texts, columns[0])}) == 1
    assert own_data._digest(columns[1]) == own_data._digest(columns[2])
    others = [["tick", "tack", None], np.array([texts], object), np.array(texts[:2])]
    assert len({own_data._digest(own) for own in (*columns, *others)}) == 5
    assert own_data._digest(np.float32(0.5)) == own_data._digest(0.5)


def test_columns_of_a_table_are_data(tmp_path):
    case = CASES["classification"]
    texts, labels = map(pd.Series, planted_reviews(40))
    asked = {"cells": ["gru"], "rates": [0.01], "seeds": 1, "folder": tmp_path}
    found = compare_estimator(case.make(), (texts, labels), (texts, labels), **asked)
    assert found.questions[0].metric == "accuracy"


def test_what_was_trained_is_not_lost_where_it_cannot_be_scored(writer, tmp_path, monkeypatch):
    asked = {"cells": ["gru"], "rates": [0.01], "seeds": 1, "folder": tmp_path}
    with pytest.raises(DataError, match="at least one token"):
        compare_estimator(writer, TICKS, "", **asked)
    updates = []
    update = own_data._Watch.__call__
    monkeypatch.setattr(
        own_data._Watch, "__call__", lambda self, own: (updates.append(own), update(self, own))
    )
    (run,) = compare_estimator(writer, TICKS, TICKS, **asked).runs
    assert not updates
    assert len(run.seconds) == len(run.train_losses) == 2
    assert math.isfinite(run.score)
    assert {file.suffix for file in tmp_path.iterdir()} == {".json"}


def test_an_interrupted_comparison_goes_on(writer, tmp_path, monkeypatch):
    asked = {"cells": ["gru"], "rates": [0.01], "seeds": 1}
    whole = compare_estimator(writer, TICKS, TICKS, folder=tmp_path / "whole", **asked)
    watched = own_data._Watch.__call__

    def stop(self, record):
        watched(self, record)
        if record.epoch == 2:
            raise Interrupted(2, "stopped")

    monkeypatch.setattr(own_data._Watch, "__call__", stop)
    with pytest.raises(Interrupted, match="parts: the same call goes on"):
        compare_estimator(writer, TICKS, TICKS, folder=tmp_path / "parts", **asked)
    monkeypatch.setattr(own_data._Watch, "__call__", watched)
    (run,) = compare_estimator(writer, TICKS, TICKS, folder=tmp_path / "parts", **asked).runs
    assert (run.train_losses, run.score) == (whole.runs[0].train_losses, whole.runs[0].score)
    assert len(run.seconds) == 2


def test_the_time_of_an_interrupted_epoch_is_whole(tmp_path, monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(own_data.time, "process_time", lambda: float(next(ticks)))
    network = torch.nn.Linear(1, 1)

    def begun():
        watch = own_data._Watch(tmp_path / "a.epochs")
        watch.begin(network, lambda: LossSum(network.weight.sum(), 1), 0)
        return watch

    watch = begun()
    watch(EpochRecord(1, 0.0, None, 0.1))
    watch.pause()
    watch = begun()
    watch(EpochRecord(2, 0.0, None, 0.1))
    watch(EpochRecord(3, 0.0, None, 0.1))
    assert watch.seconds == [1.0, 2.0, 1.0]
    assert begun().seconds == [1.0, 2.0, 1.0]


def test_the_same_rate_twice_is_tried_once(writer, tmp_path):
    asked = {"cells": ["lstm"], "rates": [0.01, 0.01], "seeds": 2, "folder": tmp_path}
    told = []
    tell = {"tell": lambda name, done, count: told.append((done, count))}
    found = compare_estimator(writer, TICKS, TICKS, **asked, **tell)
    assert len(found.rows("generation")[0].scores) == 2
    assert told == [(1, 2), (2, 2)]


def test_a_run_that_diverges_has_no_score(writer, tmp_path, monkeypatch):
    fit = TextGenerator.fit

    def diverge(self, *args, **kwargs):
        fit(self, *args, **kwargs)
        if self.training.learning_rate > 0.1:
            raise DivergenceError("diverged")

    monkeypatch.setattr(TextGenerator, "fit", diverge)
    asked = {"cells": ["gru"], "seeds": 1, "folder": tmp_path}
    found = compare_estimator(writer, TICKS, TICKS, rates=[1.0, 0.01], **asked)
    assert [run.diverged for run in found.runs] == [True, False]
    assert found.runs[0].parameters == found.runs[1].parameters > 0
    assert found.rows("generation")[0].rate == 0.01
    none = compare_estimator(writer, TICKS, TICKS, rates=[1.0], **asked)
    assert none.verdict("generation") == "GRU gave no score. So nothing can be said."
    assert none.questions[0].metric == "nats_per_character"
    assert json.loads((tmp_path / "comparison.json").read_text())["questions"][0]["blank"] is None


def test_wrong_arguments_are_refused_before_any_training(writer, tmp_path, no_training):
    no_training()
    folder = tmp_path / "none"
    for wrong, said in (
        ({"metric": "bleu"}, r"metric must be one of .*nats_per_character"),
        ({"metric": "coverage_80"}, "metric must be"),
        ({"cells": ["gro"]}, "cells must be"),
        ({"rates": []}, "rates must be"),
        ({"seeds": 0}, "seeds must be"),
        ({"by": "speed"}, "by must be"),
        ({"name": "../mine"}, "must be a file's name, got '../mine'"),
        ({"name": ""}, "must be a file's name, got ''"),
    ):
        with pytest.raises(ParameterError, match=said):
            compare_estimator(writer, TICKS, TICKS, folder=folder, **wrong)
    with pytest.raises(FileNotFoundError):
        compare_estimator(writer, TICKS, tmp_path / "nowhere", folder=folder)
    assert not folder.exists()


def test_a_metric_of_other_settings_is_told_after_the_first_run_which_stays(
    table, tmp_path, no_training
):
    model = Forecaster(horizon=4, lookback=16, hidden_size=4, training=TRAINING)
    asked = {"folder": tmp_path, "rates": [0.01], "seeds": 1, "cells": ["gru"]}
    train = table[table.ds < "2024-01-11"]
    with pytest.raises(ParameterError, match=r"metric must be one of mae, .*crps, got 'brier'"):
        compare_estimator(model, train, table, metric="brier", **asked)
    no_training()
    assert compare_estimator(model, train, table, metric="rmse", **asked).runs
