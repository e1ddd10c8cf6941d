"""The short form of the benchmark of gradient flow, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import math
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import gradient_flow as benchmark  # noqa: E402


@pytest.mark.parametrize("name", ["rnn", "gru", "gru chrono"])
def test_what_keeps_a_gradient_and_what_does_not(name):
    row = benchmark.run(name, **benchmark.SHORT)
    wanted = "steady" if "chrono" in name else "vanishing"
    assert row["before"]["verdict"] == wanted
    if name != "gru":  # its gates learn to keep it
        assert row["after"]["verdict"] == wanted


def test_the_page_holds_the_saved_rows():
    rows = json.loads(benchmark.RESULTS.read_text())
    assert benchmark.PAGE.read_text() == benchmark.page(rows)
    other = copy.deepcopy(rows)
    other["gru"]["after"]["rate"] += 0.01
    assert benchmark.PAGE.read_text() != benchmark.page(other)


def test_the_saved_rows_tell_what_the_page_says():
    """Of docs/benchmarks/gradient-flow.md and docs/explanation/understanding-grus.md."""
    rows = json.loads(benchmark.RESULTS.read_text())
    for name in ("rnn", "lstm", "gru"):
        new = rows[name]["before"]
        assert new["verdict"] == "vanishing"
        assert new["rate"] < 0.7
        assert new["r_squared"] > 0.99
        assert 10 < new["reach"] < 15
    for name in ("rnn", "lstm"):
        assert rows[name]["after"]["verdict"] == "vanishing"
        assert rows[name]["loss"] > 0.16
    assert rows["rnn"]["after"]["rate"] < rows["rnn"]["before"]["rate"]
    for name in ("gru", "lstm chrono", "gru chrono"):
        after = rows[name]["after"]
        assert after["verdict"] == "steady"
        assert after["reach"] == benchmark.LONG["steps"]
        assert after["log_norm"][-1] > math.log(0.05)
        assert rows[name]["loss"] < 0.002
    for name in ("lstm chrono", "gru chrono"):
        assert rows[name]["before"]["verdict"] == "steady"
