"""Stocks: tomorrow's direction, and tomorrow's variance, as far as they can be told.

Nobody forecasts prices here. `return_forecasts` ask whether a stock will rise or fall, which the
past of prices hardly tells; `variance_forecasts` ask how far it will move, which it tells well.
Both learn from all stocks together, on the rows of a `Split`, and forecast one trading day ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.data.stocks import daily_measures
from grukit.evaluation.volatility import (
    ewma_forecast,
    from_log,
    har_regressors,
    least_squares,
)
from grukit.evaluation.walk_forward import Split, walk_forward
from grukit.tasks.forecasting import Forecaster
from grukit.training.fit import FitConfig

if TYPE_CHECKING:
    import pandas

FEWEST_ROWS = 60
"""Trading days that a stock must have in training to be learned from."""
REFIT_DAYS = 21
"""The regressions of the baselines are fitted anew every month."""


@dataclass(frozen=True, eq=False)
class Market:
    """Daily measures of S stocks over T trading days.

    Attributes:
        table: long, from `daily_measures`.
        days: datetime64[us] [T], the days on which any stock has a row.
        stocks: their S names.
    """

    table: pandas.DataFrame
    days: np.ndarray
    stocks: tuple[str, ...]

    @classmethod
    def from_prices(cls, prices: pandas.DataFrame) -> Market:
        """From a long table of `unique_id, ds, high, low, close, volume`."""
        table = daily_measures(prices)
        days = np.unique(table["ds"].to_numpy().astype("datetime64[us]"))
        return cls(table, days, tuple(sorted(table["unique_id"].unique())))

    def row(self, day: str) -> int:
        """The row of the first trading day that is not before `day`."""
        return int(np.searchsorted(self.days, np.datetime64(day, "us")))

    def matrix(self, column: str, table: pandas.DataFrame | None = None) -> np.ndarray:
        """A column as float64 [T, S], NaN where a stock has no row."""
        rows = self.table if table is None else table
        wide = rows.pivot(index="ds", columns="unique_id", values=column)
        return wide.reindex(index=self.days, columns=list(self.stocks)).to_numpy(np.float64)

    def column(self, values: np.ndarray) -> np.ndarray:
        """[T, S] as a column of `table`."""
        day = np.searchsorted(self.days, self.table["ds"].to_numpy())
        return values[day, np.searchsorted(self.stocks, self.table["unique_id"].to_numpy(str))]

    def rows(self, first: int, stop: int) -> Any:
        """The table of the days from row `first` to before row `stop`."""
        day = np.searchsorted(self.days, self.table["ds"].to_numpy())
        return self.table[(day >= first) & (day < stop)]


def return_forecasts(
    market: Market, split: Split, *, validation_days: int = 42, seed: int = 0, **changes: Any
) -> np.ndarray:
    """The median forecast of the log return of each test day, [T, S], NaN elsewhere.

    Its sign is a call of the direction. The last `validation_days` of the training rows decide
    when training stops. `changes` are arguments of Forecaster.
    """
    table = market.rows(split.train.start, split.test.stop)
    train = market.rows(split.train.start, split.train.stop)
    settings = {
        "lookback": 10,
        "past_covariates": ("market_return",),
        "scaling": "window",
        "hidden_size": 32,
        "dropout": 0.2,
        "training": FitConfig(epochs=5, batch_size=256),
    }
    model = _forecaster("log_return", seed, settings | changes)
    validation: Any = market.days[split.train.stop - validation_days]
    model.fit(_long_enough(train), validation=validation)
    found = model.backtest(table, start=market.days[split.test.start])
    return market.matrix("q0.5", found)


def variance_baselines(market: Market, first: int) -> dict[str, np.ndarray]:
    """Forecasts [T, S] of Parkinson's variance from row `first` on, by the names of their rules.

    EWMA; HAR by stock, of the variance and of its logarithm; and one log HAR for all stocks that
    sees the market too. The regressions are refitted every month on all rows before.
    """
    variance, log_variance = market.matrix("variance"), market.matrix("log_variance")
    of_stock = har_regressors(variance), har_regressors(log_variance)
    of_market = market_regressors(market)
    found = {
        name: np.full(variance.shape, np.nan) for name in ("HAR", "log HAR", "log HAR + market")
    }
    for split in walk_forward(len(market.days), first=first, step=REFIT_DAYS):
        # No variance was ever below the smallest: a regression line does not know that.
        least = np.nanmin(np.where(variance > 0, variance, np.inf)[split.train], axis=0)
        forecasts = (
            np.maximum(least_squares(of_stock[0], variance, split), least),
            from_log(least_squares(of_stock[1], log_variance, split), log_variance, split),
            from_log(
                least_squares(of_market, log_variance, split, pooled=True), log_variance, split
            ),
        )
        for values, forecast in zip(found.values(), forecasts, strict=True):
            values[split.test] = forecast[split.test]
    ewma = np.where(np.arange(len(variance))[:, None] < first, np.nan, ewma_forecast(variance))
    return {"EWMA": ewma, **found}


def market_regressors(market: Market) -> np.ndarray:
    """[T, S, 11]: what a log HAR of a stock may know besides, all of the day before or earlier.

    The three HAR means of the stock's log variance and of the market's; the return, its size and
    the log volume of the stock; the return and its size of the market.
    """
    log_variance = market.matrix("log_variance")
    mean = np.broadcast_to(market.matrix("market_log_variance"), log_variance.shape)
    returns, of_market = market.matrix("log_return"), market.matrix("market_return")
    measures = (returns, np.abs(returns), market.matrix("log_volume"), of_market, np.abs(of_market))
    before = [np.pad(values[:-1], ((1, 0), (0, 0)), constant_values=np.nan) for values in measures]
    return np.concatenate(
        [har_regressors(log_variance), har_regressors(mean), np.stack(before, axis=-1)], axis=-1
    )


def variance_forecasts(
    market: Market, split: Split, *, seed: int = 0, **changes: Any
) -> np.ndarray:
    """Forecasts of Parkinson's variance on each test day, [T, S], NaN elsewhere.

    A linear model and a GRU together (Zhang 2003, "Time series forecasting using a hybrid ARIMA and
    neural network model"): the log HAR with the market, which carries far beyond what was seen, and
    a GRU that forecasts what it leaves over. `changes` are arguments of Forecaster.
    """
    log_variance = market.matrix("log_variance")
    linear = least_squares(market_regressors(market), log_variance, split, pooled=True)
    table: Any = market.table.assign(linear=market.column(linear))
    table["surprise"] = table["log_variance"] - table["linear"]
    table = table[table["linear"].notna()]
    until = market.days[split.test.stop - 1]
    train = table[table["ds"] <= market.days[split.train.stop - 1]]
    settings = {
        "lookback": 22,
        "past_covariates": (
            *("log_return", "log_volume", "week"),
            *("market_return", "market_log_variance", "market_week"),
        ),
        "future_covariates": ("linear",),
        "scaling": "series",
        "hidden_size": 32,
        "dropout": 0.1,
        "training": FitConfig(epochs=3, batch_size=256, learning_rate=5e-4),
    }
    model = _forecaster("surprise", seed, settings | changes)
    model.fit(_long_enough(train), validation=None)
    found = model.backtest(table[table["ds"] <= until], start=table["ds"].min())
    log_forecast = linear + market.matrix("q0.5", found)
    forecast = from_log(log_forecast, log_variance, split)
    test = np.zeros(len(forecast), bool)
    test[split.test] = True
    return np.where(test[:, None], forecast, np.nan)


def _forecaster(target: str, seed: int, settings: dict[str, Any]) -> Forecaster:
    return Forecaster(1, target=target, freq="NYSE", differencing=0, seed=seed, **settings)


def _long_enough(table: Any) -> Any:
    rows = table.groupby("unique_id")["ds"].transform("size")
    return table[rows >= FEWEST_ROWS]
