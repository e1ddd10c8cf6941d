"""The short form of the speed of training on text, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import text_speed  # noqa: E402


@pytest.mark.parametrize("name", text_speed.MODELS)
def test_both_sides_learn_the_same(name, monkeypatch):
    monkeypatch.setattr(text_speed, "WARM_SECONDS", 0.0)
    row = text_speed.compare(name, rounds=1, short=True)
    assert row["difference"] < 1e-4
    assert min(row["ratio"], *row["tokens_per_second"].values()) > 0


@pytest.mark.parametrize("name", text_speed.MODELS)
def test_another_model_on_one_side_is_seen(name, monkeypatch):
    def other(self, x, state=None, resets=None, lengths=None):
        return whole(self, 1.1 * x, state, resets, lengths)

    whole = text_speed.TorchGRU.forward
    monkeypatch.setattr(text_speed.TorchGRU, "forward", other)
    monkeypatch.setattr(text_speed, "WARM_SECONDS", 0.0)
    assert text_speed.compare(name, rounds=1, short=True)["difference"] > 1e-4


def test_the_page_holds_the_saved_rows():
    results = json.loads(text_speed.RESULTS.read_text())
    assert text_speed.PAGE.read_text() == text_speed.page(results)
    other = copy.deepcopy(results)
    next(iter(other["rows"].values()))["ratio"] += 0.1
    assert text_speed.PAGE.read_text() != text_speed.page(other)
