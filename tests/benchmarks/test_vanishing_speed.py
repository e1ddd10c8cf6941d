"""The short form of the speed where gradients vanish, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import vanishing_speed as benchmark  # noqa: E402


def test_every_way_is_measured_and_the_setting_of_torch_comes_back():
    found = benchmark.measure(benchmark.SHORT, rounds=1)["cells"]
    assert tuple(found) == benchmark.CELLS
    for times in found.values():
        for own in times.values():
            assert tuple(own) == benchmark.WAYS
            assert min(own.values()) > 0
    assert torch.tensor(1e-39) * 1 > 0


def test_the_page_holds_the_saved_rows():
    results = json.loads(benchmark.RESULTS.read_text())
    assert benchmark.PAGE.read_text() == benchmark.page(results)
    other = copy.deepcopy(results)
    other["cells"]["GRU"]["last"]["torch.nn"] *= 2
    assert benchmark.PAGE.read_text() != benchmark.page(other)
