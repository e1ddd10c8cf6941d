"""grukit inspect --gates, of models of every kind of input."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from grukit import FitConfig, TextGenerator, Translator

ONCE = FitConfig(epochs=1, batch_size=8)


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    path = tmp_path_factory.mktemp("writer") / "model"
    TextGenerator(hidden_size=6, num_layers=2, training=ONCE).fit("a (b c) d. " * 40).save(path)
    return path


def test_the_gates_of_a_text_are_told_written_and_drawn(grukit, writer, tmp_path):
    outcome = grukit("inspect", writer, "--gates", "--text", "a (b c)")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("recurrent, layer 1: 6 units over 8 characters\n")
    rows, picture, page = (tmp_path / f"gates.{kind}" for kind in ("csv", "png", "html"))
    outcome = grukit(
        *("inspect", writer, "--gates", "--text", "a (b c)", "--json"),
        *("-o", rows, "--plot", picture, "--page", page),
    )
    report = json.loads(outcome.out)
    assert report["steps"] == {"recurrent, layer 1": 8, "recurrent, layer 2": 8}
    table = pd.read_csv(rows)
    assert len(table) == 2 * 8 * 6
    assert {"reset", "update", "memory", "hidden"} <= set(table.columns)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert '"sums":{"reset"' in page.read_text(encoding="utf-8")


def test_a_file_is_read_from_its_beginning(grukit, writer, tmp_path):
    (tmp_path / "long.txt").write_text("a (b c) d. " * 600)
    outcome = grukit("inspect", writer, tmp_path / "long.txt", "--gates")
    assert "the first 5,000 characters are read" in outcome.err
    assert "over 5,001 characters" in outcome.out


def test_a_table_and_a_recording_are_read(grukit, model, hours, recognizer, wavs, tmp_path):
    for arguments in ((model,), (model, hours)):
        outcome = grukit("inspect", *arguments, "--gates", "--json")
        assert json.loads(outcome.out)["steps"] == {"encoder": 24}, outcome.err
    outcome = grukit("inspect", recognizer, wavs[0], "--gates", "--page", tmp_path / "page.html")
    assert outcome.code == 0, outcome.err
    assert "backwards" in outcome.out
    assert '"picture":[[' in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_is_known_of_the_future_is_given(grukit, hours, tiny, tmp_path):
    table = pd.read_csv(hours)
    table["promo"] = table.index % 5 == 0
    past, future, model = (tmp_path / name for name in ("past.csv", "future.csv", "model"))
    table[:-6].to_csv(past, index=False)
    table[-6:].drop(columns="y").to_csv(future, index=False)
    told = grukit("train", "forecast", past, "-o", model, *tiny, "--future-covariate", "promo")
    assert told.code == 0, told.err
    told = grukit("inspect", model, "--gates", "--future", future)
    assert told.out.startswith("encoder: 4 units over 24 rows"), told.err
    assert "'promo' must be given" in grukit("inspect", model, "--gates").err


def test_a_translator_has_nothing_but_gates(grukit, tmp_path):
    model = Translator(tokenizer="char", hidden_size=8, embedding_size=4, training=ONCE)
    model.fit(["ab", "ba"] * 5, ["ba", "ab"] * 5).save(tmp_path / "model")
    outcome = grukit("inspect", tmp_path / "model", "--gates", "--text", "ab")
    assert outcome.out.startswith("0.encoder: 4 units over 4 characters\n"), outcome.err
    outcome = grukit("inspect", tmp_path / "model", "--text", "ab")
    assert outcome.code == 2
    assert "of a model of task 'translation' add --gates" in outcome.err


def test_what_makes_no_sense_is_refused(grukit, writer, model, tmp_path):
    for senseless in (
        (writer, "--gates"),
        (writer, "--gates", "--text", "a", "--leaks"),
        (writer, "--text", "a", "--page", tmp_path / "page.html"),
        (writer, "--gates", "--text", "a", "--page", tmp_path / "page.png"),
        (model, "--gates", "--text", "a"),
        (writer, "--gates", "--text", "a", "--future", model),
    ):
        assert grukit("inspect", *senseless).code == 2, senseless
