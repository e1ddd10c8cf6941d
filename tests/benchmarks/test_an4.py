"""The short form of the benchmark of AN4, and the page made from its saved row."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import an4  # noqa: E402


def test_a_small_network_learns_something(data_folder, tmp_path):
    scores = an4.run(tmp_path, short=True)["whole"]["scores"]
    assert scores["no language model, beam 16"]["cer"] < 0.85
    assert all(0 < own["real_time_factor"] < 1 for own in scores.values())


def test_no_speaker_is_in_two_parts(data_folder):
    speakers = [{path.parent.name for path, _ in part} for part in an4.parts()]
    assert [len(own) for own in speakers] == [68, 6, 10]
    assert not speakers[0] & speakers[1] | speakers[0] & speakers[2] | speakers[1] & speakers[2]


def test_the_page_holds_the_saved_row():
    if not an4.RESULTS.exists():
        pytest.skip("the benchmark was not run yet")
    row = json.loads(an4.RESULTS.read_text())
    assert an4.PAGE.read_text() == an4.page(row)
    other = copy.deepcopy(row)
    other["live"]["scores"]["no language model, beam 16"]["wer"] += 0.01
    assert an4.PAGE.read_text() != an4.page(other)
