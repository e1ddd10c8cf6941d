"""The least time that a layer can take on the cores it has: a bound from two probes of the machine.

A layer is a chain of phases, each as slow as the slower of its arithmetic and its reads of weights:

- products over all steps (the projection of the inputs; in training the gradients of the inputs
  and of both weights) are bound by arithmetic;
- the recurrence, forward and in training backward, does its arithmetic and reads the recurrent
  weights anew at every step, each core its own share.

Traffic of activations, the gates' functions and starting threads count as nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from problems import GATES, Problem

HERE = Path(__file__).parent
SECONDS = 0.02
FLOAT32 = 4


def compiled(source: Path, folder: str | Path, *options: str) -> Path | None:
    """The program made from one C file for this very machine; None without a compiler."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    program = Path(folder, source.stem)
    best = ("-std=c11", "-O3", "-march=native", "-ffp-contract=fast", "-pthread", "-D_GNU_SOURCE")
    subprocess.run([compiler, *best, *options, source, "-o", program, "-ldl"], check=True)
    return program


def probe(threads: int, seconds: float = SECONDS) -> dict[str, Any] | None:
    """What the machine can do: {"flops": {threads: rate}, "reads": {threads: {bytes: rate}}}.

    Rates are operations and bytes a second of all threads together, bytes the share of one
    thread; keys are texts, as JSON has them. None without a C compiler.
    """
    with tempfile.TemporaryDirectory() as folder:
        program = compiled(HERE / "roofline.c", folder)
        if program is None:
            return None
        command = [program, str(threads), str(seconds)]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = {"flops": {}, "reads": {}}
    for line in lines.splitlines():
        kind, count, *rest = line.split()
        if kind == "flops":
            found["flops"][count] = float(rest[0])
        else:
            found["reads"].setdefault(count, {})[rest[0]] = float(rest[1])
    return found


def read_rate(probed: dict[str, Any], threads: int, share: float) -> float:
    """Bytes a second of all threads, where each reads `share` bytes over and over.

    The best rate of that size or a larger one: a smaller buffer is never slower to read.
    """
    rates = {int(size): rate for size, rate in probed["reads"][str(threads)].items()}
    return max([rate for size, rate in rates.items() if size >= share] or [rates[max(rates)]])


def bound(
    problem: Problem, probed: dict[str, Any], threads: int, backward_threads: int | None = None
) -> float:
    """The least milliseconds of a problem in float32."""
    steps, batch, hidden = problem.size
    rows = GATES[problem.kind] * hidden
    product = 2 * steps * batch * rows * hidden
    weights = FLOAT32 * rows * hidden

    def arithmetic(products: int, count: int) -> float:
        return products * product / probed["flops"][str(count)]

    def recurrence(count: int) -> float:
        reads = steps * weights / read_rate(probed, count, weights / count)
        return max(arithmetic(1, count), reads)

    seconds = arithmetic(1, threads) + recurrence(threads)
    if problem.use == "training":
        back = backward_threads or threads
        seconds += recurrence(back) + arithmetic(3, back)
    return 1000 * seconds
