"""grukit compare --like: for a model of every task, and what is refused before any training."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from grukit.data.synthetic import planted_anomalies
from grukit.data.synthetic_texts import planted_reviews
from grukit.tasks.base import load_model

QUICK = ("--cells", "gru", "--rates", "0.01", "--seeds", "1", "--epochs", "1")


@pytest.fixture(scope="module")
def ticks(tmp_path_factory):
    """Two files of text."""
    folder = tmp_path_factory.mktemp("ticks")
    (folder / "one").write_text("tick, tack, " * 30)
    (folder / "two").write_text("tack, tick, " * 20)
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def writer(grukit, ticks):
    path = ticks[0].with_name("writer")
    small = ("--hidden-size", "8", "--length", "8", "--batch-size", "8", "--epochs", "1")
    outcome = grukit("train", "generate", ticks[0], "-o", path, *small, "--cell", "lstm")
    assert outcome.code == 0, outcome.err
    return path


def test_a_writer_is_compared_with_other_cells_and_the_command_goes_on(
    grukit, writer, ticks, tmp_path
):
    written = ("--plot", tmp_path / "curves.png", "--report", tmp_path / "report.html")
    command = ("compare", "--like", writer, *ticks, "--test", ticks[1], "-o", tmp_path / "runs")
    asked = ("--seeds", "1", "--rates", "0.003, 0.01", "--epochs", "1")
    first = grukit(*command, *asked, *written)
    assert first.code == 0, first.err
    title = "TextGenerator on data of one's own (nats_per_character, less is better; 5-gram: "
    assert first.out.replace("\n", " ").startswith(title)
    listed = [line.split()[0] for line in first.out.partition("cell")[2].splitlines()[1:6]]
    assert listed == ["lstm", "rnn", "gru", "gru_before", "mingru"]
    assert "10 of 10: generation-mingru-0.01-0" in first.err
    assert (tmp_path / "curves.png").exists()
    assert "data of one" in (tmp_path / "report.html").read_text(encoding="utf-8")
    files = sorted((tmp_path / "runs").glob("generation-*"))
    changed = [file.stat().st_mtime_ns for file in files]
    again = grukit(*command, *asked, "--metric", "perplexity", "--json")
    assert [file.stat().st_mtime_ns for file in files] == changed
    found = json.loads(again.out)
    assert found["questions"][0]["metric"] == "perplexity"
    assert found["questions"][0]["blank_says"] == "5-gram"
    assert {run["rate"] for run in found["runs"]} == {0.003, 0.01}
    assert all(len(run["train_losses"]) == 1 for run in found["runs"])
    wide = grukit(*command, *QUICK, "--by", "width", "--json")
    assert [run["hidden_size"] for run in json.loads(wide.out)["runs"]] == [8]
    assert load_model(writer).cell == "lstm"


def test_a_forecaster_is_scored_after_its_training(grukit, model, hours, tmp_path):
    table = pd.read_csv(hours)
    table[:240].to_csv(tmp_path / "past.csv", index=False)
    asked = (tmp_path / "past.csv", "--test", hours, "-o", tmp_path / "runs", *QUICK, "--json")
    outcome = grukit("compare", "--like", model, *asked)
    assert outcome.code == 0, outcome.err
    (question,) = json.loads(outcome.out)["questions"]
    assert (question["metric"], question["higher_is_better"]) == ("mae", False)
    assert question["blank_says"] == "seasonal naive"


def test_a_detector_is_scored_by_labels(grukit, tmp_path):
    rows = pd.DataFrame(planted_anomalies(["spike"], events=4, length=1000))
    rows = rows.assign(label=rows.label.astype(int)).drop(columns=["kind", "culprit"])
    rows[:500].drop(columns="label").to_csv(tmp_path / "train.csv", index=False)
    rows[500:].to_csv(tmp_path / "new.csv", index=False)
    train = ("train", "anomaly", tmp_path / "train.csv", "-o", tmp_path / "detector")
    assert grukit(*train, "--time", "ds", "--hidden-size", "4", "--epochs", "1").code == 0
    command = ("compare", "--like", tmp_path / "detector", tmp_path / "train.csv")
    command += ("--test", tmp_path / "new.csv", "-o", tmp_path / "runs", *QUICK)
    assert "takes --labels" in grukit(*command).err
    refused = grukit(*command, "--labels", "lable")
    assert (refused.code, "lable" in refused.err) == (1, True)
    assert not (tmp_path / "runs").exists()
    given = ("--labels", "label", "--goes-on", "--plot", tmp_path / "a.html")
    outcome = grukit(*command, *given, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["questions"][0]["metric"] == "nab"
    # Without validation there is no curve of it.
    assert grukit(*command, *given[:3], "--plot", tmp_path / "a.png").code == 0


def test_a_judge_of_texts(grukit, tmp_path):
    texts, labels = planted_reviews(60)
    table = tmp_path / "reviews.csv"
    pd.DataFrame({"text": texts, "label": labels}).to_csv(table, index=False)
    train = ("train", "sentiment", table, "-o", tmp_path / "judge", "--hidden-size", "4")
    assert grukit(*train, "--epochs", "1").code == 0
    command = ("compare", "--like", tmp_path / "judge", table, "--test", table, *QUICK, "--json")
    outcome = grukit(*command, "-o", tmp_path / "runs")
    assert outcome.code == 0, outcome.err
    (question,) = json.loads(outcome.out)["questions"]
    assert (question["metric"], question["higher_is_better"]) == ("accuracy", True)
    assert "uncalibrated" not in question["blank_says"]


def test_a_translator_takes_lines_and_their_translations(grukit, tmp_path):
    (tmp_path / "de").write_text("eins zwei\nzwei eins\nzwei zwei\n" * 10)
    (tmp_path / "en").write_text("one two\ntwo one\ntwo two\n" * 10)
    pair = (tmp_path / "de", tmp_path / "en")
    train = ("train", "translate", *pair, "-o", tmp_path / "model", "--tokenizer", "char")
    assert grukit(*train, "--hidden-size", "8", "--epochs", "1").code == 0
    command = ("compare", "--like", tmp_path / "model", *pair, "-o", tmp_path / "runs", *QUICK)
    outcome = grukit(*command, "--test", pair[0], "--test", pair[1], "--metric", "chrf", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["questions"][0]["higher_is_better"]
    refused = grukit(*command, "--test", pair[0])
    assert (refused.code, "name its translations" in refused.err) == (2, True)
    refused = grukit(*command, "--test", pair[0], "--test", pair[1], "--test", pair[1])
    assert (refused.code, "one of their translations" in refused.err) == (2, True)


def test_a_recognizer_of_speech(grukit, recognizer, speech, tmp_path):
    command = ("compare", "--like", recognizer, speech, "--test", speech, "-o", tmp_path / "runs")
    outcome = grukit(*command, *QUICK, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["questions"][0]["metric"] == "wer"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("adding", "--like", "{writer}", "--test", "{text}"), 2, "and no problems, got 'adding'"),
        (("--like", "{writer}", "--test", "{text}"), 2, "files to learn from as arguments"),
        (("{text}", "--like", "{writer}"), 2, "--like takes --test"),
        (("{text}", "--like", "{writer}", "--test", "{text}", "--size", "3"), 2, "not --size"),
        (("{text}", "--like", "{writer}", "--test", "{text}", "--budget", "full"), 2, "not --bu"),
        (("{text}", "--like", "{writer}", "--test", "{text}", "--goes-on"), 2, "not --goes-on"),
        (("{text}", "--like", "{writer}", "--test", "{text}", "--metric", "mae"), 2, "metric must"),
        (("{text}", "--like", "{writer}", "--test", "{text}", "--rates", "x"), 2, "--rates must"),
        (("{text}", "--like", "{writer}", "--test", "{text}.not"), 1, "No such file"),
        (("{text}", "--like", "{text}", "--test", "{text}"), 1, "model"),
        (("{text}", "{text}", "--like", "{model}", "--test", "{text}"), 2, "one table"),
        (("adding", "--test", "{text}"), 2, "--test is for --like MODEL"),
        (("adding", "--metric", "mae"), 2, "--metric is for --like MODEL"),
        (("adding", "--goes-on"), 2, "--goes-on is for --like MODEL"),
        (("{text}",), 2, "a problem must be one of adding"),
    ],
)
def test_wrong_use_is_told_before_any_training(
    grukit, writer, model, ticks, tmp_path, arguments, code, message
):
    places = {"writer": writer, "model": model, "text": ticks[0]}
    given = [word.format(**places) for word in arguments]
    outcome = grukit("compare", *given, "-o", tmp_path / "runs")
    assert (outcome.code, message in outcome.err) == (code, True), outcome.err
    assert not (tmp_path / "runs").exists()


def test_problems_take_learning_rates_as_well(grukit, tmp_path):
    given = ("anbn", *QUICK[:-2], "--epochs", "1", "--size", "60", "--json")
    outcome = grukit("compare", *given, "-o", tmp_path / "runs")
    assert outcome.code == 0, outcome.err
    assert [run["rate"] for run in json.loads(outcome.out)["runs"]] == [0.01]
