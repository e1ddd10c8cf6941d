"""The short form of the benchmark of spoken digits, and the page made from its saved row."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import spoken_digits  # noqa: E402


def test_a_small_network_learns_the_digits_of_one_voice(data_folder):
    found = spoken_digits.short()
    assert found["accuracy"] > 0.85
    assert found["baselines"]["most frequent word"] == 0.1


def test_no_run_learns_what_it_is_judged_by(data_folder):
    every = spoken_digits.runs(spoken_digits.rows_of())
    assert len(every) == 14
    for name, (train, test, _) in every.items():
        assert not set(train["audio"]) & set(test["audio"])
        if name.startswith(("without", "adapted")):
            assert (len(train), len(test)) == (2500, 500)
            assert not set(train["speaker"]) & set(test["speaker"])
    train, test, _ = every["unknown"]
    assert set(test["text"]) - set(train["text"]) == set(spoken_digits.UNKNOWN)


def test_known_and_unknown_are_counted_apart():
    test = pd.DataFrame({"text": ["one", "two", "four", "nine"]})
    found = spoken_digits.thresholds(["one", "one", "one", "two"], [0.95, 0.9, 0.4, 0.995], test)
    assert [tuple(row.values()) for row in found] == [
        (0.5, 0.5, 0.5),
        (0.9, 0.5, 0.5),
        (0.99, 0.0, 0.5),
    ]
    assert spoken_digits.confused(["a", "b", "b"], ["a", "c", "c"]) == [["c", "b", 2]]


def test_the_page_holds_the_saved_row():
    if not spoken_digits.RESULTS.exists():
        pytest.skip("the benchmark was not run yet")
    row = json.loads(spoken_digits.RESULTS.read_text())
    assert spoken_digits.PAGE.read_text() == spoken_digits.page(row)
    other = copy.deepcopy(row)
    other["runs"]["files"]["accuracy"] -= 0.01
    assert spoken_digits.PAGE.read_text() != spoken_digits.page(other)
