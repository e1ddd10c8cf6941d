"""What every test shares: one thread, fixed seeds, the native core and the folder of data."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from grukit.core import clib, env

# Read when torch is first imported: parallel workers must not fight for the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BUILD = Path(__file__).parents[1] / "build"

hypothesis.settings.register_profile(
    "grukit", deadline=None, derandomize=True, print_blob=True, database=None
)
hypothesis.settings.load_profile("grukit")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_core: skipped where there is no native core")
    # What a shell runs in the background ignores Ctrl-C, and so does all that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Where the core is required, a test that needs it fails without it."""
    if item.get_closest_marker("needs_core") and (missing := clib.why_missing()):
        required = os.environ.get("GRUKIT_REQUIRE_NATIVE", "0") not in ("", "0")
        (pytest.fail if required else pytest.skip)(missing)


@pytest.fixture(params=clib.SETS)
def each_isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set that this machine can run, while it is chosen."""
    if request.param not in clib.isas():
        pytest.skip(f"this machine cannot run {request.param}")
    before = clib.isa()
    clib.set_isa(request.param)
    yield request.param
    clib.set_isa(before)


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


@pytest.fixture(scope="session")
def building() -> Callable[[], AbstractContextManager[None]]:
    """A lock on the folder build, in which workers must not compile at the same time."""

    @contextlib.contextmanager
    def lock() -> Iterator[None]:
        BUILD.mkdir(exist_ok=True)
        with (BUILD / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return lock
