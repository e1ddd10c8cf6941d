"""A process for each library, so that none sees another's threads.

It sleeps in a read between its blocks. Requests and answers are lines of JSON:

    {"do": "prepare", "kind": "GRU", "use": "training", "size": [T, B, H], "arrays": "a.npz"}
    {"do": "block", "warm": 0.3, "seconds": 0.2, "calls": 5}

    python benchmarks/worker.py LIBRARY THREADS
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from problems import Arrays, Problem

PACKAGES = {
    "grukit": ("grukit",),
    "torch": ("torch",),
    "JAX": ("jax",),
    "Keras": ("keras", "tensorflow-cpu"),
    "ONNX Runtime": ("onnxruntime",),
    "OpenVINO": ("openvino",),
}
"""The distributions behind a library, by the start of its name."""


class Span(NamedTuple):
    """How long a block warms, and then measures at least."""

    warm: float = 0.3
    seconds: float = 0.2
    calls: int = 5


def milliseconds(call: Callable[[], Any], span: Span) -> float:
    """The median time of a call in a warmed block."""
    until = time.perf_counter() + span.warm
    while time.perf_counter() < until:
        call()
    times: list[float] = []
    until = time.perf_counter() + span.seconds
    while len(times) < span.calls or time.perf_counter() < until:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def versions(library: str) -> dict[str, str]:
    """The versions of what is behind a library, of what is installed."""
    packages = next(names for start, names in PACKAGES.items() if library.startswith(start))
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Worker:
    """A library in a process of its own; a context that ends it."""

    def __init__(self, library: str, threads: int) -> None:
        self.library = library
        self._folder = tempfile.TemporaryDirectory()
        command = [sys.executable, str(Path(__file__)), library, str(threads)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def prepare(self, problem: Problem) -> tuple[Arrays, dict[str, Any]]:
        """Results and notes. Raises peers.Refused with the reason if there are none."""
        from peers import Refused

        path = Path(self._folder.name, "arrays.npz")
        asked = {"kind": problem.kind, "use": problem.use, "size": problem.size}
        answer = self._ask(do="prepare", **asked, arrays=str(path))
        if "refused" in answer:
            raise Refused(answer["refused"])
        with np.load(path) as arrays:
            return dict(arrays), answer["notes"]

    def block(self, span: Span) -> float:
        """Milliseconds of a call of what was prepared."""
        return self._ask(do="block", **span._asdict())["milliseconds"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {self.library} ended with {self._process.wait()}")
        return json.loads(line)


def serve(library: str, threads: int) -> None:
    """Answer requests until the pipe closes."""
    keep_to_cores(threads)
    os.environ |= {"OMP_NUM_THREADS": str(threads), "JAX_PLATFORMS": "cpu"}
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from peers import LIBRARIES, Refused

    ready = None
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "block":
            span = Span(request["warm"], request["seconds"], request["calls"])
            answer: dict[str, Any] = {"milliseconds": milliseconds(ready.call, span)}
        else:
            ready = None
            problem = Problem(request["kind"], request["use"], request["size"])
            try:
                ready = LIBRARIES[library](problem, threads)
                np.savez(request["arrays"], **ready.arrays(ready.call()))
                answer = {"notes": ready.notes}
            except ImportError as error:
                answer = {"refused": f"not installed: {error}"}
            except Refused as error:
                answer = {"refused": str(error)}
        print(json.dumps(answer), file=answers, flush=True)


def keep_to_cores(count: int) -> None:
    """Run on so many cores, no two of them one core's threads, where the system lets one choose."""
    if not hasattr(os, "sched_setaffinity"):
        return
    chosen: list[int] = []
    taken: set[str] = set()
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text() if siblings.exists() else str(cpu)
        if core not in taken and len(chosen) < count:
            chosen.append(cpu)
            taken.add(core)
    if len(chosen) == count:
        os.sched_setaffinity(0, chosen)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
