"""The short form of the benchmark of sentiment, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import sentiment  # noqa: E402


def test_a_small_model_beats_the_most_frequent_class(tmp_path):
    row = sentiment.short(tmp_path)
    scores = row["scores"]
    accuracy = scores["grukit GRU"]["accuracy"]
    assert accuracy > scores["most frequent class"]["accuracy"] + 0.1
    assert row["test_texts"] == 100
    other = copy.deepcopy(row)
    other["scores"]["grukit GRU"]["accuracy"] -= 0.1
    assert sentiment.means([row, other])["grukit GRU"]["accuracy"] == pytest.approx(accuracy - 0.05)
    assert "means over 2 folds" in sentiment.page({"mr 0": row, "mr 1": other})


def test_folds_are_of_equal_size():
    assert np.bincount(sentiment.folds(10_662)).tolist() == [1067] * 2 + [1066] * 8


def test_the_sentences_of_mr(data_folder):
    texts, labels = sentiment.mr()
    assert (len(texts), sum(labels)) == (10_662, 5_331)


def test_the_page_holds_the_saved_rows():
    rows = json.loads(sentiment.RESULTS.read_text())
    assert sentiment.PAGE.read_text() == sentiment.page(rows)
    other = copy.deepcopy(rows)
    next(iter(other.values()))["scores"]["grukit GRU"]["accuracy"] += 0.01
    assert sentiment.PAGE.read_text() != sentiment.page(other)
