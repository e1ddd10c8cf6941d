"""The short form of the speed comparison, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import layer_speed  # noqa: E402


@pytest.mark.parametrize("kind", layer_speed.KINDS)
def test_every_time_is_measured(kind, monkeypatch):
    monkeypatch.setattr(layer_speed, "WARM_SECONDS", 0.0)
    row = layer_speed.compare(kind, (5, 2, 3), rounds=1)
    for use in ("training", "inference"):
        assert row[use].keys() == {"grukit", "torch", "torch again"}
        assert all(time > 0 for time in row[use].values())


def test_the_page_holds_the_saved_rows():
    results = json.loads(layer_speed.RESULTS.read_text())
    assert layer_speed.PAGE.read_text() == layer_speed.page(results)
    other = copy.deepcopy(results)
    other["rows"][0]["training"]["grukit"] *= 1.1
    assert layer_speed.PAGE.read_text() != layer_speed.page(other)
