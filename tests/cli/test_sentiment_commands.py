"""Judges of texts on the command line."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict, replace

import pytest

from grukit import TextClassifier
from grukit.data.synthetic_texts import planted_reviews
from grukit.tasks.classification_settings import TRAINING

SMALL = ("--hidden-size", "8", "--epochs", "2", "--batch-size", "16", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    path = tmp_path_factory.mktemp("sentiment") / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars"])
        writer.writerows(zip(*planted_reviews(200), strict=True))
    return path


@pytest.fixture(scope="module")
def judge(grukit, reviews):
    path = reviews.with_name("judge")
    columns = ("--text", "review", "--label", "stars")
    outcome = grukit("train", "sentiment", reviews, "-o", path, *columns, *SMALL)
    assert outcome.code == 0, outcome.err
    assert "linear, words and pairs" in outcome.out
    assert "trained for 2 epochs" in outcome.err
    assert not path.with_name("judge.training").exists()
    return path


def test_lines_are_judged_as_they_come(grukit, judge, monkeypatch):
    class Stdin:
        buffer = io.BytesIO("a good film\n\n日本\tsaw\r\n".encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    lines = grukit("predict", judge).out.splitlines()
    assert [line.split("\t", 2)[2] for line in lines] == ["a good film", "", "日本\tsaw"]
    Stdin.buffer = io.BytesIO(b"a good film\n")
    (said,) = map(json.loads, grukit("predict", judge, "--json").out.splitlines())
    label, chance, text = lines[0].split("\t")
    assert (said["label"], said["text"], f"{said['probability']:.4f}") == (label, text, chance)
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    Stdin.buffer = io.BytesIO(b"good\n\xff\n")
    outcome = grukit("predict", judge)
    assert outcome.code == 1
    assert "line 2 of stdin must be UTF-8" in outcome.err
    assert grukit("predict", judge, "--paths", 3).code == 2


def test_a_table_is_judged_row_by_row(grukit, judge, reviews, tmp_path):
    lines = grukit("predict", judge, reviews).out.splitlines()
    assert [line.split("\t")[2] for line in lines] == planted_reviews(200)[0]
    (tmp_path / "other.jsonl").write_text('{"text": "a"}\n')
    outcome = grukit("predict", judge, tmp_path / "other.jsonl")
    assert outcome.code == 1
    assert "must have the column 'review'" in outcome.err


def test_evaluate_stands_beside_n_grams(grukit, judge, reviews):
    outcome = grukit("evaluate", judge, reviews)
    assert outcome.code == 0, outcome.err
    assert "most frequent class" in outcome.out
    assert "200 texts of 2 classes" in outcome.err
    scores = json.loads(grukit("evaluate", judge, reviews, "--json").out)
    assert scores["texts"] == 200
    assert grukit("evaluate", judge, reviews, "--labels", "x").code == 2


def test_inspect_says_what_each_token_added(grukit, judge, model, tmp_path):
    outcome = grukit("inspect", judge, "--text", "never in any way Good", "--label", "negative")
    assert outcome.code == 0, outcome.err
    header, *lines = [line.rsplit(maxsplit=1) for line in outcome.out.splitlines()]
    assert [part.strip() for part in header] == ["token", "added"]
    added = {name.strip(): float(number) for name, number in lines}
    total = added.pop("(log-odds of negative)")
    assert sum(added.values()) == pytest.approx(total, abs=1e-2)
    assert set(added) == {"(start)", "never", "in", "any", "way", "good"}
    long, picture, rows = "good film " * 30, tmp_path / "why.png", tmp_path / "why.csv"
    assert "(40 others)" in grukit("inspect", judge, "--text", long).out
    outcome = grukit("inspect", judge, "--text", long, "--plot", picture, "-o", rows, "--json")
    assert len(json.loads(outcome.out)["tokens"]) == 60
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert rows.read_text().count("\n") == 61
    assert grukit("inspect", judge).code == 2
    assert grukit("inspect", judge, "--text", "a", "--leaks").code == 2
    assert grukit("inspect", model, "--text", "a").code == 2
    outcome = grukit("inspect", judge, "--text", "a", "--label", "neutral")
    assert outcome.code == 2
    assert "negative, positive" in " ".join(outcome.err.split())


def test_texts_without_labels_are_read_first(grukit, reviews, tmp_path):
    target, columns = tmp_path / "judge", ("--text", "review", "--label", "stars")
    begun = tmp_path / "judge.training" / "pretraining"
    begun.mkdir(parents=True)
    (begun / "latest").touch()
    train = ("train", "sentiment", reviews, "-o", target, *columns, "--unlabelled", reviews, *SMALL)
    outcome = grukit(*train)
    assert outcome.code == 1
    assert "an interrupted training of judge lies in" in outcome.err
    outcome = grukit(*train, "--overwrite")
    assert outcome.code == 0, outcome.err
    assert "200 texts without labels" in (target / "README.md").read_text(encoding="utf-8")
    assert not begun.parent.exists()


def test_a_threshold_is_a_number_or_chosen(grukit, reviews, tmp_path):
    columns = ("--text", "review", "--label", "stars", "--threshold")
    for threshold, path in (("0.9999", "number"), ("f1", "chosen")):
        target = tmp_path / path
        outcome = grukit("train", "sentiment", reviews, "-o", target, *columns, threshold, *SMALL)
        assert outcome.code == 0, outcome.err
    assert TextClassifier.load(tmp_path / "number").thresholds_.tolist() == [0.9999]
    assert TextClassifier.load(tmp_path / "chosen").threshold == "f1"
    outcome = grukit("train", "sentiment", reviews, "-o", tmp_path / "x", *columns, "best", *SMALL)
    assert outcome.code == 2
    assert "threshold must be None, 'f1', 'accuracy' or a number" in outcome.err


def test_a_column_that_is_not_there(grukit, reviews, tmp_path):
    outcome = grukit("train", "sentiment", reviews, "-o", tmp_path / "judge", *SMALL)
    assert outcome.code == 1
    assert "row 1 must have the column 'text'" in outcome.err
    assert not (tmp_path / "judge").exists()


def test_training_is_as_in_python_but_for_what_is_given(grukit, judge, reviews, tmp_path):
    def training(path):
        return json.loads((path / "config.json").read_text())["settings"]["training"]

    small = replace(TRAINING, epochs=2, batch_size=16, learning_rate=0.01)
    assert training(judge) == asdict(small)
    columns = ("--text", "review", "--label", "stars")
    given = ("--average", 0.5, "--precision", "bfloat16")
    command = ("train", "sentiment", reviews, "-o", tmp_path / "other", *columns, *SMALL, *given)
    assert grukit(*command).code == 0
    assert training(tmp_path / "other") == asdict(replace(small, average=0.5, precision="bfloat16"))
