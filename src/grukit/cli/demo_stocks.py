"""grukit demo stocks: what can be told of the next day of a stock, and what cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grukit.cli.options import download_bar
from grukit.cli.output import say, show, table
from grukit.core.files import write_atomically

if TYPE_CHECKING:
    from grukit.evaluation.walk_forward import Split
    from grukit.recipes.stocks import Market

FROM = "2017-03-01"
LEARNED_DAYS = 440
SHOWN = ("AAPL", "JPM", "XOM")


def stocks(folder: Path) -> tuple[dict[str, Any], Callable[[], None], str]:
    """How far 88 stocks move on the next day, and which way, over six months."""
    import numpy as np

    from grukit.data import catalog
    from grukit.evaluation.walk_forward import Split
    from grukit.plots.rolling import RollingDisplay
    from grukit.recipes.stocks import Market

    with download_bar("stocknet") as progress:
        market = Market.from_prices(catalog.load("stocknet", progress))
    first, days = market.row(FROM), len(market.days)
    split = Split(slice(0, first - 1), slice(first, days))
    say(f"training on daily prices of {len(market.stocks)} stocks before {FROM} ...")
    losses, forecast = variance(market, split)
    learned = slice(max(0, first - 1 - LEARNED_DAYS), first - 1)
    scores = {"qlike": losses, "direction": direction(market, Split(learned, split.test))}

    per_year = {
        name: 100 * np.sqrt(252 * values)
        for name, values in (("measured", market.matrix("variance")), ("forecast", forecast))
    }
    columns = {name: market.column(values) for name, values in per_year.items()}
    rows = market.table[["unique_id", "ds"]].assign(**columns)
    rows = rows[rows["ds"] >= market.days[first]]
    write_atomically(folder / "volatility.csv", rows.to_csv(index=False, float_format="%.2f"))
    shown = [name for name in SHOWN if name in market.stocks] or market.stocks[:3]
    series = {}
    for name in shown:
        column = market.stocks.index(name)
        series[name] = tuple(values[split.test, column] for values in per_year.values())
    title = "Volatility, forecast the day before"
    RollingDisplay(market.days[split.test], series, "% a year", title).save(
        folder / "volatility.png"
    )
    return scores, lambda: show(_text(scores)), _WORDS.format(folder=folder)


def variance(market: Market, split: Split) -> tuple[dict[str, float], Any]:
    """The mean QLIKE of each rule and of the GRU, and the GRU's forecasts."""
    import numpy as np

    from grukit.evaluation.volatility import qlike
    from grukit.recipes.stocks import variance_baselines, variance_forecasts

    measured = market.matrix("variance")
    forecast = variance_forecasts(market, split)
    forecasts = variance_baselines(market, split.test.start)
    forecasts["log HAR + market + GRU"] = forecast
    known = np.isfinite(np.stack([measured, *forecasts.values()])).all(axis=0)
    truth = np.where(known, measured, np.nan)
    losses = {name: float(np.nanmean(qlike(truth, f))) for name, f in forecasts.items()}
    return losses, forecast


def direction(market: Market, split: Split) -> dict[str, dict[str, Any]]:
    """Accuracy with its 95 % interval and Matthews' correlation of each way to call a direction."""
    import numpy as np

    from grukit.evaluation.direction import (
        accuracy,
        daily_counts,
        interval,
        majority,
        mcc,
        momentum,
        movements,
    )
    from grukit.recipes.stocks import return_forecasts

    returns = np.expm1(market.matrix("log_return"))
    movement = movements(returns)
    calls = {
        "majority": majority(movement[split.train], len(market.days))[split.test],
        "momentum": momentum(returns)[split.test],
        "GRU": return_forecasts(market, split)[split.test] > 0,
    }
    scores = {}
    for name, called in calls.items():
        counts = daily_counts(movement[split.test], called)
        scores[name] = {
            "accuracy": float(accuracy(counts)),
            "interval": interval(accuracy, counts),
            "mcc": float(mcc(counts)),
        }
    return scores


def _text(scores: dict[str, Any]) -> str:
    losses = [(name, f"{loss:.4f}") for name, loss in scores["qlike"].items()]
    calls = [
        (
            name,
            f"{100 * score['accuracy']:.1f} %",
            f"{100 * score['interval'][0]:.1f} to {100 * score['interval'][1]:.1f} %",
            f"{score['mcc']:.3f}",
        )
        for name, score in scores["direction"].items()
    ]
    return "\n\n".join(
        (
            table([("HOW FAR: VARIANCE", "QLIKE"), *losses]),
            table([("WHICH WAY", "ACCURACY", "95 % INTERVAL", "MCC"), *calls]),
        )
    )


_WORDS = """\

How far a stock will move can be forecast: QLIKE (less is better) scores the variance of the next
day, beside the rules that banks use and a regression that sees the whole market. Which way it will
move hardly can: calls that are right in 50 % of the cases are those of a coin.

  {folder}/volatility.png  three stocks: what was forecast the day before, and what was measured
  {folder}/volatility.csv  all stocks, in % a year

docs/tutorials/stocks.md goes through it, and says what not to believe of forecasts of prices."""
