"""Translators on the command line."""

from __future__ import annotations

import io
import json
import sys

import pytest

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
