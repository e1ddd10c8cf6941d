"""The short form of the speed of several models, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import ensemble_speed  # noqa: E402


@pytest.mark.parametrize("kind", ensemble_speed.KINDS)
def test_every_time_is_measured_and_the_outputs_agree(kind, monkeypatch):
    monkeypatch.setattr(ensemble_speed, "WARM_SECONDS", 0.0)
    row = ensemble_speed.compare(kind, (3, 5, 2, 4), rounds=1)
    assert row["difference"] <= 1e-6
    for use in ("training", "inference"):
        assert row[use].keys() == {"loop", "one call"}
        assert all(time > 0 for time in row[use].values())


def test_the_page_holds_the_saved_rows():
    results = json.loads(ensemble_speed.RESULTS.read_text())
    assert ensemble_speed.PAGE.read_text() == ensemble_speed.page(results)
    other = copy.deepcopy(results)
    other["rows"][0]["training"]["loop"] *= 1.1
    assert ensemble_speed.PAGE.read_text() != ensemble_speed.page(other)
