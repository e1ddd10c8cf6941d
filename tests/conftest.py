"""What every test shares: one thread, fixed seeds, and the data folder of this machine."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from grukit.core import env

# Read when torch is first imported: parallel workers must not fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile(
    "grukit", deadline=None, derandomize=True, print_blob=True, database=None
)
hypothesis.settings.load_profile("grukit")


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Start every test from the same random state, without importing torch for those without."""
    random.seed(0)
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets on this machine; tests that need it are skipped without."""
    folder = env.data_folder()
    if folder is None:
        pytest.skip("GRUKIT_DATA names no folder of data sets")
    if not folder.is_dir():
        pytest.fail(f"GRUKIT_DATA must name a folder, got {str(folder)!r}")
    return folder
