"""Writers of text on the command line."""

from __future__ import annotations

import io
import json
import sys

import pytest

SMALL = ("--hidden-size", "16", "--epochs", "2", "--batch-size", "4", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "cats.txt"
    path.write_text("the cat sat on the mat.\n" * 60, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def writer(grukit, text):
    path = text.with_name("writer")
    outcome = grukit("train", "generate", text, "-o", path, *SMALL)
    assert outcome.code == 0, outcome.err
    assert "5-gram" in outcome.out
    assert "trained for 2 epochs" in outcome.err
    return path


def test_a_prompt_is_gone_on_from(grukit, writer):
    command = ("predict", writer, "--prompt", "the cat", "--length", 20, "--seed", 3)
    outcome = grukit(*command)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("the cat")
    assert grukit(*command, "--stream").out == outcome.out
    rows = grukit(*command, "--samples", 2, "--json").out.splitlines()
    first, second = map(json.loads, rows)
    other = grukit(*command[:-1], 4, "--json").out
    assert json.loads(other) == second
    assert first["prompt"] + first["text"] + "\n" == outcome.out
    assert first["text"] != second["text"]


@pytest.mark.parametrize(
    "rule",
    [
        ("--top-k", 1),
        ("--top-p", 0.01),
        ("--min-p", 1),
        ("--typical", 0.01),
        ("--repetition-penalty", 50),
        ("--presence-penalty", 50),
        ("--no-repeat-ngram", 1),
    ],
)
def test_each_rule_of_sampling_changes_the_text(grukit, writer, rule):
    command = ("predict", writer, "--prompt", "the", "--length", 8, "--temperature", 1.5)
    outcome = grukit(*command, *rule)
    assert outcome.code == 0, outcome.err
    assert outcome.out != grukit(*command).out
    assert grukit(*command, rule[0], -1).code == (0 if rule[0] == "--presence-penalty" else 2)


def test_the_likeliest_texts(grukit, writer):
    command = ("predict", writer, "--prompt", "the cat", "--length", 8, "--beam", 3)
    rows = [json.loads(row) for row in grukit(*command, "--samples", 3, "--json").out.splitlines()]
    assert len({row["text"] for row in rows}) == 3
    assert [row["nats"] for row in rows] == sorted(row["nats"] for row in rows)
    assert grukit(*command).out == f"the cat{rows[0]['text']}\n"
    assert "no more than 3" in grukit(*command, "--samples", 4).err
    for senseless in (("--temperature", 0.5), ("--stop", "a"), ("--seed", 1), ("--stream",)):
        outcome = grukit(*command, *senseless)
        assert outcome.code == 2
        assert f"not {senseless[0]}" in outcome.err


def test_prompts_come_line_by_line(grukit, writer, monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"the\nmat\r\n")

    monkeypatch.setattr(sys, "stdin", Stdin)
    outcome = grukit("predict", writer, "--length", 5, "--json")
    assert [json.loads(line)["prompt"] for line in outcome.out.splitlines()] == ["the", "mat"]
    Stdin.buffer = io.BytesIO(b"the\n\xff\n")
    outcome = grukit("predict", writer, "--length", 5)
    assert outcome.code == 1
    assert "line 2 of stdin must be UTF-8, got 0xff" in outcome.err


def test_texts_in_a_column(grukit, tmp_path):
    table = tmp_path / "cats.csv"
    table.write_text("n,said\n" + "1,the cat sat\n2,on the mat\n" * 40, encoding="utf-8")
    command = ("train", "generate", table, "-o", tmp_path / "writer", *SMALL)
    assert grukit(*command, "--text", "said").code == 0
    assert grukit("evaluate", tmp_path / "writer", table).err.startswith("840 characters")
    outcome = grukit(*command, "--overwrite", "--text", "say")
    assert outcome.code == 1
    assert "must have the column 'say'" in outcome.err


def test_epochs_of_some_chunks(grukit, text, tmp_path):
    command = ("train", "generate", text, "-o", tmp_path / "writer", *SMALL)
    short = ("--length", 16, "--chunks-per-epoch", 3, "--average", 0.5, "--precision", "bfloat16")
    outcome = grukit(*command, *short, "--json")
    assert outcome.code == 0, outcome.err
    first, second = json.loads(outcome.out)["validation_losses"]
    assert first > second
    settings = json.loads((tmp_path / "writer" / "config.json").read_text())["settings"]
    assert settings["training"]["items_per_epoch"] == 3
    assert settings["training"]["average"] == 0.5


def test_inspect_tells_what_was_not_expected(grukit, writer, text, tmp_path):
    outcome = grukit("inspect", writer, "--text", "the cat\nsat on Xhe mat.")
    assert outcome.code == 0, outcome.err
    header, first = [line.split() for line in outcome.out.splitlines()[:2]]
    assert header == ["after", "token", "nats"]
    assert first[-2] == '"X"'
    assert outcome.out.count("\n") == 21
    picture, rows = tmp_path / "why.html", tmp_path / "why.csv"
    outcome = grukit("inspect", writer, text, "--plot", picture, "-o", rows, "--json")
    assert "".join(json.loads(outcome.out)["tokens"]) == text.read_text(encoding="utf-8")
    assert "nats" in picture.read_text(encoding="utf-8")
    assert rows.read_text(encoding="utf-8").startswith("token,nats\n")
    for senseless in ((), (text, "--text", "a"), ("--text", "a", "--label", "b")):
        assert grukit("inspect", writer, *senseless).code == 2


def test_evaluate_stands_beside_single_tokens(grukit, writer, text):
    outcome = grukit("evaluate", writer, text)
    assert outcome.code == 0, outcome.err
    assert "1-gram" in outcome.out
    assert "1,440 characters" in outcome.err
    assert grukit("evaluate", writer, text, "--stride", 2).code == 2


@pytest.mark.parametrize(
    "options", [("--paths", 3), ("--goes-on",), ("--stream", "--json"), ("--top-p", "2")]
)
def test_options_that_make_no_sense(grukit, writer, options):
    assert grukit("predict", writer, "--prompt", "a", *options).code == 2
