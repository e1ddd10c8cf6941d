"""A step of each cell on equal kernels: at equal width, and at equal parameters.

    python benchmarks/cell_speed.py            every size into benchmarks/results, and the page
    python benchmarks/cell_speed.py --short    one small size, nothing written

The cells take turns, on one thread, and their time is that of the core at work, so that it matters
little what else the machine does; figures are medians over rounds, ratios those of the same round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cpu
import numpy as np
import records
import torch

from grukit import nn
from grukit.nn.sequence_model import parameters_of

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "cell_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "cell-speed.md"
NAMES = {
    "rnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "gru_before": "GRU (reset before)",
    "mingru": "minGRU",
}
KINDS: dict[str, Callable[[int, int], Any]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "gru_before": partial(nn.GRU, reset_after=False),
    "mingru": nn.MinGRU,
}
# T time, B batch, H units of the LSTM, from which the others' follow.
SIZES = ((100, 32, 64), (100, 32, 256), (200, 1, 128))
ROUNDS, WARM_SECONDS, CALLS = 7, 0.05, 5


def layers(size: tuple[int, int, int], by: str) -> dict[str, torch.nn.Module]:
    """By cell a layer with as many inputs as the LSTM has units; equal in width or parameters."""
    _, _, hidden = size
    wanted = parameters_of(layer("lstm", hidden, hidden))
    return {
        cell: layer(cell, hidden, hidden if by == "width" else nearest(cell, hidden, wanted))
        for cell in KINDS
    }


def layer(cell: str, inputs: int, hidden: int) -> Any:
    return KINDS[cell](inputs, hidden)


def nearest(cell: str, inputs: int, wanted: int) -> int:
    """The units with which a layer has the nearest number of parameters."""
    low, high = 1, 16 * inputs
    while high - low > 1:
        middle = (low + high) // 2
        small = parameters_of(layer(cell, inputs, middle)) < wanted
        low, high = (middle, high) if small else (low, middle)
    return min((low, high), key=lambda n: abs(parameters_of(layer(cell, inputs, n)) - wanted))


def calls(own: Any, x: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """Forward and backward for all gradients, and an inference."""

    def train() -> None:
        own.zero_grad()
        output, _ = own(x)
        output.backward(torch.ones_like(output))

    def infer() -> None:
        with torch.inference_mode():
            own(x)

    return {"training": train, "inference": infer}


def microseconds(call: Callable[[], Any], steps: int) -> float:
    """The median time of the core for a step, in a warmed block."""
    until = time.process_time() + WARM_SECONDS
    while time.process_time() < until:
        call()
    times = []
    for _ in range(CALLS):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return 1e6 * statistics.median(times) / steps


def measured(size: tuple[int, int, int], by: str, rounds: int = ROUNDS) -> dict[str, Any]:
    """By cell its units, parameters, and the time of a step; the ratios are to the LSTM's."""
    steps, batch, hidden = size
    found = layers(size, by)
    x = torch.randn(steps, batch, hidden)
    row: dict[str, Any] = {"size": size, "by": by, "cells": {}}
    for cell, own in found.items():
        row["cells"][cell] = {
            "units": own.hidden_size,
            "parameters": parameters_of(own),
            "backend": own.explain(x).partition(":")[0],
        }
    for use in ("training", "inference"):
        ready = {cell: calls(own, x)[use] for cell, own in found.items()}
        times: dict[str, list[float]] = {cell: [] for cell in found}
        for _ in range(rounds):
            for cell, call in ready.items():
                times[cell].append(microseconds(call, steps))
        for cell, own in times.items():
            ratios = np.divide(own, times["lstm"])
            told = {"us": statistics.median(own), "ratio": float(np.median(ratios))}
            row["cells"][cell][use] = told
    return row


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    tables = []
    for row in results["rows"]:
        steps, batch, hidden = row["size"]
        equal = "width" if row["by"] == "width" else "parameters"
        tables.append(f"## {steps} steps, batch {batch}, {hidden} inputs: equal {equal}\n")
        tables.append(
            "| cell | units | parameters | training, µs | of LSTM | inference, µs | of LSTM |"
        )
        tables.append("| --- | --- | --- | --- | --- | --- | --- |")
        for cell, own in row["cells"].items():
            figures = " | ".join(
                f"{own[use]['us']:.1f} | {own[use]['ratio']:.2f}"
                for use in ("training", "inference")
            )
            tables.append(f"| {NAMES[cell]} | {own['units']} | {own['parameters']:,} | {figures} |")
        tables.append("")
    table = "\n".join(tables)
    return f"""\
# Speed of the cells

Is a GRU quicker than an LSTM? One layer of each cell, on one thread, in float32: the time of the
core for a step of the whole batch, in training (forward, and backward for all gradients) and in
inference, and its share of the LSTM's in the same round. At equal width a GRU has three quarters of
the LSTM's weights; at equal parameters it has more units, whose states are more to compute and to
keep. So whether it is quicker depends on what is held equal.

Run by {backends(results["rows"])}.

{told(results["rows"])}

{table}

From `python benchmarks/cell_speed.py` on {results["date"]}: {results["cpu"]},
{results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def told(rows: list[dict[str, Any]]) -> str:
    """The range of the GRU's share of the LSTM's time, for both ways of being equal."""
    words = []
    for by in ("width", "parameters"):
        for use in ("training", "inference"):
            own = [row["cells"]["gru"][use]["ratio"] for row in rows if row["by"] == by]
            words.append(f"at equal {by} {min(own):.2f} to {max(own):.2f} in {use}")
    listed = ",\n".join(words)
    return f"A GRU's step takes of an LSTM's\n{listed}."


def backends(rows: list[dict[str, Any]]) -> str:
    """What runs the cells."""
    by_backend: dict[str, list[str]] = {}
    for cell, own in rows[0]["cells"].items():
        by_backend.setdefault(own["backend"], []).append(NAMES[cell])
    listed = {name: ", ".join(own) for name, own in by_backend.items()}
    return "; ".join(f"the backend {name}: {own}" for name, own in listed.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    torch.set_num_threads(1)
    if parser.parse_args().short:
        print([measured((20, 4, 16), by, 1) for by in ("width", "parameters")])
        return
    rows = [measured(size, by) for size in SIZES for by in ("width", "parameters")]
    results = {**records.circumstances(), "cpu": cpu.features(), "rows": rows}
    records.write(RESULTS, results)
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
