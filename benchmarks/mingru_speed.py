"""The minGRU by the native scan, beside other ways to compute it and our GRU of the same width.

    python benchmarks/mingru_speed.py            every size into benchmarks/results, and the page
    python benchmarks/mingru_speed.py --short    one small size, nothing written

The ways take turns, so that what else the machine does falls on all of them; each figure is of
the fastest call in all rounds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import records
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid

from grukit.nn import GRU, MinGRU

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "mingru_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "mingru-speed.md"
# T time, B batch, H input and hidden size.
SIZES = ((10, 1, 64), (4000, 1, 16), (1000, 1, 64), (100, 64, 64), (500, 16, 128), (100, 64, 256))
SHORT = (50, 2, 8)
ROUNDS, SECONDS = 5, 0.3
NATIVE, GRU_TOO = "native scan", "GRU, native"


class LogSpace(nn.Module):
    """The minGRU as appendix B of its paper computes it: sums of logarithms, in torch ops."""

    def __init__(self, layer: MinGRU) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = linear(x, self.layer.weight_ih_l0, self.layer.bias_ih_l0)
        x_z, v = rows.chunk(2, dim=-1)
        log_n = torch.where(v >= 0, (torch.relu(v) + 0.5).log(), logsigmoid(v))
        carried = logsigmoid(x_z).cumsum(0)
        # The state before the first step is 0, so that nothing is added for it.
        h = (carried + (logsigmoid(-x_z) + log_n - carried).logcumsumexp(0)).exp()
        return h, h[-1:]


def ways(hidden: int) -> dict[str, nn.Module]:
    """The ways to compute it, all with the same weights, and a GRU."""
    layer = MinGRU(hidden, hidden, positive=True)
    found: dict[str, nn.Module] = {NATIVE: layer}
    for name, backend in (("scan in torch ops", "scan"), ("loop in torch ops", "reference")):
        found[name] = MinGRU(hidden, hidden, positive=True, backend=backend)
        found[name].load_state_dict(layer.state_dict())
    return {**found, "the paper's log space": LogSpace(layer), GRU_TOO: GRU(hidden, hidden)}


def uses(layer: nn.Module, x: Tensor) -> dict[str, Callable[[], Any]]:
    """An inference, and a training step's forward and backward for all gradients."""

    def train() -> None:
        layer(x)[0].sum().backward()

    def infer() -> None:
        with torch.no_grad():
            layer(x)

    return {"inference": infer, "training": train}


def milliseconds(call: Callable[[], Any]) -> float:
    """The fastest call of a warmed block."""
    call()
    best, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until or best == float("inf"):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def compare(size: tuple[int, int, int], rounds: int = ROUNDS) -> dict[str, Any]:
    """Of every way the milliseconds, and how many times as long as the native scan it takes."""
    steps, batch, hidden = size
    torch.manual_seed(0)
    x, layers = torch.randn(steps, batch, hidden), ways(hidden)
    wanted = layers[NATIVE](x)[0].detach()
    row: dict[str, Any] = {"size": size, "difference": {}}
    for name, layer in layers.items():
        if name != GRU_TOO:
            row["difference"][name] = (layer(x)[0].detach() - wanted).abs().max().item()
    for use in ("inference", "training"):
        times: dict[str, list[float]] = {name: [] for name in layers}
        for _ in range(rounds):
            for name, layer in layers.items():
                times[name].append(milliseconds(uses(layer, x)[use]))
        best = {name: min(own) for name, own in times.items()}
        row[use] = {
            name: {"milliseconds": own, "ratio": own / best[NATIVE]} for name, own in best.items()
        }
    return row


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    names = list(results["rows"][0]["training"])
    tables = []
    for use in ("inference", "training"):
        header = ["T, B, H", f"{names[0]}, ms", *(f"{name}: times as long" for name in names[1:])]
        lines = [f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
        for row in results["rows"]:
            cells = [", ".join(map(str, row["size"])), f"{row[use][NATIVE]['milliseconds']:.2f}"]
            cells += [f"{row[use][name]['ratio']:.1f}" for name in names[1:]]
            lines.append(f"| {' | '.join(cells)} |")
        tables.append(f"## {use.capitalize()}\n\n" + "\n".join(lines))
    body = "\n\n".join(tables)
    return f"""\
# Speed of the minGRU

A layer of `grukit.nn.MinGRU` as it runs by default, on the native scan, beside the other ways to
compute it and beside a `grukit.nn.GRU` of the same width on its native core; on a CPU, in float32.
T time, B batch, H input and hidden size. The scan in torch ops is the backend `scan`, which runs in
float64 and on other devices; the paper's log space is appendix B of Feng et al. 2024. A minGRU has
a third of the GRU's weights, and is another function: it is no quicker way to compute a GRU. A call
costs more of Python's own time than the GRU's, which goes straight to the core, so that for a few
steps the GRU is quicker.

{body}

Training is forward and backward for all gradients. Each figure is of the fastest call in rounds in
which the ways took turns; the load of the machine at the end was {results["load"]}. From
`python benchmarks/mingru_speed.py` on {results["date"]}: {results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        print(compare(SHORT, rounds=1))
        return
    rows = [compare(size) for size in SIZES]
    load = round(os.getloadavg()[0], 1)
    results = {**records.circumstances(), "load": load, "rows": rows}
    records.write(RESULTS, results)
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
