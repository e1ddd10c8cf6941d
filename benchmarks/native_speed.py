"""The native core beside the other libraries on this machine's CPU.

    python benchmarks/native_speed.py            all of it into benchmarks/results, and the page
    python benchmarks/native_speed.py --short    one small size beside torch, nothing written

Each library has a process of its own (worker.py) and is measured in warmed blocks, one library
after the other, several rounds; the figures are medians over rounds. What a library computes is
compared with torch.nn in float64 first, and where it is wrong there is no report. Each row is
saved when it is done; the same command goes on from there, if nothing has changed since.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import memory
import native_page
import records
import roofline
import torch
import weather_int8
import weather_speed
from cpu import features
from peers import LIBRARIES, Ready, Refused, of_layer, torch_layer
from problems import Arrays, Problem, check, deviation
from streams import through_c
from worker import Span, Worker, versions

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "native_speed.json"
UNFINISHED = HERE / "results" / "native_speed.unfinished.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "native-speed.md"

THREADS, ROUNDS = 2, 3
# T time, B batch, H input and hidden size.
TRAINING = (
    (100, 1, 64),
    (100, 1, 256),
    (100, 1, 512),
    (1000, 1, 128),
    (100, 8, 256),
    (100, 16, 128),
    (100, 32, 256),
    (50, 64, 512),
)
INFERENCE = (
    (100, 1, 64),
    (100, 1, 256),
    (100, 1, 512),
    (1000, 1, 128),
    (100, 4, 256),
    (100, 16, 256),
    (100, 32, 256),
    (50, 64, 512),
    (1, 1, 256),
)
BFLOAT16 = ((100, 32, 256), (50, 64, 512))
LONG = ((1000, 1, 128), (1000, 1, 256), (1000, 1, 512))
STEP = (1, 1, 256)
BESIDE = {
    "training": ("grukit", "torch", "JAX", "Keras"),
    "inference": ("grukit", "torch", "ONNX Runtime", "OpenVINO", "torch int8", "grukit int8"),
    "step": ("grukit", "torch", "ONNX Runtime", "OpenVINO", "grukit int8"),
}
AGAIN = "torch again"

# Of the largest true value. Every float32 library here is within 1e-6; the others lose what their
# weights lose.
TOLERANCES = {"int8": 5e-2, "bf16": 5e-2}
FLOAT32_TOLERANCE = 1e-5


def tolerance(library: str) -> float:
    """How far a library may be from torch.nn in float64."""
    return TOLERANCES.get(library.rpartition(" ")[2], FLOAT32_TOLERANCE)


class Workers:
    """The worker of each library, started when it is first asked for; a context that ends them."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._started: dict[str, Worker] = {}
        self._stack = ExitStack()

    def __getitem__(self, library: str) -> Any:
        if library not in self._started:
            worker = Worker(library, self._threads)
            self._started[library] = self._stack.enter_context(worker)
        return self._started[library]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def oracle(problem: Problem) -> Arrays:
    """What torch.nn computes in float64."""
    layer = torch_layer(problem, torch.float64)
    ready: Ready = of_layer(layer, problem, torch.float64)
    return ready.arrays(ready.call())


def compare(
    problem: Problem,
    libraries: Sequence[str],
    workers: Any,
    *,
    rounds: int = ROUNDS,
    span: Span = Span(),  # noqa: B008
) -> dict[str, Any]:
    """A row: each library's milliseconds, its deviation, and why some have none.

    Raises RedParity if one of them is wrong.
    """
    row: dict[str, Any] = {"kind": problem.kind, "use": problem.use, "size": list(problem.size)}
    row |= {"times": {}, "deviations": {}, "refused": {}, "notes": {}}
    true = oracle(problem)
    there = []
    for library in libraries:
        try:
            found, notes = workers[library].prepare(problem)
        except Refused as reason:
            row["refused"][library] = str(reason)
            continue
        worst = deviation(found, true)
        check(library, problem, worst, tolerance(library))
        row["deviations"][library] = {"share": worst.share, "absolute": worst.absolute}
        row["notes"] |= {library: notes} if notes else {}
        there.append(library)
    measured: dict[str, list[float]] = {library: [] for library in there}
    for _ in range(rounds):
        for library in there:
            measured[library].append(workers[library].block(span))
        if "torch" in there:
            measured.setdefault(AGAIN, []).append(workers["torch"].block(span))
    row["times"] = {name: statistics.median(times) for name, times in measured.items() if times}
    return row


def with_bound(row: dict[str, Any], probed: dict[str, Any] | None) -> dict[str, Any]:
    """The row with the roofline's milliseconds, on the threads that grukit has chosen."""
    if probed is not None and "grukit" in row["times"]:
        problem = Problem(row["kind"], row["use"], row["size"])
        notes = row["notes"].get("grukit", {})
        there = (notes.get("threads", THREADS), notes.get("backward_threads", THREADS))
        row["threads"] = list(there)
        row["bound"] = roofline.bound(problem, probed, *there)
    return row


def step(workers: Any, probed: dict[str, Any] | None) -> dict[str, Any]:
    """The row of a streaming step: every library through Python, and grukit through C."""
    problem = Problem("GRU", "step", STEP)
    row = compare(problem, BESIDE["step"], workers)
    true = oracle(problem)
    for name, quantized in (("grukit in C", False), ("grukit in C int8", True)):
        try:
            runs = [through_c(problem, quantized, THREADS, Span()) for _ in range(ROUNDS)]
        except Refused as reason:
            row["refused"][name] = str(reason)
            continue
        worst = deviation(runs[0][0], true)
        check(name, problem, worst, tolerance(name))
        row["deviations"][name] = {"share": worst.share, "absolute": worst.absolute}
        row["times"][name] = statistics.median(milliseconds for _, milliseconds in runs)
    if probed is not None:
        row["bound"] = roofline.bound(problem, probed, THREADS)
    return row


def largest_deviation(workers: Any, size: tuple[int, int, int]) -> dict[str, Any]:
    """The row of a long sequence in int8, of which no time is taken."""
    return compare(Problem("GRU", "inference", size), ["grukit int8"], workers, rounds=0)


def peaks() -> dict[str, Any]:
    """The row of the memory: the median of three peaks each, or why there are none."""
    found = {
        name: [memory.peak(name, memory.SIZE, THREADS) for _ in range(ROUNDS)]
        for name in memory.NAMES
    }
    row: dict[str, Any] = {"size": list(memory.SIZE), "bytes": {}, "refused": {}}
    for name, runs in found.items():
        numbers = [run for run in runs if isinstance(run, int)]
        if numbers:
            row["bytes"][name] = statistics.median(numbers)
        else:
            row["refused"][name] = runs[0]
    return row


def demo() -> dict[str, Any]:
    """The row of the weather demo: the seconds of its training, the lesser of two."""
    runs: dict[str, list[float]] = {name: [] for name in weather_speed.NAMES}
    for _ in range(2):
        for name, seconds in runs.items():
            seconds.append(weather_speed.seconds(name, THREADS))
    return {"seconds": {name: min(seconds) for name, seconds in runs.items()}}


def plan(workers: Any, probed: dict[str, Any] | None) -> Iterable[tuple[str, Callable[[], Any]]]:
    """Every row by its name, and what makes it."""

    def table(kind: str, use: str, size: tuple[int, int, int], libraries: Sequence[str]) -> Any:
        return with_bound(compare(Problem(kind, use, size), libraries, workers), probed)

    for kind in ("GRU", "LSTM", "RNN"):
        for use, sizes in (("training", TRAINING), ("inference", INFERENCE)):
            libraries = BESIDE[use] if kind == "GRU" else ("grukit", "torch")
            for size in sizes:
                name = str(Problem(kind, use, size))
                yield name, lambda now=(kind, use, size, libraries): table(*now)
    yield "step", lambda: step(workers, probed)
    for size in BFLOAT16:
        problem = Problem("GRU", "training", size)
        beside = ("grukit", "grukit bf16")
        yield f"bf16 {problem}", lambda now=(problem, beside): compare(*now, workers)
    for size in LONG:
        yield f"int8 {size}", lambda size=size: largest_deviation(workers, size)
    yield "memory", peaks
    yield "weather", demo
    yield "weather int8", weather_int8.row


def about() -> dict[str, Any]:
    """What figures depend on: versions, the CPU, and the very library of the native core."""
    from grukit.core import clib

    missing = clib.why_missing()
    core: dict[str, Any] = (
        {"missing": missing}
        if missing
        else {
            "isa": clib.isa(),
            "isas": list(clib.isas()),
            "sha256": hashlib.sha256(Path(clib.library()._name).read_bytes()).hexdigest()[:16],
        }
    )
    there = {name: version for library in LIBRARIES for name, version in versions(library).items()}
    found = {"threads": THREADS, "cpu": features(), "versions": there, "core": core}
    return {**records.circumstances(), **found}


def run(again: str | None = None) -> dict[str, Any]:
    """Every row, going on from those saved if what they depend on is the same.

    again: measure anew, of the last results, the rows whose names begin so, after a noisy run.
    """
    now = about()
    saved = records.read(UNFINISHED if again is None else RESULTS)
    same = {**saved.get("about", {}), "date": now["date"]} == now
    results = saved if same else {"about": now, "rows": {}}
    if again is not None:
        kept = {name: row for name, row in results["rows"].items() if not name.startswith(again)}
        results["rows"] = kept
    probed = roofline.probe(THREADS)
    results["probe"] = probed
    started = time.monotonic()
    with Workers(THREADS) as workers:
        for name, make in plan(workers, probed):
            if name not in results["rows"]:
                results["rows"][name] = make()
                records.write(UNFINISHED, results)
                print(f"{time.monotonic() - started:6.0f} s  {name}", file=sys.stderr)
    return results


def short() -> dict[str, dict[str, Any]]:
    """Rows of one small size beside torch alone, in seconds."""
    quick = Span(warm=0.0, seconds=0.01, calls=1)
    probed = roofline.probe(1, seconds=0.001)
    rows = {}
    with Workers(1) as workers:
        for use in ("training", "inference"):
            problem = Problem("GRU", use, (20, 2, 16))
            rows[use] = compare(problem, ("grukit", "torch"), workers, rounds=1, span=quick)
            if probed is not None:
                rows[use]["bound"] = roofline.bound(problem, probed, 1)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    parser.add_argument("--again", metavar="NAME", help="only the rows whose names begin so")
    chosen = parser.parse_args()
    if chosen.short:
        torch.set_num_threads(1)
        print(short())
        return
    torch.set_num_threads(THREADS)
    results = run(chosen.again)
    records.write(RESULTS, results)
    PAGE.write_text(native_page.page(results))
    UNFINISHED.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
