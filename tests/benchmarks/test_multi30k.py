"""The short form of the benchmark of translation, and the page made from its saved row."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import multi30k  # noqa: E402


def test_a_small_model_trains_and_is_scored(data_folder, tmp_path):
    row = multi30k.run(tmp_path, short=True)
    greedy = row["scores"]["greedy"]
    assert row["validation_losses"][-1] < 4.95 < row["validation_losses"][0]
    assert row["scores"]["beam 5"]["chrf"] > 3
    assert len(row["shown"]) == multi30k.SHOWN
    assert f"| greedy | {greedy['bleu_lowercase']:.1f} |" in multi30k.page(row)


def test_the_page_holds_the_saved_row():
    if not multi30k.RESULTS.exists():
        pytest.skip("the benchmark was not run yet")
    row = json.loads(multi30k.RESULTS.read_text())
    assert multi30k.PAGE.read_text() == multi30k.page(row)
    other = copy.deepcopy(row)
    other["scores"]["greedy"]["bleu"] += 1
    assert multi30k.PAGE.read_text() != multi30k.page(other)
