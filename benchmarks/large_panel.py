"""Ten million rows: a Parquet file of 10,000 daily series, read and trained on for one epoch.

    python benchmarks/large_panel.py            makes the file, writes benchmarks/results, the page
    python benchmarks/large_panel.py --short    20 series, nothing written

Each measurement runs in a process of its own, whose peak memory it tells, and is saved when it is
done; the same command goes on from there. PyTorch's number of threads is that of OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import records

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "large_panel.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "large-panel.md"
ROWS, AT_ONCE, HORIZON = 1000, 1000, 14
# Series, and FitConfig.items_per_epoch: by default at most a million windows; or every window.
CASES = {
    "small": (20, None),
    "default": (10_000, None),
    "every window": (10_000, 10_000 * ROWS),
}


def make_file(path: Path, series: int) -> None:
    """Daily series with a week of their own and levels far apart, written part by part."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    schema = arrow.schema(
        [("unique_id", arrow.string()), ("ds", arrow.timestamp("us")), ("y", arrow.float64())]
    )
    random = np.random.default_rng(0)
    days = np.arange(ROWS)
    times = np.datetime64("2021-01-01", "us") + days.astype("timedelta64[D]")
    with parquet.ParquetWriter(path, schema) as writer:
        for first in range(0, series, AT_ONCE):
            count = min(AT_ONCE, series - first)
            level = random.lognormal(3.0, 1.0, (count, 1))
            phase = random.integers(0, 7, (count, 1))
            week = 0.3 * np.sin(2 * np.pi * (days + phase) / 7)
            y = level * (1 + week + 0.1 * random.standard_normal((count, ROWS)))
            names = np.array([f"series_{number:05}" for number in range(first, first + count)])
            columns = [names.repeat(ROWS), np.tile(times, count), y.ravel()]
            writer.write_table(arrow.table(columns, schema=schema))


def measure(path: Path, items_per_epoch: int | None) -> dict[str, Any]:
    """Fit for one epoch in this process, which should have done nothing before."""
    from grukit import FitConfig, Forecaster
    from grukit.tasks import forecast_split

    started, worked = time.monotonic(), time.process_time()
    config = FitConfig(epochs=1, batch_size=1024, items_per_epoch=items_per_epoch)
    model = Forecaster(horizon=HORIZON, training=config).fit(path)
    seconds, processor = time.monotonic() - started, time.process_time() - worked
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    series = model.report_.rows // ROWS
    windows = series * _windows_of_a_series(model.lookback_)
    scores = {score.name: score.metrics for score in model.validation_.scores}
    return {
        "rows": model.report_.rows,
        "series": series,
        "windows": windows,
        "trained_windows": min(windows, items_per_epoch or forecast_split.LARGEST_EPOCH),
        "scored_windows": model.validation_.windows,
        "seconds": round(seconds),
        "processor_seconds": round(processor),
        "peak_mebibytes": round(kilobytes / 1024),
        "mae": {name: metrics["mae"] for name, metrics in scores.items()},
        **records.circumstances(),
    }


def _windows_of_a_series(lookback: int) -> int:
    """Of the rows before those for validation."""
    return round(0.85 * ROWS) - lookback - HORIZON + 1


def run(name: str) -> dict[str, Any]:
    """`measure` a case in a fresh process."""
    series, items_per_epoch = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.parquet"
        make_file(path, series)
        command = [sys.executable, __file__, "--measure", str(path), str(items_per_epoch or "")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def page(rows: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    lines = [
        f"| {row['rows']:,} | {row['windows']:,} | {row['trained_windows']:,} | "
        f"{row['seconds'] / 60:.1f} | {row['processor_seconds'] / 60:.1f} | "
        f"{row['peak_mebibytes'] / 1024:.2f} |"
        for row in rows.values()
    ]
    row = rows["default"]
    model, *others = row["mae"].items()
    beside = ", ".join(f"{name} {mae:.2f}" for name, mae in others)
    every = next(iter(rows["every window"]["mae"].values()))
    table = "\n".join(lines)
    return f"""\
# Ten million rows

A Parquet file of {row["series"]:,} daily series of {ROWS:,} rows each, {row["rows"]:,} rows in
all, given to `Forecaster(horizon={HORIZON}).fit(path)` for one epoch. The minutes are those of the
whole call: the file read, checked and encoded, the epoch trained, and
{row["scored_windows"]:,} validation windows scored beside the baselines. The memory is the largest
that the process ever held, Python and torch included: the first row, of
{rows["small"]["series"]} such series, shows what it takes without data.

| rows | training windows | drawn for the epoch | minutes | of a processor | peak memory, GiB |
| --- | --- | --- | --- | --- | --- |
{table}

By default an epoch draws a million windows, and the next epoch those that were not drawn yet;
`FitConfig(items_per_epoch=...)` sets the number. Memory grows with the rows, whose time, target and
features of the calendar are kept once; a window is cut from them when its batch is made.

After the epoch of a million the mean absolute error on the validation windows is {model[1]:.2f}
({model[0]}), beside {beside}; after that of every window {every:.2f}.

From `python benchmarks/large_panel.py` on {row["date"]}: {row["machine"]}, much of it taken by
other work, so that the minutes are upper bounds and those of the processor tell more;
Python {row["python"]}, torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    parser.add_argument("--measure", nargs=2, metavar=("FILE", "ITEMS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        path, items = chosen.measure
        print(json.dumps(measure(Path(path), int(items) if items else None)))
        return
    if chosen.short:
        row = run("small")
        print(f"{row['rows']:,} rows: {row['peak_mebibytes']} MiB at most")
        return
    rows = records.read(RESULTS)
    for name in CASES:
        if name not in rows:
            rows[name] = run(name)
            RESULTS.parent.mkdir(exist_ok=True)
            records.write(RESULTS, rows)
            print(f"{name}: {rows[name]['seconds']} s, {rows[name]['peak_mebibytes']} MiB")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
