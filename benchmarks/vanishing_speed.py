"""Training on a loss at the last of many steps, whose gradient vanishes on its way back.

    python benchmarks/vanishing_speed.py            into benchmarks/results, and the page
    python benchmarks/vanishing_speed.py --short    a small size, nothing written

Forward and backward of new layers on one thread. The ways take turns; each figure is the median
of the fastest call in every round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import records
import torch

from grukit import nn

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "vanishing_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "vanishing-speed.md"
# T time, B batch, H hidden size.
SIZE, SHORT = (600, 50, 128), (30, 2, 8)
ROUNDS, CALLS = 5, 3
CELLS = ("RNN", "GRU", "LSTM")
WAYS = ("torch.nn", "torch.nn, flushed", "grukit.nn")


def milliseconds(layer: torch.nn.Module, x: torch.Tensor, last: bool, flushed: bool) -> float:
    """The fastest of a few calls, after one to warm up."""
    times = []
    torch.set_flush_denormal(flushed)
    for _ in range(1 + CALLS):
        start = time.process_time()
        output = layer(x)[0]
        (output[-1] if last else output).sum().backward()
        times.append(1000 * (time.process_time() - start))
    torch.set_flush_denormal(False)
    return min(times[1:])


def measure(size: tuple[int, int, int], rounds: int = ROUNDS) -> dict[str, Any]:
    """By cell and where the loss is, of every way the milliseconds."""
    steps, batch, hidden = size
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    x, found = torch.randn(steps, batch, 2), {}
    for cell in CELLS:
        theirs, ours = getattr(torch.nn, cell)(2, hidden), getattr(nn, cell)(2, hidden)
        ours.load_state_dict(theirs.state_dict())
        layers = dict(zip(WAYS, (theirs, theirs, ours), strict=True))
        for where in ("last", "all"):
            times = {name: [] for name in layers}
            for _ in range(rounds):
                for name, layer in layers.items():
                    flushed = name.endswith("flushed")
                    times[name].append(milliseconds(layer, x, where == "last", flushed))
            medians = {name: statistics.median(own) for name, own in times.items()}
            found.setdefault(cell, {})[where] = medians
    torch.set_num_threads(threads)
    return {"size": size, "cells": found}


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    steps, batch, hidden = results["size"]
    lines = []
    for cell, times in results["cells"].items():
        for where, words in (("last", "at the last step"), ("all", "at every step")):
            own = times[where]
            ratio = own[WAYS[0]] / own[WAYS[2]]
            figures = " | ".join(f"{own[name]:.0f}" for name in WAYS)
            lines.append(f"| {cell}, loss {words} | {figures} | {ratio:.1f}x |")
    table = "\n".join(lines)
    return f"""\
# Speed where gradients vanish

Forward and backward of new layers over {steps} steps of {batch} sequences, {hidden} units, one
thread, in milliseconds of the CPU. A loss at the last step alone is that of a class or a number for
a whole sequence. Its gradient vanishes on the way back, and before it is 0 it passes through
denormal numbers, for each of which a CPU takes many times as long. The native core takes them for
0; torch does after `torch.set_flush_denormal(True)`, the second column.

| | {" | ".join(f"{name}, ms" for name in WAYS)} | beside torch.nn |
| --- | ---: | ---: | ---: | ---: |
{table}

From `python benchmarks/vanishing_speed.py` on {results["date"]}: {results["machine"]}; Python
{results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        print(measure(SHORT, rounds=1))
        return
    results = {**records.circumstances(), **measure(SIZE)}
    records.write(RESULTS, results)
    PAGE.write_text(page(results), encoding="utf-8")
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
