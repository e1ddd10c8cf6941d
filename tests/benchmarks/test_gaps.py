"""The short form of the benchmark of gaps, and the page made from its saved rows."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import gaps  # noqa: E402


def test_gru_d_forecasts_a_gappy_process_better_than_a_gru():
    gru, gru_d = (gaps.run(cell, 0.8, seed=0, short=True) for cell in gaps.CELLS)
    assert gru_d["mae"]["grukit GRU-D"] < gru["mae"]["grukit GRU"]
    assert gru_d["mae"]["grukit GRU-D"] < gru_d["mae"]["last value"]
    assert gru_d["best_mae"] < gru_d["mae"]["grukit GRU-D"]


def test_the_page_holds_the_saved_rows():
    rows = json.loads(gaps.RESULTS.read_text())
    assert gaps.PAGE.read_text() == gaps.page(rows)
    other = copy.deepcopy(rows)
    other["gru_d 0.8 1"]["mae"]["grukit GRU-D"] += 0.01
    assert gaps.PAGE.read_text() != gaps.page(other)


@pytest.mark.parametrize("missing", [0.0, 0.5])
def test_the_best_forecast_has_the_error_of_theory(missing):
    """E|x_(t+k) - m^(d+k) x'| = sqrt(2 / pi (1 - m^(2 (d + k)))) for a normal process."""
    age = gaps.np.arange(200)[:, None] + gaps.np.arange(1, gaps.HORIZON + 1)
    error = (2 / gaps.np.pi * (1 - gaps.MEMORY ** (2 * age))) ** 0.5
    chance = (1 - missing) * missing ** gaps.np.arange(200.0)
    expected = (chance[:, None] * error).sum(0).mean()
    found = [gaps.best_mae(gaps.table(missing, seed)) for seed in range(4)]
    assert gaps.np.mean(found) == pytest.approx(expected, rel=0.05)
