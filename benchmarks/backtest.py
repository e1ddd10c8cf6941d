"""A backtest of 1,000 windows beside a loop that calls `predict` 1,000 times.

Both give the same forecasts, which is checked before anything is timed. One thread.

    python benchmarks/backtest.py            five rounds into benchmarks/results, and the page
    python benchmarks/backtest.py --short    30 windows, one round, nothing written
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import records
import torch

from grukit import FitConfig, Forecaster
from grukit.data.synthetic import seasonal_series

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "backtest.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "backtest.md"
WINDOWS, ROUNDS = 1_000, 5
LOOKBACK, HORIZON, HIDDEN = 72, 24, 64
GOAL = 10


def run(windows: int = WINDOWS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Seconds of each way, one figure a round, and the largest difference of their forecasts."""
    torch.set_num_threads(1)
    hours = 24 * 100
    table = pd.DataFrame(seasonal_series(count=1, length=hours + windows + HORIZON - 1))
    training = FitConfig(epochs=1, learning_rate=5e-3, progress=False)
    model = Forecaster(
        horizon=HORIZON, lookback=LOOKBACK, hidden_size=HIDDEN, training=training
    ).fit(table[:hours])

    def loop() -> np.ndarray:
        pasts = (table[origin - LOOKBACK : origin] for origin in range(hours, hours + windows))
        return np.concatenate([model.predict(past).values[0] for past in pasts])

    ways: dict[str, Callable[[], Any]] = {
        "a loop of predict": loop,
        "backtest": lambda: model.backtest(table),
        "evaluate": lambda: model.evaluate(table),
    }
    in_one = model.backtest(table)
    levels = [name for name in in_one.columns if name.startswith("q0")]
    assert len(in_one) == windows * HORIZON
    difference = float(np.abs(in_one[levels].to_numpy() - loop()).max())
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            started = time.perf_counter()
            call()
            seconds[way].append(time.perf_counter() - started)
    return {
        "windows": windows,
        "seconds": seconds,
        "largest_difference": difference,
        **records.circumstances(),
    }


def ratio(row: dict[str, Any], way: str) -> float:
    """How many times as long the loop takes, by the medians."""
    median = {name: statistics.median(seconds) for name, seconds in row["seconds"].items()}
    return median["a loop of predict"] / median[way]


def page(row: dict[str, Any]) -> str:
    """The documentation page, from the saved row."""
    lines = "\n".join(
        f"| {name} | {statistics.median(seconds):.3f} | {min(seconds):.3f} to {max(seconds):.3f} | "
        f"{ratio(row, name):.1f} |"
        for name, seconds in row["seconds"].items()
    )
    return f"""\
# Speed of a backtest

{row["windows"]:,} forecasts from the past of one hourly series, by a GRU of {HIDDEN} units that
looks {LOOKBACK} steps back and {HORIZON} ahead: one call of `backtest`, which hands them out, or of
`evaluate`, which also makes and scores three baselines, beside a loop that gives each past of
{LOOKBACK} rows to `predict`. The forecasts of both are the same to {row["largest_difference"]:.1g},
in a series that varies by about 1.

| way | seconds, median | range | times as fast as the loop |
| --- | --- | --- | --- |
{lines}

The loop reads, checks and encodes a table for every forecast, and forecasts one window at a time;
the backtest does the first once and the second in batches.

From `python benchmarks/backtest.py` on {row["date"]}: {row["machine"]}, on a shared machine,
{len(row["seconds"]["evaluate"])} rounds; Python {row["python"]}, torch {row["torch"]}, grukit
{row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    short = parser.parse_args().short
    row = run(30, 1) if short else run()
    for way in ("backtest", "evaluate"):
        print(f"{way}: {ratio(row, way):.1f} times as fast as a loop of predict (goal: {GOAL})")
    if not short:
        RESULTS.parent.mkdir(exist_ok=True)
        records.write(RESULTS, row)
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(row))


if __name__ == "__main__":
    main()
