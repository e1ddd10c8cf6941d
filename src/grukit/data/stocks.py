"""What a day of a stock says: its return, and how far its price ranged.

Prices are not forecast here, since tomorrow's price is today's with a small change: any model that
repeats the last price looks excellent. What is asked for is the change, or its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.core.extras import require

if TYPE_CHECKING:
    import pandas

_COLUMNS = ("unique_id", "ds", "high", "low", "close", "volume")


def log_returns(price: np.ndarray) -> np.ndarray:
    """log(p_t / p_{t-1}) along the first axis, NaN on the first day.

    Of prices that were adjusted for splits and dividends: others jump where nobody won or lost.

    >>> log_returns(np.array([100.0, 101.0, 102.01])).round(4)
    array([ nan, 0.01, 0.01])

    Raises DataError for a price that is not positive; a missing one (NaN) gives missing returns.
    """
    price = np.asarray(price, np.float64)
    if (price <= 0).any() or np.isinf(price).any():
        wrong = price[(price <= 0) | np.isinf(price)]
        raise DataError(must_be("price", "positive and finite, or NaN", float(wrong[0])))
    returns = np.full_like(price, np.nan)
    returns[1:] = np.log(price[1:] / price[:-1])
    return returns


def parkinson_variance(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """The variance of a day's log return from its range: log(high / low)^2 / (4 log 2).

    Parkinson 1980, "The extreme value method for estimating the variance of the rate of return".
    It has a fifth of the noise of the squared return, and leaves out what happens overnight. A day
    without a range is NaN: nobody traded, or nobody wrote it down.

    >>> float(parkinson_variance(np.array([102.0]), np.array([100.0]))[0] ** 0.5)
    0.0119

    Raises DataError where `high` is below `low`, or a price is not positive and finite.
    """
    high, low = np.asarray(high, np.float64), np.asarray(low, np.float64)
    wrong = ((high < low) | (low <= 0) | np.isinf(high)).ravel()
    if wrong.any():
        at = int(np.argmax(wrong))
        got = (float(high.ravel()[at]), float(low.ravel()[at]))
        raise DataError(must_be("high and low", "positive and finite, high at least low", got))
    variance = np.log(high / low) ** 2 / (4 * np.log(2))
    return np.where(variance > 0, variance, np.nan)


def daily_measures(prices: pandas.DataFrame) -> pandas.DataFrame:
    """One row a stock and day, from a long table of `unique_id, ds, high, low, close, volume`.

    Of each stock: `log_return` (of `adj_close` where there is one), `variance` (Parkinson's) and
    `log_variance`; `log_volume`, over its mean of the 22 days up to then; `week` and `month`, the
    means of `log_variance` over 5 and 22 days. Of the market: `market_return`,
    `market_log_variance` and their `market_week`, `market_month`, the means over all stocks of the
    day. A row holds nothing of later days. Rows come back sorted by stock and day.

    Raises DataError for a table without these columns, or with two rows of a stock on one day.
    """
    pd = require("pandas")
    _check_prices(prices)
    rows = prices.sort_values(["unique_id", "ds"], ignore_index=True)
    close = rows["adj_close" if "adj_close" in rows else "close"]
    variance = parkinson_variance(rows["high"].to_numpy(), rows["low"].to_numpy())
    table = pd.DataFrame(
        {
            "unique_id": rows["unique_id"],
            "ds": rows["ds"],
            "log_return": close.groupby(rows["unique_id"]).transform(
                lambda own: log_returns(own.to_numpy())
            ),
            "variance": variance,
            "log_variance": np.log(variance),
            "log_volume": np.log(rows["volume"].where(rows["volume"] > 0)),
        }
    )
    stocks = table.groupby("unique_id")
    table["log_volume"] -= stocks["log_volume"].transform(_trailing_mean, 22)
    table["week"] = stocks["log_variance"].transform(_trailing_mean, 5)
    table["month"] = stocks["log_variance"].transform(_trailing_mean, 22)
    market = table.groupby("ds")[["log_return", "log_variance"]].mean()
    market.columns = ["market_return", "market_log_variance"]
    market["market_week"] = _trailing_mean(market["market_log_variance"], 5)
    market["market_month"] = _trailing_mean(market["market_log_variance"], 22)
    return table.join(market, on="ds")


def _check_prices(prices: pandas.DataFrame) -> None:
    if lacking := [name for name in _COLUMNS if name not in prices]:
        raise DataError(f"prices must have the columns {_COLUMNS}, got none for {lacking}")
    if not require("pandas").api.types.is_datetime64_dtype(prices["ds"]):
        raise DataError(must_be("ds", "dates without a zone", prices["ds"].dtype))
    twice = prices.duplicated(["unique_id", "ds"]).to_numpy()
    if twice.any():
        stock, day = prices.loc[twice, ["unique_id", "ds"]].iloc[0]
        raise DataError(f"prices must have one row a stock and day, got two of {stock!r} on {day}")


def _trailing_mean(values: pandas.Series, days: int) -> Any:
    """The mean of the last `days` values, this one included; NaN with less than half of them."""
    return values.rolling(days, min_periods=(days + 1) // 2).mean()
