"""A streaming step of a GRU through the C interface alone, by a small C program."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from peers import Refused
from problems import WEIGHTS, Arrays, Problem
from roofline import compiled
from worker import Span

HERE = Path(__file__).parent
HEADERS = HERE.parent / "csrc" / "include"


def through_c(problem: Problem, quantized: bool, threads: int, span: Span) -> tuple[Arrays, float]:
    """The state after the first step from h0, and the milliseconds of a step.

    Raises peers.Refused without the native core or a C compiler, and where the core refuses.
    """
    from grukit.core import clib

    if missing := clib.why_missing():
        raise Refused(missing)
    _, batch, hidden = problem.size
    if batch != 1:
        raise ValueError(f"a stream must be of one sequence, got {batch}")
    given = problem.arrays
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(HERE / "stream_step.c", folder, f"-I{HEADERS}")
        if program is None:
            raise Refused("there is no C compiler")
        into, out = Path(folder, "in"), Path(folder, "out")
        parts = [*(given[name] for name in WEIGHTS), given["x"][0], given["h0"]]
        into.write_bytes(b"".join(part.tobytes() for part in parts))
        numbers = (hidden, hidden, int(quantized), threads, span.warm, span.seconds)
        command = [program, clib.library()._name, into, out, *map(str, numbers)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Refused(done.stderr.strip())
        state = np.frombuffer(out.read_bytes(), np.float32).reshape(batch, hidden)
    return {"h": state}, float(done.stdout) / 1000
