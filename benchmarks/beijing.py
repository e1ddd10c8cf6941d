"""Beijing: the temperature exactly 24 hours ahead, with every hour of 2014 as an origin.

Trained on 2010 to 2012, stopped by 2013; nothing later than the origin is an input.

    python benchmarks/beijing.py            three seeds into benchmarks/results, and the page
    python benchmarks/beijing.py --short    one small model, every 24th origin, nothing written

Each seed is saved when it is done; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import records

from grukit import FitConfig, Forecaster
from grukit.data import catalog

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "beijing.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "beijing.md"
SEEDS = (0, 1, 2)
AHEAD = 24
COVARIATES = ("pm2.5", "dew_point", "pressure", "wind_direction", "wind_speed", "snow", "rain")


def run(seed: int, short: bool = False) -> dict[str, Any]:
    """Train on 2010 to 2012 and score on 2014, 24 hours ahead."""
    table = catalog.load("beijing_pm25")
    model = Forecaster(
        horizon=AHEAD,
        lookback=24 if short else 72,
        target="temperature",
        past_covariates=COVARIATES,
        hidden_size=16 if short else 64,
        dropout=0.2,
        scaling="series",
        differencing=0,
        training=FitConfig(
            epochs=2 if short else 6, batch_size=256, learning_rate=5e-3 if short else 2e-3
        ),
        seed=seed,
    )
    started = time.monotonic()
    model.fit(table[table["ds"] < "2014"], validation="2013-01-01")
    seconds = time.monotonic() - started
    evaluation = model.evaluate(table, start="2014-01-01", stride=AHEAD if short else 1)
    at_24h = {
        name: {metric: float(values[AHEAD - 1]) for metric, values in metrics.items()}
        for name, metrics in evaluation.by_step.items()
    }
    return {
        "seed": seed,
        "origins": evaluation.windows,
        "training_seconds": round(seconds),
        "parameters": sum(parameter.numel() for parameter in model.network_.parameters()),
        "at_24h": at_24h,
        **records.circumstances(),
    }


def gain(row: dict[str, Any]) -> float:
    """By how much the model's RMSE is below that of 24 hour persistence, as a share of it."""
    model, *_ = row["at_24h"].values()
    return 1 - model["rmse"] / row["at_24h"]["seasonal naive"]["rmse"]


def page(rows: list[dict[str, Any]]) -> str:
    """The documentation page, from the saved rows."""
    names = {"seasonal naive": "24 h persistence (seasonal naive)"}
    lines = []
    for row in rows:
        model, metrics = next(iter(row["at_24h"].items()))
        lines.append(_line(f"{model}, seed {row['seed']}", metrics, f"{100 * gain(row):.1f} %"))
    for name, metrics in list(rows[0]["at_24h"].items())[1:]:
        lines.append(_line(names.get(name, name), metrics, ""))
    last = rows[-1]
    minutes = np.mean([row["training_seconds"] for row in rows]) / 60
    table = "\n".join(lines)
    return f"""\
# Weather: Beijing, 24 hours ahead

Temperature exactly 24 hours ahead, with every hour of 2014 as an origin ({last["origins"]:,}
forecasts). Trained on 2010 to 2012, stopped by 2013; nothing later than the origin is an input.
Covariates up to the origin: {", ".join(COVARIATES)}.

| forecaster | RMSE °C | MAE °C | pinball °C | in 80 % | in 95 % | RMSE below persistence |
| --- | --- | --- | --- | --- | --- | --- |
{table}

The baselines' intervals are the quantiles of their own errors on the training windows. The point
forecast is the median. The network has {last["parameters"]:,} parameters and trained for
{minutes:.1f} minutes on average.

From `python benchmarks/beijing.py` on {last["date"]}: {last["machine"]}; Python {last["python"]},
torch {last["torch"]}, grukit {last["grukit"]}.
"""


def _line(name: str, metrics: dict[str, float], below: str) -> str:
    figures = [f"{metrics[metric]:.2f}" for metric in ("rmse", "mae")]
    figures.append(f"{metrics['pinball']:.3f}")
    figures += [f"{100 * metrics[metric]:.1f} %" for metric in ("coverage_80", "coverage_95")]
    return f"| {name} | {' | '.join(figures)} | {below} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        row = run(seed=0, short=True)
        print(f"RMSE {100 * gain(row):.1f} % below 24 h persistence")
        return
    rows = records.read(RESULTS)
    for seed in SEEDS:
        if str(seed) not in rows:
            rows[str(seed)] = run(seed)
            RESULTS.parent.mkdir(exist_ok=True)
            records.write(RESULTS, rows)
            print(f"seed {seed}: RMSE {100 * gain(rows[str(seed)]):.1f} % below 24 h persistence")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page([rows[str(seed)] for seed in SEEDS]))


if __name__ == "__main__":
    main()
