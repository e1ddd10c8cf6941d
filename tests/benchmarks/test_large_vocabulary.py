"""The short form of the benchmark of large vocabularies, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import large_vocabulary  # noqa: E402


@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_short_runs(softmax, tmp_path, monkeypatch):
    monkeypatch.setattr(large_vocabulary, "EPOCHS", 1)
    row = large_vocabulary.run(300, softmax, tmp_path / "work", **large_vocabulary.SHORT)
    assert (row["vocabulary"], row["softmax"]) == (300, softmax)
    assert 0 < row["nats_per_character"] < 6
    assert row["seconds_an_epoch"] > 0
    assert f"| 300 | {softmax} | 0.0 M |" in large_vocabulary.page({"one": row})


def test_the_page_holds_the_saved_rows():
    if not large_vocabulary.PAGE.exists():
        pytest.skip("not all is measured yet")
    rows = json.loads(large_vocabulary.RESULTS.read_text())
    assert list(rows) == list(large_vocabulary.RUNS)
    assert large_vocabulary.PAGE.read_text() == large_vocabulary.page(rows)
    other = copy.deepcopy(rows)
    other["8,000 full"]["nats_per_character"] += 0.1
    assert large_vocabulary.PAGE.read_text() != large_vocabulary.page(other)
