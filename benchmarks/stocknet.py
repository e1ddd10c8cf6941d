"""Stocks: the direction and the variance of the next day, of 88 stocks, beside what they must beat.

Direction on the split of Xu and Cohen (2018), and walking forward over the years after it;
variance walking forward from the same day. Everything was chosen before 2015-10-01.

    python benchmarks/stocknet.py            five seeds into benchmarks/results, and the page
    python benchmarks/stocknet.py --short    one small model of 12 stocks, nothing written

Each seed is saved when it is done; the same command goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import records

from grukit import FitConfig
from grukit.data import catalog
from grukit.evaluation.diebold_mariano import diebold_mariano
from grukit.evaluation.direction import (
    accuracy,
    daily_counts,
    interval,
    majority,
    mcc,
    momentum,
    movements,
)
from grukit.evaluation.strategy import StrategyCurve, strategy_curve
from grukit.evaluation.volatility import qlike
from grukit.evaluation.walk_forward import Split, walk_forward
from grukit.recipes.stocks import Market, return_forecasts, variance_baselines, variance_forecasts

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "stocknet.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "stocknet.md"
SEEDS = (0, 1, 2, 3, 4)
HALF_YEAR = 126
EMBARGO = 1
LEARNED_DAYS = 440
"""Trading days of one training for directions: as many as on the split of 2015."""
COST = 0.001
SHORT = {"hidden_size": 4, "training": FitConfig(epochs=1, batch_size=512)}
ACL18, WALK = "ACL18", "walk-forward"


def directions(market: Market) -> Iterator[tuple[str, Split]]:
    """The splits for directions: that of the paper, then half-years from 2016 on."""
    test = slice(market.row("2015-10-01"), market.row("2016-01-01"))
    yield ACL18, Split(slice(market.row("2014-01-01"), test.start), test)
    for split in walk_forward(
        len(market.days), first=test.stop, step=HALF_YEAR, embargo=EMBARGO, window=LEARNED_DAYS
    ):
        yield WALK, split


def variances(market: Market) -> Iterator[Split]:
    """The splits for variances: half-years from 2015-10-01 on, after all rows before."""
    first = market.row("2015-10-01")
    return walk_forward(len(market.days), first=first, step=HALF_YEAR, embargo=EMBARGO)


def direction_rows(market: Market, calls: np.ndarray) -> dict[str, Any]:
    """Of each test, what became of the calls [T, S] of each day, and what trading on them earned.

    The strategy holds every stock in equal parts, long where the call is up and short where not.
    """
    returns = np.expm1(market.matrix("log_return"))
    rows = {}
    for test in (ACL18, WALK):
        splits = [split.test for name, split in directions(market) if name == test]
        days = slice(splits[0].start, splits[-1].stop)
        known = ~np.isnan(returns[days])
        signs = np.where(calls[days], 1.0, -1.0) * known
        curve = strategy_curve(signs / known.sum(axis=1, keepdims=True), returns[days], COST)
        rows[test] = {
            "counts": [_packed(c) for c in daily_counts(movements(returns[days]), calls[days]).T],
            "gross": _packed(curve.gross),
            "turnover": _packed(curve.turnover),
        }
    return rows


def run_baselines(market: Market) -> dict[str, Any]:
    """What needs no training."""
    returns = market.matrix("log_return")
    most = np.zeros(returns.shape, bool)
    for _, split in directions(market):
        movement = movements(np.expm1(returns[split.train]))
        most[split.test] = majority(movement, split.test.stop - split.test.start)
    variance, forecasts, known = _variance(market)
    return {
        "majority": direction_rows(market, most),
        "momentum": direction_rows(market, momentum(returns)),
        "qlike": {name: _packed(daily_loss(variance, f, known)) for name, f in forecasts.items()},
        "forecasts": int(known.sum()),
    }


def run(market: Market, seed: int, **changes: Any) -> dict[str, Any]:
    """One seed of the GRU on every split."""
    calls = np.zeros((len(market.days), len(market.stocks)), bool)
    for _, split in directions(market):
        found = return_forecasts(market, split, seed=seed, **changes)
        calls[split.test] = found[split.test] > 0
    variance, _, known = _variance(market)
    forecast = np.full(variance.shape, np.nan)
    for split in variances(market):
        found = variance_forecasts(market, split, seed=seed, **changes)
        forecast[split.test] = found[split.test]
    return {
        "direction": direction_rows(market, calls),
        "qlike": _packed(daily_loss(variance, forecast, known)),
        **records.circumstances(),
    }


def _variance(market: Market) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """What is forecast, the baselines' forecasts, and where all of them are known."""
    variance = market.matrix("variance")
    forecasts = variance_baselines(market, next(variances(market)).test.start)
    return variance, forecasts, np.isfinite(np.stack([variance, *forecasts.values()])).all(axis=0)


def daily_loss(variance: np.ndarray, forecast: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean QLIKE over the known stocks of each day that has any."""
    days = known.any(axis=1)
    return np.nanmean(qlike(np.where(known, variance, np.nan), forecast)[days], axis=1)


def _packed(values: np.ndarray) -> str:
    """Numbers in one line, since rows are written one value a line."""
    return " ".join(f"{value:.6g}" for value in values)


def _unpacked(text: str) -> np.ndarray:
    return np.array(text.split(), np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    if parser.parse_args().short:
        market = short_market()
        rows = {"baselines": run_baselines(market), "0": run(market, 0, **SHORT)}
        print(page(rows, seeds=(0,)))
        return
    market = Market.from_prices(catalog.load("stocknet"))
    rows = records.read(RESULTS)
    RESULTS.parent.mkdir(exist_ok=True)
    for name in ("baselines", *map(str, SEEDS)):
        if name not in rows:
            rows[name] = run_baselines(market) if name == "baselines" else run(market, int(name))
            records.write(RESULTS, rows)
            print(f"{name}: done", flush=True)
    PAGE.write_text(page(rows))


def short_market() -> Market:
    """The first 12 stocks."""
    prices = catalog.load("stocknet")
    return Market.from_prices(prices[prices["unique_id"].isin(prices["unique_id"].unique()[:12])])


def page(rows: dict[str, Any], seeds: tuple[int, ...] = SEEDS) -> str:
    """The documentation page, from the saved rows."""
    own = [rows[str(seed)] for seed in seeds]
    last, baselines = own[-1], rows["baselines"]
    models = {
        "majority of training": [baselines["majority"]],
        "momentum (yesterday's sign)": [baselines["momentum"]],
        f"GRU, mean of {len(seeds)} seeds": [row["direction"] for row in own],
    }
    return f"""\
# Stocks: direction and variance of the next day

The 88 stocks of [stocknet](https://github.com/yumoxu/stocknet-dataset), daily, September 2012 to
September 2017. What follows is forecast at the close for the next trading day. Settings were
chosen before October 2015, and everything below is later.

{_finding(models, baselines, own)}

## Direction

Up is a return above 0.55 %, down one of -0.5 % or less, and days between are left out, as in Xu and
Cohen (2018). The GRU reads ten days of a stock's and the market's returns; its call is the sign of
the median that it forecasts. Intervals are 95 %, by a bootstrap over days and seeds.

On the split of that paper, from October to December 2015 ({_calls(models, ACL18)} movements):

{_direction_table(models, ACL18, own)}

Walking forward, from January 2016 to September 2017 ({_calls(models, WALK)} movements), with a
training on the {LEARNED_DAYS} days before each half-year, less an embargo of {EMBARGO} day:

{_direction_table(models, WALK, own)}

What trading on these calls would have earned walking forward, long or short in all stocks in equal
parts, before costs and after {100 * COST:g} % of what is traded:

{_strategy_table(models)}

The stocks were picked in hindsight, as large ones of their sectors: holding them all looks better
here than it was.

## Variance

Parkinson's variance from the day's high and low, from October 2015 to September 2017:
{baselines["forecasts"]:,} forecasts. QLIKE is the mean over days of the mean over stocks; 0 is
perfect. The test is that of Diebold and Mariano on the daily means, the GRU's over its seeds too;
a negative statistic says that the GRU has the smaller loss.

{_variance_table(baselines, own)}

EWMA has RiskMetrics' 0.94. HAR is that of Corsi (2009), by stock; log HAR is the same of the
logarithm. Log HAR + market is one regression for all stocks, which sees the market's variance and
returns, the size of returns and the volume as well. These are refitted every month. The GRU reads
22 days of the same measures and forecasts what the last regression leaves over; it is trained every
half-year. All forecasts of a logarithm are made unbiased on their training rows.

From `python benchmarks/stocknet.py` on {last["date"]}: {last["machine"]}; Python {last["python"]},
torch {last["torch"]}, grukit {last["grukit"]}.
"""


Models = dict[str, list[dict[str, Any]]]


def _counts(of_seeds: list[dict[str, Any]], test: str) -> np.ndarray:
    """[K, T, 4] of K seeds."""
    return np.stack([np.stack([_unpacked(c) for c in row[test]["counts"]], -1) for row in of_seeds])


def _calls(models: Models, test: str) -> str:
    return f"{int(_counts(next(iter(models.values())), test).sum()):,}"


def _direction_table(models: Models, test: str, own: list[dict[str, Any]]) -> str:
    lines = ["| calls | accuracy % | 95 % | MCC | 95 % |", "| --- | --- | --- | --- | --- |"]
    for name, of_seeds in models.items():
        counts = _counts(of_seeds, test)
        right, matthews = accuracy(counts).mean(), mcc(counts).mean()
        low, high = interval(accuracy, counts)
        least, most = interval(mcc, counts)
        lines.append(
            f"| {name} | {100 * right:.2f} | {100 * low:.1f} to {100 * high:.1f} | "
            f"{matthews:.3f} | {least:.3f} to {most:.3f} |"
        )
    for seed, row in enumerate(own):
        counts = _counts([row["direction"]], test)
        lines.append(
            f"| GRU, seed {seed} | {100 * accuracy(counts)[0]:.2f} | | {mcc(counts)[0]:.3f} | |"
        )
    return "\n".join(lines)


def _curves(of_seeds: list[dict[str, Any]]) -> list[StrategyCurve]:
    curves = []
    for row in of_seeds:
        gross, turnover = (_unpacked(row[WALK][name]) for name in ("gross", "turnover"))
        curves.append(StrategyCurve(gross, gross - COST * turnover, turnover))
    return curves


def _strategy_table(models: Models) -> str:
    lines = [
        "| calls | traded a day | return a year before costs | after | Sharpe after | drawdown |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, of_seeds in models.items():
        curves = _curves(of_seeds)
        free = [StrategyCurve(curve.gross, curve.gross, curve.turnover) for curve in curves]
        traded = np.mean([curve.turnover.mean() for curve in curves])
        lines.append(
            f"| {name} | {100 * traded:.0f} % | "
            f"{100 * np.mean([curve.annual_return for curve in free]):.1f} % | "
            f"{100 * np.mean([curve.annual_return for curve in curves]):.1f} % | "
            f"{np.mean([curve.sharpe for curve in curves]):.2f} | "
            f"{100 * np.mean([curve.drawdown for curve in curves]):.0f} % |"
        )
    return "\n".join(lines)


def _variance_table(baselines: dict[str, Any], own: list[dict[str, Any]]) -> str:
    of_seeds = np.stack([_unpacked(row["qlike"]) for row in own])
    lines = [
        "| forecast | QLIKE | GRU less this | DM statistic | p |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, packed in baselines["qlike"].items():
        loss = _unpacked(packed)
        test = diebold_mariano(of_seeds.mean(axis=0), loss)
        lines.append(
            f"| {name} | {loss.mean():.4f} | {test.difference:+.4f} | {test.statistic:.2f} | "
            f"{_p_value(test.p_value)} |"
        )
    lines.append(
        f"| log HAR + market + GRU, mean of {len(own)} seeds | {of_seeds.mean():.4f} | | | |"
    )
    lines += [
        f"| the same, seed {seed} | {loss.mean():.4f} | | | |" for seed, loss in enumerate(of_seeds)
    ]
    return "\n".join(lines)


def _p_value(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _finding(models: Models, baselines: dict[str, Any], own: list[dict[str, Any]]) -> str:
    loss = np.stack([_unpacked(row["qlike"]) for row in own]).mean(axis=0)
    others = {name: _unpacked(packed) for name, packed in baselines["qlike"].items()}
    ewma, har, log_har, market = (
        f"{100 * (1 - loss.mean() / other.mean()):.1f} %" for other in others.values()
    )
    p_value = diebold_mariano(loss, others["log HAR + market"]).p_value
    gru = models[next(reversed(models))]
    counts = _counts(gru, WALK)
    right = f"{100 * accuracy(counts).mean():.1f} %"
    low, high = (f"{100 * end:.1f}" for end in interval(accuracy, counts))
    earned = f"{100 * np.mean([curve.annual_return for curve in _curves(gru)]):.0f} %"
    return f"""\
**How far a stock will move can be forecast.** The QLIKE of the model with the GRU is {ewma} below
that of EWMA, {har} below that of HAR, and {log_har} below that of a HAR of the logarithm. Most of
this needs no network: beside a linear regression that sees the whole market, the gain is {market}
(p = {p_value:.2f}).

**Which way it will move cannot, from prices alone.** Walking forward the GRU is right in {right} of
the movements ({low} to {high} %), and trading on it would have returned {earned} a year after
costs."""


if __name__ == "__main__":
    main()
