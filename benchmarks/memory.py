"""The peak memory of a training step above x, the weights and their gradients.

    python benchmarks/memory.py NAME T B H      bytes, or why there are none; in a fresh process

The peak is the process's largest resident size from a mark on that Linux lets one set
(/proc/self/clear_refs), so that it has what every allocator took. Before the mark a small problem
has loaded all code, and x and the weights are there. The process's small pages and the stacks of
its threads are in the figure; they are far below a per cent of it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from problems import Problem

SIZE = (300, 64, 512)
STEPS = 2
MARK = Path("/proc/self/clear_refs")


def layers() -> dict[str, Callable[[Problem], Any]]:
    """What is measured, by name."""
    from peers import grukit_layer, torch_layer

    return {
        "torch": torch_layer,
        "grukit": grukit_layer,
        "grukit recompute": lambda problem: grukit_layer(problem, recompute=True),
    }


NAMES = ("torch", "grukit", "grukit recompute")


def peak(name: str, size: tuple[int, int, int], threads: int) -> int | str:
    """Bytes, or the reason why there is no figure."""
    command = [sys.executable, __file__, name, *map(str, size), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2]
    return int(done.stdout)


def measure(name: str, size: tuple[int, int, int], threads: int) -> int:
    """Bytes, of this process."""
    import torch

    torch.set_num_threads(threads)
    train(*made(name, (2, 2, 8)))
    layer, x, d_output = made(name, size)
    given = sum(t.nbytes for t in (x, *layer.parameters()))
    start = resident("VmRSS")
    MARK.write_text("5")
    for _ in range(STEPS):
        train(layer, x, d_output)
    return resident("VmHWM") - start - given


def made(name: str, size: tuple[int, int, int]) -> tuple[Any, Any, Any]:
    """The layer, x and the gradient of the output."""
    import torch

    problem = Problem("GRU", "training", size)
    layer = layers()[name](problem)
    x, d_output = (torch.from_numpy(problem.arrays[part]) for part in ("x", "d_output"))
    return layer, x.requires_grad_(), d_output


def train(layer: Any, x: Any, d_output: Any) -> None:
    """Forward and backward; all gradients are alive at its end, and gone after it."""
    output, _ = layer(x)
    output.backward(d_output)
    for tensor in (x, *layer.parameters()):
        tensor.grad = None


def resident(which: str) -> int:
    """The resident size of this process now (VmRSS) or at most (VmHWM), in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which):
            return 1024 * int(line.split()[1])
    raise OSError(f"there is no {which}")


def main() -> None:
    name, *numbers = sys.argv[1:]
    steps, batch, hidden, threads = map(int, numbers)
    try:
        print(measure(name, (steps, batch, hidden), threads))
    except (OSError, TypeError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
