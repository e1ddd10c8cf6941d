"""ETTh1: the seven columns of a transformer, 96 to 720 hours ahead from the last 96.

The protocol of the papers: 12 months to train, 4 to validate, 4 to test; every column is a series,
standardized by its training rows; squared and absolute error over all test windows, steps and
columns, none left out.

    python benchmarks/ett.py            every horizon and seed into benchmarks/results, and the page
    python benchmarks/ett.py --short    one small model, every 24th origin, nothing written

Each row is saved when it is done; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path
from typing import Any

import numpy as np
import records
import torch

from grukit import FitConfig, Forecaster
from grukit.data import catalog

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ett.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "ett.md"
HORIZONS, SEEDS = (96, 192, 336, 720), (0, 1, 2)
LOOKBACK, DAY = 96, 24
TRAINING, VALIDATION, TEST = 8640, 2880, 2880
COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
# MSE and MAE published at a look-back of 96; SegRNN is the network that is trained here.
PUBLISHED = {
    "SegRNN": (0.368, 0.395),
    "iTransformer": (0.386, 0.405),
    "DLinear": (0.386, 0.400),
    "PatchTST": (0.414, 0.419),
}


def wide() -> Any:
    """The rows of the protocol, each column standardized by its training rows."""
    table = catalog.load("etth1").iloc[: TRAINING + VALIDATION + TEST].set_index("ds")
    table = table[list(COLUMNS)]
    learned = table.iloc[:TRAINING]
    return (table - learned.mean()) / learned.std(ddof=0)


def forecaster(horizon: int, seed: int, short: bool) -> Forecaster:
    """The model, the same at every horizon; chosen by the validation rows."""
    return Forecaster(
        horizon=horizon,
        lookback=LOOKBACK,
        levels=(0.5,),
        network="segments",
        hidden_size=16 if short else 64,
        dropout=0.0 if short else 0.3,
        scaling="window",
        differencing=0,
        training=FitConfig(
            epochs=1 if short else 3, batch_size=256, learning_rate=5e-3 if short else 2e-3
        ),
        seed=seed,
    )


def run(horizon: int, seed: int, short: bool = False) -> dict[str, Any]:
    """Train, and score on the test months."""
    values = wide()
    times = values.index
    table = values.reset_index().melt("ds", var_name="unique_id", value_name="y")
    before = table[table["ds"] < times[TRAINING + VALIDATION]]
    model = forecaster(horizon, seed, short)
    started = _cpu_seconds()
    model.fit(before, validation=times[TRAINING].isoformat())
    stride = DAY if short else 1
    start = times[TRAINING + VALIDATION].isoformat()
    evaluation = model.evaluate(table, start=start, stride=stride)
    seconds = _cpu_seconds() - started
    scores = {
        score.name: {"mse": score.metrics["rmse"] ** 2, "mae": score.metrics["mae"]}
        for score in evaluation.scores
    }
    scores["mean of 4 days by hour"] = mean_by_hour(values.to_numpy(), horizon, stride)
    assert model.validation_ is not None
    return {
        "horizon": horizon,
        "seed": seed,
        "windows": evaluation.windows // len(COLUMNS),
        "validation_mse": model.validation_.scores[0].metrics["rmse"] ** 2,
        "epochs": len(model.history_),
        "cpu_seconds": round(seconds),
        "parameters": sum(parameter.numel() for parameter in model.network_.parameters()),
        "scores": scores,
        **records.circumstances(),
    }


def mean_by_hour(values: np.ndarray, horizon: int, stride: int = 1) -> dict[str, float]:
    """The mean of the same hour on the last four days, over all test windows."""
    first = TRAINING + VALIDATION
    squared, absolute, count = 0.0, 0.0, 0
    for origin in range(first, len(values) - horizon + 1, stride):
        days = values[origin - LOOKBACK : origin].reshape(-1, DAY, values.shape[1])
        forecast = days.mean(axis=0)[np.arange(horizon) % DAY]
        error = values[origin : origin + horizon] - forecast
        squared, absolute = squared + (error**2).sum(), absolute + np.abs(error).sum()
        count += error.size
    return {"mse": squared / count, "mae": absolute / count}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def page(rows: dict[str, dict[str, Any]]) -> str:
    """The documentation page, from the saved rows."""
    horizons = [horizon for horizon in HORIZONS if f"{horizon}-{SEEDS[0]}" in rows]
    lines = []
    for horizon in horizons:
        of_seeds = [rows[f"{horizon}-{seed}"] for seed in SEEDS if f"{horizon}-{seed}" in rows]
        name, *baselines = of_seeds[0]["scores"]
        ours = [row["scores"][name] for row in of_seeds]
        mean = {metric: np.mean([score[metric] for score in ours]) for metric in ("mse", "mae")}
        told = ", ".join(f"{score['mse']:.3f}" for score in ours)
        windows = f"{of_seeds[0]['windows']:,}"
        seconds = np.mean([row["cpu_seconds"] for row in of_seeds])
        lines.append(
            _line(str(horizon), windows, f"{name}, by segments", mean, told, f"{seconds:.0f}")
        )
        lines += [_line("", "", rule, of_seeds[0]["scores"][rule]) for rule in baselines]
        if horizon == HORIZONS[0]:
            lines += [
                _line("", "", f"{who}, published", {"mse": mse, "mae": mae})
                for who, (mse, mae) in PUBLISHED.items()
            ]
    table = "\n".join(lines)
    row = rows[f"{HORIZONS[0]}-{SEEDS[0]}"]
    last = list(rows.values())[-1]
    return f"""\
# Long horizons: ETTh1

Six loads and the oil temperature of a transformer, hourly, {horizons[0]} to {horizons[-1]} hours
ahead from the last {LOOKBACK}. Twelve months to train, four to validate, four to test; each column
is a series, standardized by its training rows. Squared and absolute error over every window that
lies in the test months, all steps and columns.

| horizon | windows | forecaster | MSE | MAE | MSE of each seed | CPU seconds |
| --- | --- | --- | --- | --- | --- | --- |
{table}

One network of {row["parameters"]:,} parameters at {HORIZONS[0]} hours serves all columns; the
settings are the same at every horizon. They were chosen at {HORIZONS[0]} hours, on the validation
months and on the last four of the twelve training months; no test month took part. The loss is the
absolute error, the forecast the median. Published rows are those of the authors' own programs, of
which SegRNN has 512 units. CPU seconds are those of one thread for training, validation and test
together, the baselines' scores included.

From `python benchmarks/ett.py` on {last["date"]}: {last["machine"]}; Python {last["python"]},
torch {last["torch"]}, grukit {last["grukit"]}.
"""


def _line(
    horizon: str, windows: str, name: str, scores: dict[str, float], told: str = "", cpu: str = ""
) -> str:
    figures = f"{scores['mse']:.3f} | {scores['mae']:.3f}"
    return f"| {horizon} | {windows} | {name} | {figures} | {told} | {cpu} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    torch.set_num_threads(1)
    if parser.parse_args().short:
        print(run(HORIZONS[0], seed=0, short=True))
        return
    rows = records.read(RESULTS)
    for horizon in HORIZONS:
        for seed in SEEDS:
            name = f"{horizon}-{seed}"
            if name not in rows:
                rows[name] = run(horizon, seed)
                RESULTS.parent.mkdir(exist_ok=True)
                records.write(RESULTS, rows)
                print(name, next(iter(rows[name]["scores"].values())), flush=True)
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
