"""Gaps: a GRU told of them by a marker, and a GRU-D, on a process whose best forecast is known.

    python benchmarks/gaps.py            into benchmarks/results, and the page
    python benchmarks/gaps.py --short    one seed, one share, few epochs, nothing written

Four hourly series x_t = 0.95 x_(t-1) + e_t of variance 1, of which a share is missing at random.
The best forecast of x_(t+k) is 0.95^(d+k) x', with x' the last observation, d steps old. Each run
is saved when it is done; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import records

from grukit import FitConfig, Forecaster

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gaps.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "gaps.md"
SHARES, CELLS, SEEDS = (0.0, 0.5, 0.8), ("gru", "gru_d"), (0, 1, 2)
SERIES, LENGTH, TRAINING = 4, 1600, 1200
HORIZON, LOOKBACK, MEMORY = 6, 48, 0.95


def table(missing: float, seed: int) -> pd.DataFrame:
    """The series, long, NaN where missing."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((SERIES, LENGTH))
    for t in range(1, LENGTH):
        x[:, t] = MEMORY * x[:, t - 1] + (1 - MEMORY**2) ** 0.5 * x[:, t]
    x[random.random(x.shape) < missing] = np.nan
    hours = pd.date_range("2024-01-01", periods=LENGTH, freq="h")
    names = [f"series {number}" for number in range(SERIES)]
    return pd.DataFrame(
        {"unique_id": np.repeat(names, LENGTH), "ds": np.tile(hours, SERIES), "y": x.ravel()}
    )


def best_mae(series: pd.DataFrame) -> float:
    """The mean absolute error of the best forecast, on the windows that models are scored on."""
    errors = []
    for y in series.y.to_numpy().reshape(SERIES, LENGTH):
        for origin in range(TRAINING, LENGTH - HORIZON + 1):
            seen = np.flatnonzero(~np.isnan(y[origin - LOOKBACK : origin]))
            if len(seen):
                age = LOOKBACK - seen[-1] + np.arange(HORIZON)
                errors.append(y[origin - LOOKBACK + seen[-1]] * MEMORY**age - y[origin:][:HORIZON])
    return float(np.nanmean(np.abs(errors)))


def run(cell: str, missing: float, seed: int, short: bool = False) -> dict[str, Any]:
    """Train and score one model; the data has the seed, too."""
    series = table(missing, seed)
    model = Forecaster(
        horizon=HORIZON,
        lookback=LOOKBACK,
        cell=cell,
        hidden_size=24,
        scaling="series",
        differencing=0,
        training=FitConfig(epochs=3 if short else 10, learning_rate=5e-3),
        seed=seed,
    )
    started = time.monotonic()
    start = series.ds.min() + pd.Timedelta(hours=TRAINING)
    model.fit(series[series.ds < start])
    seconds = time.monotonic() - started
    evaluation = model.evaluate(series, start=start)
    return {
        "training_seconds": round(seconds),
        "mae": {score.name: score.metrics["mae"] for score in evaluation.scores},
        "best_mae": best_mae(series),
        **records.circumstances(),
    }


def page(rows: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    lines = []
    for missing in SHARES:
        of_cell = {cell: [rows[f"{cell} {missing} {seed}"] for seed in SEEDS] for cell in CELLS}
        errors = [
            " / ".join(f"{next(iter(row['mae'].values())):.3f}" for row in own)
            for own in of_cell.values()
        ]
        first = of_cell["gru"]
        last = np.mean([row["mae"]["last value"] for row in first])
        best = np.mean([row["best_mae"] for row in first])
        seconds = [np.mean([row["training_seconds"] for row in own]) for own in of_cell.values()]
        times = f"{seconds[1] / seconds[0]:.1f}"
        lines.append(
            f"| {100 * missing:.0f} % | {' | '.join(errors)} | {best:.3f} | {last:.3f} | {times} |"
        )
    rows_of_table, row = "\n".join(lines), rows[f"gru_d {SHARES[-1]} {SEEDS[-1]}"]
    return f"""\
# Gaps: GRU and GRU-D

Four hourly series, each x(t) = {MEMORY} x(t-1) + noise, of which a share is missing at random,
forecast {HORIZON} hours ahead from {LOOKBACK}. The mean absolute error on the
{LENGTH - TRAINING} hours after training, for three seeds of data and network; beside it that of the
best forecast there is for such a process, and of the last observed value; and how many times as
long GRU-D trained.

| missing | GRU, with a marker | GRU-D | best possible | last value | time, GRU-D to GRU |
| --- | --- | --- | --- | --- | --- |
{rows_of_table}

Both read the same numbers and have 24 units. Take `cell="gru_d"` where much of the lookback is
missing, and compare by `validation_`; where little is, it costs time and gains nothing.

From `python benchmarks/gaps.py` on {row["date"]}: {row["machine"]}, shared with other work;
Python {row["python"]}, torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        for cell in CELLS:
            print(cell, run(cell, 0.8, 0, short=True)["mae"])
        return
    rows = records.read(RESULTS)
    for name in (f"{cell} {share} {seed}" for share in SHARES for seed in SEEDS for cell in CELLS):
        if name not in rows:
            cell, share, seed = name.split()
            rows[name] = run(cell, float(share), int(seed))
            RESULTS.parent.mkdir(exist_ok=True)
            records.write(RESULTS, rows)
            print(name, rows[name]["mae"], rows[name]["best_mae"], flush=True)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
