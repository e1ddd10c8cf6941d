"""What every benchmark writes beside its figures: when, on what, with which versions."""

from __future__ import annotations

import datetime
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import grukit
from grukit.core.files import write_atomically


def circumstances() -> dict[str, Any]:
    """Date, machine class and versions, as JSON values."""
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
        "python": platform.python_version(),
        "grukit": grukit.__version__,
        "torch": torch.__version__,
    }


def read(path: Path) -> dict[str, Any]:
    """The rows saved so far, so that an interrupted run goes on where it was."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, rows: dict[str, Any]) -> None:
    """Save all rows in one switch."""
    write_atomically(path, json.dumps(rows, indent=2) + "\n")


def timed(work: Path, training: Callable[[Path], object]) -> float:
    """Call training(checkpoint) in a folder `work`; the seconds of this run and all before it."""
    work.mkdir(exist_ok=True)
    took = work / "seconds.json"
    before = json.loads(took.read_text()) if took.exists() else 0.0
    started = time.monotonic()
    try:
        training(work / "checkpoint")
    finally:
        seconds = before + time.monotonic() - started
        write_atomically(took, json.dumps(seconds))
    return seconds
