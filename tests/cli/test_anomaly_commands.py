"""Detectors of anomalies on the command line."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from grukit.data.synthetic import planted_anomalies

TINY = ("--time", "ds", "--channel", "channel_0", "--epochs", "2", "--hidden-size", "4")


@pytest.fixture(scope="module")
def pumps(tmp_path_factory):
    """Two CSV files: ordinary rows, and rows with anomalies and their labels."""
    folder = tmp_path_factory.mktemp("pumps")
    rows = pd.DataFrame(planted_anomalies(["spike", "freeze"], events=4, length=1500))
    rows[:600].drop(columns=["label", "kind", "culprit"]).to_csv(folder / "train.csv", index=False)
    rows[600:].assign(label=rows.label.astype(int)).to_csv(folder / "new.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def detector(grukit, pumps):
    path = pumps / "detector"
    outcome = grukit("train", "anomaly", pumps / "train.csv", "-o", path, *TINY)
    assert outcome.code == 0, outcome.err
    return path


def test_train_says_what_it_has_seen(grukit, pumps, tmp_path):
    outcome = grukit("train", "anomaly", pumps / "train.csv", "-o", tmp_path / "model", *TINY)
    assert outcome.code == 0
    assert outcome.out.splitlines()[:2] == [
        "channels              channel_0",
        "rows                  600",
    ]
    assert "trained for 2 epochs" in outcome.err
    assert not (tmp_path / "model.training").exists()
    outcome = grukit(
        *("train", "anomaly", pumps / "train.csv", "-o", tmp_path / "model", *TINY),
        *("--overwrite", "--quiet", "7", "--json"),
    )
    answer = json.loads(outcome.out)
    assert (answer["channels"], answer["rows"], answer["quiet"]) == (["channel_0"], 600, 7)


def test_predict_prints_a_row_for_each_row(grukit, detector, pumps, tmp_path):
    outcome = grukit("predict", detector, pumps / "new.csv", "--goes-on")
    assert outcome.code == 0, outcome.err
    frame = pd.read_csv(io.StringIO(outcome.out))
    assert list(frame) == ["ds", "score", "threshold", "alarm", "share_channel_0"]
    assert len(frame) == 900
    assert frame.alarm.any()
    afresh = pd.read_csv(io.StringIO(grukit("predict", detector, pumps / "new.csv").out))
    assert (afresh.score != frame.score).any()
    files = ("-o", tmp_path / "found.json", "--plot", tmp_path / "found.html")
    assert grukit("predict", detector, pumps / "new.csv", "--goes-on", *files).code == 0
    answer = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert sum(answer["alarms"]) == frame.alarm.sum()
    assert "Plotly.newPlot" in (tmp_path / "found.html").read_text(encoding="utf-8")


def test_evaluate_compares_with_labels(grukit, detector, pumps):
    command = ("evaluate", detector, pumps / "new.csv", "--labels", "label", "--goes-on")
    outcome = grukit(*command)
    assert outcome.code == 0, outcome.err
    assert [line[:17].strip() for line in outcome.out.splitlines()[1:]] == [
        *("grukit GRU", "random score", "windowed Gaussian")
    ]
    assert "900 rows with 4 labelled events" in outcome.err
    answer = json.loads(grukit(*command, "--json").out)
    assert answer["events"] == 4


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("predict", "{detector}"), "takes DATA"),
        (("predict", "{detector}", "{new}", "--future", "{new}"), "not --future"),
        (("evaluate", "{detector}", "{new}"), "takes --labels"),
        (("evaluate", "{detector}", "{new}", "--labels", "label", "--stride", "2"), "not --stride"),
        (("predict", "{model}", "--goes-on"), "not --goes-on"),
        (("evaluate", "{model}", "{new}", "--labels", "label"), "not --labels"),
    ],
)
def test_options_of_another_task_are_refused(grukit, detector, model, pumps, command, message):
    places = {"detector": detector, "model": model, "new": pumps / "new.csv"}
    outcome = grukit(*(word.format(**places) for word in command))
    assert outcome.code == 2
    assert message in outcome.err


def test_labels_must_be_there_and_true_or_false(grukit, detector, pumps):
    for column in ("labels", "channel_0"):
        outcome = grukit("evaluate", detector, pumps / "new.csv", "--labels", column)
        assert outcome.code == 1
        assert column in outcome.err
