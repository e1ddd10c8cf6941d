"""K models in one call beside K layers in a loop, on this machine's CPU.

    python benchmarks/ensemble_speed.py            every size into benchmarks/results, and the page
    python benchmarks/ensemble_speed.py --short    one small size, nothing written

Each side runs in its own warmed block; the figures are medians over rounds.
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
RESULTS = HERE / "results" / "ensemble_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "ensemble-speed.md"
KINDS = ("GRU", "LSTM", "RNN")
# K models, T time, B batch, H input and hidden size.
SIZES = ((8, 100, 16, 64), (8, 100, 1, 64))
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


def calls(layers: list[torch.nn.Module], x: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """A training step's forward and backward of each layer, and an inference."""

    def train() -> None:
        for layer in layers:
            layer(x)[0].sum().backward()

    def infer() -> None:
        with torch.no_grad():
            for layer in layers:
                layer(x)

    return {"training": train, "inference": infer}


def compare(kind: str, size: tuple[int, int, int, int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Medians over rounds of the loop and the one call, and how far their outputs differ."""
    models, steps, batch, hidden = size
    x = torch.randn(steps, batch, hidden)
    layers = [getattr(nn, kind)(hidden, hidden) for _ in range(models)]
    ensemble = nn.stack_models(layers)
    loop = torch.stack([layer(x)[0] for layer in layers])
    row: dict[str, Any] = {"kind": kind, "size": size}
    row["difference"] = (ensemble(x)[0] - loop).abs().max().item()
    for use in ("training", "inference"):
        measured: dict[str, list[float]] = {"loop": [], "one call": []}
        for _ in range(rounds):
            measured["loop"].append(milliseconds(calls(layers, x)[use]))
            measured["one call"].append(milliseconds(calls([ensemble], x)[use]))
        row[use] = {name: statistics.median(times) for name, times in measured.items()}
    return row


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    header = [
        "layer",
        "K, T, B, H",
        "training: loop",
        "one call",
        "times faster",
        "inference: loop",
        "one call",
        "times faster",
        "difference",
    ]
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
    for row in results["rows"]:
        cells = [row["kind"], ", ".join(str(part) for part in row["size"])]
        for use in ("training", "inference"):
            loop, together = row[use]["loop"], row[use]["one call"]
            cells += [f"{loop:.1f}", f"{together:.1f}", f"{loop / together:.2f}"]
        cells.append(f"{row['difference']:.0e}")
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"""\
# Speed of several models in one call

A layer of K models (`models=K`, or `grukit.nn.stack_models`) beside K layers in a loop, on a CPU,
in float32, in milliseconds; T time, B batch, H input and hidden size. Training is forward and
backward for all gradients. The difference is the largest between the two outputs.

{table}

From `python benchmarks/ensemble_speed.py` on {results["date"]}: {results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        print([compare(kind, (3, 20, 2, 16), rounds=1) for kind in KINDS])
        return
    rows = [compare(kind, size) for kind in KINDS for size in SIZES]
    results = {**records.circumstances(), "rows": rows}
    records.write(RESULTS, results)
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
