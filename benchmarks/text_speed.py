"""Training of the text models beside the same models built on torch.nn.GRU, on this CPU.

    python benchmarks/text_speed.py            the default sizes into benchmarks/results, the page
    python benchmarks/text_speed.py --short    small sizes, nothing written

Each side runs whole updates (forward, backward, clipping, AdamW) in its own warmed block, several
rounds; the figures are medians. PyTorch's number of threads is that of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cpu
import numpy as np
import records
import torch

from grukit import TextGenerator
from grukit.data.chunks import Chunks
from grukit.nn.language_model import LanguageModel
from grukit.nn.masks import drop_mask
from grukit.tasks.generation import TRAINING, _loss
from grukit.training.optimization import Optimization

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "text_speed.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "text-speed.md"
ROUNDS, WARM_SECONDS, UPDATES = 5, 0.3, 5
# The tokens of a text in English characters: 65, the half bytes and the end.
CHARACTERS = 82


class TorchGRU(torch.nn.GRU):
    """torch's layer in the place of ours, with the same dropout of its input."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer.input_size, layer.hidden_size, layer.num_layers)
        self.load_state_dict(layer.state_dict())
        self.input_dropout = layer.input_dropout

    def forward(self, x: Any, state: Any = None, resets: Any = None) -> Any:
        assert resets is None
        assert self.num_layers == 1 or not self.input_dropout
        if self.training and self.input_dropout:
            x = x * drop_mask(x, (1, *x.shape[1:]), self.input_dropout)
        return super().forward(x, state)


def generator(hidden_size: int | None = None, length: int | None = None) -> dict[str, Any]:
    """Updates of TextGenerator's network, by default at its default sizes, and their losses."""
    given = TextGenerator()
    hidden_size, length = hidden_size or given.hidden_size, length or given.length
    lanes = TRAINING.batch_size
    row = np.random.default_rng(0).integers(1, CHARACTERS, lanes * length * 4)
    chunks = Chunks(row, lanes, length, start=0)
    sides, losses = {}, {}
    for name in ("grukit", "torch.nn.GRU"):
        torch.manual_seed(0)
        network = LanguageModel(
            CHARACTERS, max(32, hidden_size // 4), hidden_size, given.num_layers, given.dropout
        )
        if name == "torch.nn.GRU":
            network.recurrent = TorchGRU(network.recurrent)
        optimization = Optimization(network, _loss, TRAINING, carry_state=True)

        def update(optimization: Optimization = optimization) -> float:
            rate = TRAINING.learning_rate
            done = optimization.update(chunks, torch.tensor([0]), rate, None, "the benchmark")
            return done.total / done.count

        torch.manual_seed(1)
        losses[name] = [update() for _ in range(3)]
        sides[name] = update
    size = f"hidden size {hidden_size}, {lanes} places, {length} steps"
    return {"size": size, "tokens": lanes * length, "sides": sides, "losses": losses}


MODELS: dict[str, Callable[..., dict[str, Any]]] = {"TextGenerator": generator}


def compare(name: str, rounds: int = ROUNDS, **smaller: int) -> dict[str, Any]:
    """Tokens in a second on both sides, and how far their first losses are from each other."""
    job = MODELS[name](**smaller)
    seconds: dict[str, list[float]] = {side: [] for side in job["sides"]}
    for _ in range(rounds):
        for side, update in job["sides"].items():
            seconds[side].append(_median_seconds(update))
    ours, theirs = job["losses"].values()
    return {
        "size": job["size"],
        "difference": float(np.abs(np.subtract(ours, theirs)).max()),
        "tokens_per_second": {
            side: round(job["tokens"] / statistics.median(took)) for side, took in seconds.items()
        },
        "ratio": statistics.median(np.divide(seconds["torch.nn.GRU"], seconds["grukit"]).tolist()),
    }


def _median_seconds(call: Callable[[], Any]) -> float:
    until = time.perf_counter() + WARM_SECONDS
    while time.perf_counter() < until:
        call()
    took = []
    for _ in range(UPDATES):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


def page(results: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    lines = [
        f"| {name} | {row['size']} | {row['tokens_per_second']['grukit']:,} | "
        f"{row['tokens_per_second']['torch.nn.GRU']:,} | {row['ratio']:.2f} | "
        f"{row['difference']:.0e} |"
        for name, row in results["rows"].items()
    ]
    table = "\n".join(lines)
    return f"""\
# Speed of training on text

Whole updates (forward, backward, clipping, AdamW) of the text models at their default sizes, beside
the same models built on `torch.nn.GRU`, in float32, in tokens a second. The two sides start from
the same weights and draw the same masks; the difference is the largest between their first three
losses.

| model | size | grukit | torch.nn.GRU | times faster | difference |
| --- | --- | --- | --- | --- | --- |
{table}

From `python benchmarks/text_speed.py` on {results["date"]}: {results["cpu"]},
{results["machine"]};
Python {results["python"]}, torch {results["torch"]}, grukit {results["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        print({name: compare(name, 1, hidden_size=64, length=32) for name in MODELS})
        return
    rows = {name: compare(name) for name in MODELS}
    results = {**records.circumstances(), "cpu": cpu.features(), "rows": rows}
    records.write(RESULTS, results)
    PAGE.write_text(page(results))


if __name__ == "__main__":
    main()
