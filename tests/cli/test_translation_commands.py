"""Translators on the command line."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict, replace

import pytest

from grukit.tasks.translation import TRAINING

SMALL = ("--tokenizer", "char", "--hidden-size", "16", "--epochs", "2", "--batch-size", "16")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translation")
    (folder / "de").write_text("eins zwei\ndrei vier\n" * 60, encoding="utf-8")
    (folder / "en").write_text("one two\nthree four\n" * 60, encoding="utf-8")
    return folder / "de", folder / "en"


@pytest.fixture(scope="module")
def translator(grukit, pairs):
    path = pairs[0].with_name("translator")
    outcome = grukit("train", "translate", *pairs, "-o", path, *SMALL)
    assert outcome.code == 0, outcome.err
    assert "chrF" in outcome.out
    assert "copy" in outcome.out
    assert "trained for 2 epochs" in outcome.err
    assert not path.with_name("translator.training").exists()
    return path


def test_lines_are_translated_as_they_come(grukit, translator, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"eins zwei\n\ndrei\r\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    outcome = grukit("predict", translator, "--json", "--beam", 3)
    assert outcome.code == 0, outcome.err
    first, empty, last = map(json.loads, outcome.out.splitlines())
    assert (first["source"], empty["text"], last["source"]) == ("eins zwei", "", "drei")
    assert len(first["candidates"]) == 3
    Stdin.buffer = io.BytesIO(b"eins zwei\n\xff\n")
    outcome = grukit("predict", translator)
    assert outcome.code == 1
    assert "line 2 of stdin must be UTF-8, got 0xff" in outcome.err


def test_a_glossary_is_kept_to(grukit, translator, tmp_path):
    (tmp_path / "words.tsv").write_text("source\ttarget\nzwei\tTWO\n")
    (tmp_path / "lines").write_text("eins zwei\n")
    outcome = grukit(
        "predict", translator, tmp_path / "lines", "--glossary", tmp_path / "words.tsv"
    )
    assert outcome.code == 0, outcome.err
    assert "TWO" in outcome.out


def test_a_prefix_comes_first_and_a_file_is_translated_as_its_lines(grukit, translator, tmp_path):
    (tmp_path / "lines").write_text("eins zwei\n\ndrei\n" * 300)
    outcome = grukit("predict", translator, tmp_path / "lines", "--prefix", "three", "--beam", 1)
    assert outcome.code == 0, outcome.err
    first, empty, last = (set(outcome.out.split("\n")[at:900:3]) for at in range(3))
    assert (len(first), empty, len(last)) == (1, {""}, 1)
    assert all(text.startswith("three") for text in first | last)


def test_one_text_is_drawn(grukit, translator, tmp_path):
    (tmp_path / "one").write_text("eins zwei\n")
    (tmp_path / "two").write_text("eins\nzwei\n")
    (tmp_path / "none").write_text("\n")
    outcome = grukit("predict", translator, tmp_path / "one", "--plot", tmp_path / "look.svg")
    assert outcome.code == 0, outcome.err
    assert "look.svg" in outcome.err
    assert (tmp_path / "look.svg").stat().st_size > 5000
    outcome = grukit("predict", translator, tmp_path / "two", "--plot", tmp_path / "two.svg")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--plot draws one translation, got 2 texts" in outcome.err
    outcome = grukit("predict", translator, tmp_path / "none", "--plot", tmp_path / "none.svg")
    assert outcome.code == 2
    assert "translation must be of a text that says something, got ''" in outcome.err
    assert list(tmp_path.glob("*.svg")) == [tmp_path / "look.svg"]


def test_evaluate_takes_files_of_lines_or_a_table(grukit, translator, pairs, tmp_path):
    outcome = grukit("evaluate", translator, pairs[0], "--translations", pairs[1], "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["sentences"] == 120
    assert "tok:13a" in found["signatures"]["bleu"]
    (tmp_path / "pairs.csv").write_text("source,target\n" + "eins zwei,one two\n" * 3)
    outcome = grukit("evaluate", translator, tmp_path / "pairs.csv", "--json")
    assert json.loads(outcome.out)["sentences"] == 3
    assert grukit("evaluate", translator, pairs[0], "--goes-on").code == 2
    assert grukit("predict", translator, pairs[0], "--stream").code == 2


def test_another_number_of_lines_is_told(grukit, pairs, tmp_path):
    (tmp_path / "en").write_text("one two\n")
    outcome = grukit("train", "translate", pairs[0], tmp_path / "en", "-o", tmp_path / "m")
    assert outcome.code == 1
    assert "targets must be as many as sources (120), got 1" in outcome.err
    assert not (tmp_path / "m").exists()


def test_training_is_as_in_python_but_for_what_is_given(grukit, translator, pairs, tmp_path):
    def training(path):
        return json.loads((path / "config.json").read_text())["settings"]["training"]

    assert training(translator) == asdict(replace(TRAINING, epochs=2, batch_size=16))
    given = ("--average", 0.5, "--precision", "bfloat16")
    assert grukit("train", "translate", *pairs, "-o", tmp_path / "other", *SMALL, *given).code == 0
    other = replace(TRAINING, epochs=2, batch_size=16, average=0.5, precision="bfloat16")
    assert training(tmp_path / "other") == asdict(other)


def test_lines_are_scored_beside_their_translations(grukit, translator, pairs):
    assert grukit("evaluate", translator, pairs[0], "--translations", pairs[1]).code == 0
    outcome = grukit("evaluate", translator, pairs[0])
    assert outcome.code == 2
    assert "is no table: name its translations too" in outcome.err
