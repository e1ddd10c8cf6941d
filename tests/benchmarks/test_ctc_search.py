"""The short form of the benchmark of the search, and the page made from its saved row."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import ctc_search  # noqa: E402


@pytest.mark.needs_core
def test_the_core_finds_what_the_reference_finds(data_folder):
    row = ctc_search.run(short=True)
    assert row["rows"].keys() == ctc_search.SEARCHES.keys()
    for own in row["compared"].values():
        assert own["same"]
        assert own["apart"] < 1e-5
    errors = {name: own["word_errors"] for name, own in row["rows"].items()}
    assert errors["beam 16, words"] < errors["greedy"]
    assert "| beam 16, words |" in ctc_search.page(row)


def test_the_page_holds_the_saved_row():
    if not ctc_search.RESULTS.exists():
        pytest.skip("the benchmark was not run yet")
    row = json.loads(ctc_search.RESULTS.read_text())
    assert ctc_search.PAGE.read_text() == ctc_search.page(row)
    other = copy.deepcopy(row)
    other["rows"]["greedy"]["speed"] *= 2
    assert ctc_search.PAGE.read_text() != ctc_search.page(other)
