"""Judges of texts on the command line."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from grukit.data.synthetic_texts import planted_reviews

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


def test_evaluate_stands_beside_n_grams(grukit, judge, reviews):
    outcome = grukit("evaluate", judge, reviews)
    assert outcome.code == 0, outcome.err
    assert "most frequent class" in outcome.out
    assert "200 texts of 2 classes" in outcome.err
    scores = json.loads(grukit("evaluate", judge, reviews, "--json").out)
    assert scores["texts"] == 200
    assert grukit("evaluate", judge, reviews, "--labels", "x").code == 2


def test_a_column_that_is_not_there(grukit, reviews, tmp_path):
    outcome = grukit("train", "sentiment", reviews, "-o", tmp_path / "judge", *SMALL)
    assert outcome.code == 1
    assert "row 1 must have the column 'text'" in outcome.err
    assert not (tmp_path / "judge").exists()
