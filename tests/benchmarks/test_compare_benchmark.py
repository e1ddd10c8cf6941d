"""The shortest form of the comparison of cells, and the pages made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import compare  # noqa: E402

from grukit.results.comparison import Comparison  # noqa: E402
from grukit.results.verdict import differ  # noqa: E402


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    saved = []
    folder = tmp_path_factory.mktemp("runs")
    cells = ("rnn", "gru")
    result = compare.measured(compare.shortest(), folder, 1, saved.append, cells)
    assert saved[-1] == result
    return result


def test_the_shortest_form_runs_every_generated_problem(found):
    assert set(found) == set(compare.shortest())
    assert len(found) == 6


def test_a_page_has_the_figures_the_verdicts_and_what_was_published(found):
    own = {"adding": compare.full()["adding"]}
    results = {
        "experiments": {"adding": found["adding"]},
        "date": "2026-01-01",
        "machine": "a machine",
        "python": "3",
        "torch": "2",
        "grukit": "0",
    }
    words = compare.page(results, own, "python benchmarks/compare.py --full")
    assert "| published |" in words
    assert "| 5.3e-05 |" in words
    assert found["adding"]["comparison"]["verdicts"]["adding"] in words


def test_every_experiment_of_the_literature_says_its_source():
    every = compare.full()
    for own in every.values():
        assert bool(own.published) == bool(own.source)
    assert every["adding"].setup.sizes["length"] == 600
    assert every["adding"].seeds == 5
    assert every["copy_memory"].setup.sizes["delay"] == 1000


@pytest.mark.parametrize("form", ["short", "full"])
def test_the_page_holds_the_saved_rows(form):
    make, command, name, file = compare.FORMS[form]
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    if not path.exists():
        pytest.skip("the benchmark was not run yet")
    results = json.loads(path.read_text())
    page = (compare.PAGES / file).read_text()
    assert page == compare.page(results, make(), command)
    other = copy.deepcopy(results)
    first = next(iter(other["experiments"].values()))
    first["comparison"]["runs"][0]["parameters"] += 1
    for run in first["comparison"]["runs"]:
        run["score"] = 0.123
    assert page != compare.page(other, make(), command)


def saved_rows(form):
    """By experiment and cell."""
    content = json.loads((ROOT / "benchmarks" / "results" / f"{form}.json").read_text())
    rows = {}
    for name, own in content["experiments"].items():
        found = Comparison.from_dict(own["comparison"])
        rows[name] = {row.cell: row for row in found.rows(found.questions[0].name)}
    return rows


def test_the_large_tables_tell_what_the_article_says():
    """Of docs/explanation/understanding-grus.md, "As good as an LSTM?"."""
    rows = saved_rows("compare")
    assert len(rows) == 10
    adding, counting, chorales = rows["adding"], rows["anbn"], rows["jsb_chorales_300k"]
    assert len(adding["gru"].scores) == 5
    assert all(score < 1e-3 for score in adding["gru"].scores)
    assert all(score > 1 / 6 for cell in ("lstm", "rnn") for score in adding[cell].scores)
    assert len(counting["lstm"].scores) == 10
    assert [round(counting[cell].score) for cell in ("lstm", "gru")] == [173, 60]
    assert differ(counting["lstm"], counting["gru"])
    scores = [round(chorales[cell].score, 2) for cell in ("gru", "lstm", "rnn")]
    assert scores == [8.27, 8.39, 8.67]
    assert round(rows["mnist1d"]["rnn"].score, 2) == 0.89
    copying = rows["copy_memory"]
    assert [round(copying[cell].score, 3) for cell in ("gru", "mingru")] == [0.020, 0.016]
    order = rows["temporal_order"]
    assert [cell for cell, row in order.items() if max(row.scores) > 0.3] == ["gru"]
    assert sum(score > 0.99 for score in order["gru"].scores) == 1


def test_the_saved_rows_tell_what_the_article_says():
    """Of the same part."""
    rows = saved_rows("compare_short")
    apart = {name for name, own in rows.items() if differ(own["gru"], own["lstm"])}
    assert len(rows) == 9
    assert apart == {"anbn", "jsb_chorales", "copy_memory"}
    assert rows["anbn"]["lstm"].score > 2 * 30
    assert 30 < rows["anbn"]["gru"].score < 40
    for name in ("jsb_chorales", "copy_memory"):
        assert rows[name]["gru"].score < rows[name]["lstm"].score
    for sooner, later, name in (
        ("gru", "lstm", "adding"),
        ("gru", "lstm", "mnist1d"),
        ("lstm", "gru", "anbn"),
    ):
        assert rows[name][sooner].seconds_to_goal < rows[name][later].seconds_to_goal
    assert rows["adding"]["rnn"].score > 1 / 6
    assert rows["mnist1d"]["rnn"].score < 0.2
    for name in ("jsb_chorales", "piano_midi", "copy_memory"):
        assert rows[name]["mingru"].score == min(row.score for row in rows[name].values())
    gated = ("lstm", "gru", "gru_before", "mingru")
    for name in ("parity", "mnist1d", "image_rows", "anbn"):
        assert rows[name]["mingru"].score == min(rows[name][cell].score for cell in gated)
    assert rows["parity"]["mingru"].score < 0.7
    for cell in ("lstm", "gru", "gru_before"):
        learned = [score > 0.99 for score in rows["temporal_order"][cell].scores]
        assert learned == [True, False, False]
    assert not any(row.reached for row in rows["copy_memory"].values())
