"""The short form of the benchmark of digit strings, and the page made from its saved row."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import digit_strings  # noqa: E402


def test_a_small_network_learns_and_streams(data_folder, tmp_path):
    live = digit_strings.run(tmp_path, short=True)["live"]
    assert live["wer"] < 0.8
    assert live["stream"]["same"]
    assert live["stream"]["scores_apart"] < 1e-5
    assert live["stream"]["runs"] == 20 * len(digit_strings.CHUNKS)


def test_files_of_the_test_are_not_learned(data_folder):
    names = [{one.name for one in digit_strings.digits(test)} for test in (False, True)]
    assert [len(own) for own in names] == [2700, 300]
    assert not names[0] & names[1]


def test_the_page_holds_the_saved_row():
    if not digit_strings.RESULTS.exists():
        pytest.skip("the benchmark was not run yet")
    row = json.loads(digit_strings.RESULTS.read_text())
    assert digit_strings.PAGE.read_text() == digit_strings.page(row)
    other = copy.deepcopy(row)
    other["live"]["wer"] += 0.01
    assert digit_strings.PAGE.read_text() != digit_strings.page(other)
