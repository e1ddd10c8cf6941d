"""How far 88 stocks will move tomorrow, and which way: what can be forecast, and what cannot.

    python examples/stocks.py

Trains on daily prices up to September 2016 and scores the year that follows, in about a minute.
"""

import numpy as np

from grukit.data import catalog
from grukit.evaluation.diebold_mariano import diebold_mariano
from grukit.evaluation.direction import accuracy, daily_counts, interval, movements
from grukit.evaluation.strategy import strategy_curve
from grukit.evaluation.volatility import qlike
from grukit.evaluation.walk_forward import Split
from grukit.recipes.stocks import Market, return_forecasts, variance_baselines, variance_forecasts

market = Market.from_prices(catalog.load("stocknet"))
first = market.row("2016-09-01")
split = Split(train=slice(0, first - 1), test=slice(first, len(market.days)))

# How far: Parkinson's variance of the next day, scored where every rule has a forecast.
measured = market.matrix("variance")[split.test]
forecasts = variance_baselines(market, first) | {"GRU": variance_forecasts(market, split)}
forecasts = {name: values[split.test] for name, values in forecasts.items()}
known = np.isfinite(np.stack([measured, *forecasts.values()])).all(axis=0)
losses = {
    name: np.nanmean(qlike(np.where(known, measured, np.nan), values), axis=1)
    for name, values in forecasts.items()
}
for name, loss in losses.items():
    print(f"{name:20} QLIKE {loss.mean():.4f}")
against = {name: diebold_mariano(losses["GRU"], losses[name]) for name in ("EWMA", "HAR")}
for name, test in against.items():
    print(f"GRU against {name}: {test.difference:+.4f}, p = {test.p_value:.2g}")

# Which way: the sign of the median return, on movements that are worth the name.
recent = Split(train=slice(first - 441, first - 1), test=split.test)
returns = np.expm1(market.matrix("log_return")[split.test])
calls = return_forecasts(market, recent)[split.test] > 0
counts = daily_counts(movements(returns), calls)
low, high = interval(accuracy, counts)
print(f"directions: {100 * accuracy(counts):.1f} % right ({100 * low:.1f} to {100 * high:.1f} %)")

# What that earns: every stock in equal parts, long or short, at 0.1 % of what is traded.
traded = ~np.isnan(returns)
positions = np.where(calls, 1.0, -1.0) * traded / traded.sum(axis=1, keepdims=True)
curve = strategy_curve(positions, returns, cost=0.001)
print(f"a year of trading on them: {100 * curve.annual_return:.1f} % after costs")

for name, test in against.items():
    assert test.statistic < 0, f"the GRU must be better than {name}"
    assert test.p_value < 0.05, f"and not by luck: {name}"
assert low < 0.55, "if directions were this easy, look for a leak"
