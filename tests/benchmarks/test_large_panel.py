"""The short form of the benchmark of large panels, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import large_panel  # noqa: E402


def test_a_small_file_is_read_and_trained_on():
    row = large_panel.run("small")
    assert (row["rows"], row["series"]) == (20_000, 20)
    assert row["trained_windows"] == row["windows"] == 20 * (850 - 21 - 14 + 1)
    assert row["scored_windows"] == 20 * (150 - 14 + 1)
    assert 100 < row["peak_mebibytes"] < 2000


def test_the_page_holds_the_saved_rows():
    rows = json.loads(large_panel.RESULTS.read_text())
    assert large_panel.PAGE.read_text() == large_panel.page(rows)
    other = copy.deepcopy(rows)
    other["default"]["peak_mebibytes"] += 100
    assert large_panel.PAGE.read_text() != large_panel.page(other)


def test_what_is_saved_keeps_the_promise():
    """Ten million rows of 10,000 series, an epoch in 20 minutes, in a few times their size."""
    rows = json.loads(large_panel.RESULTS.read_text())
    assert rows["default"]["rows"] == 10_000_000
    assert rows["every window"]["trained_windows"] == rows["default"]["windows"] == 8_160_000
    assert rows["default"]["seconds"] < 1200
    assert rows["every window"]["processor_seconds"] < 1200
    assert max(row["peak_mebibytes"] for row in rows.values()) < 2048
