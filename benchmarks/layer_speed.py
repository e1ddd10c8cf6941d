"""The layers of grukit.nn beside torch.nn's on this machine's CPU: time, and their ratio.

    python benchmarks/layer_speed.py            every size into benchmarks/results, and the page
    python benchmarks/layer_speed.py --short    one small size, nothing written

Each library runs in its own block, warmed for 0.3 s so that the other's threads have gone to
sleep; the figures are medians over rounds. A column measures torch against itself: its distance
from 1 is the noise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import records
import torch

from grukit import nn

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "layer_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "layer-speed.md"
KINDS = ("GRU", "LSTM", "RNN")
# T time, B batch, H input and hidden size.
SIZES = ((100, 1, 64), (100, 1, 256), (100, 16, 128), (100, 32, 256), (50, 64, 512))
ROUNDS, WARM_SECONDS, CALLS = 3, 0.3, 7


def milliseconds(call: Callable[[], Any]) -> float:
    """The median time of a call in a warmed block."""
    until = time.perf_counter() + WARM_SECONDS
    while time.perf_counter() < until:
        call()
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def calls(layer: torch.nn.Module, x: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """A training step's forward and backward, and an inference."""

    def train() -> None:
        output, _ = layer(x)
        output.sum().backward()

    def infer() -> None:
        with torch.no_grad():
            layer(x)

    return {"training": train, "inference": infer}


def compare(kind: str, size: tuple[int, int, int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians over rounds for both layers and both uses, and torch against itself."""
    steps, batch, hidden = size
    x = torch.randn(steps, batch, hidden)
    theirs = getattr(torch.nn, kind)(hidden, hidden)
    ours = getattr(nn, kind)(hidden, hidden)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    row: dict[str, Any] = {"kind": kind, "size": size}
    for use in ("training", "inference"):
        measured: dict[str, list[float]] = {"grukit": [], "torch": [], "torch again": []}
        for _ in range(rounds):
            measured["torch"].append(milliseconds(calls(theirs, x)[use]))
            measured["grukit"].append(milliseconds(calls(ours, x)[use]))
            measured["torch again"].append(milliseconds(calls(theirs, x)[use]))
        row[use] = {name: statistics.median(times) for name, times in measured.items()}
    return row


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    header = [
        "layer",
        "T, B, H",
        "training: grukit",
        "torch",
        "ratio",
        "noise",
        "inference: grukit",
        "torch",
        "ratio",
        "noise",
    ]
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
    for row in results["rows"]:
        cells = [row["kind"], ", ".join(str(part) for part in row["size"])]
        for use in ("training", "inference"):
            times = row[use]
            cells += [f"{times['grukit']:.2f}", f"{times['torch']:.2f}"]
            cells += [f"{times['grukit'] / times['torch']:.2f}"]
            cells += [f"{times['torch again'] / times['torch']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"""\
# Speed of the layers

`grukit.nn` beside `torch.nn` on a CPU, one layer in float32, in milliseconds; T time, B batch, H
input and hidden size. A ratio below 1 means that grukit is faster; the noise is torch measured
against itself. Training is forward and backward for all gradients.

{table}

grukit's layers run on torch operations; there is no native backend yet. torch has a fused kernel
for the LSTM on a CPU, and none for the GRU.

From `python benchmarks/layer_speed.py` on {results["date"]}: {results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        print([compare(kind, (20, 2, 16), rounds=1) for kind in KINDS])
        return
    rows = [compare(kind, size) for kind in KINDS for size in SIZES]
    results = {**records.circumstances(), "rows": rows}
    RESULTS.parent.mkdir(exist_ok=True)
    records.write(RESULTS, results)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
