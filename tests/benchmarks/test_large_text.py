"""The short form of the benchmark of a large text, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import large_text  # noqa: E402


def test_a_killed_training_goes_on_bit_for_bit():
    row = large_text.run("char", 400_000)
    assert row["token_bytes"] == 400_000 + 2
    assert row["resumed"]
    assert row["same_weights"]
    assert 100 < row["peak_mebibytes"] < 2000
    assert "| char | 400,000 | 400,002 |" in large_text.page({"char": row})


def test_the_page_holds_the_saved_rows():
    if not large_text.PAGE.exists():
        pytest.skip("not all is measured yet")
    rows = json.loads(large_text.RESULTS.read_text())
    assert large_text.PAGE.read_text() == large_text.page(rows)
    assert all(row["same_weights"] and row["resumed"] for row in rows.values())
    assert max(row["peak_mebibytes"] for row in rows.values()) < 4096
    other = copy.deepcopy(rows)
    other["char"]["peak_mebibytes"] += 100
    assert large_text.PAGE.read_text() != large_text.page(other)
