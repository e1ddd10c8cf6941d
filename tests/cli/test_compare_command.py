from __future__ import annotations

import json

QUICK = ("anbn", "--cells", "rnn, gru", "--seeds", "1", "--epochs", "1", "--size", "60")


def test_compare_tells_a_table_and_a_verdict_and_goes_on(grukit, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    written = ("--plot", tmp_path / "curves.png", "--report", tmp_path / "report.html")
    command = ("compare", *QUICK, "-o", tmp_path / "runs", *written)
    first = grukit(*command)
    assert first.code == 0, first.err
    assert "a^n b^n, learned up to n = 30 (longest, more is better; always b: 0)" in first.out
    assert "With 1 seed there is no interval" in first.out or "next to nothing" in first.out
    assert "4 of 4: anbn-gru-" in first.err
    assert (tmp_path / "curves.png").exists()
    assert (tmp_path / "report.html").exists()
    again = grukit(*command)
    assert again.out == first.out
    assert "of 4" not in again.err
    assert max(map(len, first.out.splitlines())) <= 80
    assert first.out.count("\ncell  ") == 2
    result = grukit(*command, "--json")
    assert json.loads(result.out)["questions"][0]["name"] == "anbn"
    rows = [run["parameters"] for run in json.loads(result.out)["runs"]]
    assert all(40 < count < 80 for count in rows)


def test_at_equal_width_the_size_is_in_units(grukit, tmp_path):
    found = grukit("compare", *QUICK[:-1], "4", "--by", "width", "-o", tmp_path / "a", "--json")
    assert found.code == 0, found.err
    assert {run["hidden_size"] for run in json.loads(found.out)["runs"]} == {4}


def test_wrong_use_is_told_before_any_work(grukit, tmp_path):
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "file").touch()
    for arguments, message in (
        (("ading",), "a problem must be one of adding"),
        (("anbn", "--cells", "gro"), "cells must be a list or tuple"),
        (("anbn", "--plot", tmp_path / "a.gif"), "must end in .png"),
        (("anbn", "--report", tmp_path / "a.png"), "must end in .html"),
    ):
        outcome = grukit("compare", *arguments, "-o", tmp_path / "runs")
        assert outcome.code == 2
        assert message in outcome.err
    folder = grukit(
        "compare", *QUICK, "-o", tmp_path / "runs", "--report", tmp_path / "folder.html"
    )
    assert (folder.code, "must be a file, got a folder" in folder.err) == (1, True)
    assert not (tmp_path / "runs").exists()
    file = grukit("compare", *QUICK, "-o", tmp_path / "file")
    assert (file.code, "the output must be a folder, got '" in file.err) == (1, True)
    assert grukit("compare", "anbn", "-o", tmp_path / "no" / "runs").code == 1
