"""What benchmarks keep of their runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import records  # noqa: E402


def test_an_interrupted_training_counts_as_well(tmp_path):
    def interrupted(checkpoint):
        time.sleep(0.05)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        records.timed(tmp_path / "work", interrupted)
    places = []
    assert records.timed(tmp_path / "work", places.append) >= 0.05
    assert places == [tmp_path / "work" / "checkpoint"]
