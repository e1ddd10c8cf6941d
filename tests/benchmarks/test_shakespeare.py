"""The short form of the benchmark of Shakespeare, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import shakespeare  # noqa: E402

LINES = "".join(f"{number}. To be, or not to be, that is the question.\n" for number in range(400))


def test_a_small_model_beats_single_characters(tmp_path):
    row = shakespeare.run(shakespeare.SHORT, LINES, tmp_path, written=100)
    model, unigram, five = row["nats"].values()
    assert model < unigram / 2
    assert five < unigram / 2
    assert row["test_characters"] == len(LINES) - int(0.95 * len(LINES))
    assert list(row["writing_speed"]) == [
        "10",
        "100",
        "the first 10 of these",
        "the last 10 of these",
    ]
    assert min(row["training_speed"], *row["writing_speed"].values()) > 0
    assert "ROMEO:" in shakespeare.page({"quick": row})


def test_no_character_is_in_two_parts():
    part = shakespeare.parts(LINES)
    assert part["learned"] + part["chosen on"] + part["test"] == LINES
    assert part["chosen on"] + part["test"] == part["chosen on and test"]


def test_the_page_holds_the_saved_rows():
    if not shakespeare.RESULTS.exists():
        pytest.skip("nothing is measured yet")
    rows = json.loads(shakespeare.RESULTS.read_text())
    assert shakespeare.PAGE.read_text() == shakespeare.page(rows)
    other = copy.deepcopy(rows)
    next(iter(other.values()))["whole"] += 0.001
    assert shakespeare.PAGE.read_text() != shakespeare.page(other)
