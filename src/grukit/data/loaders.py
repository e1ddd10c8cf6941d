"""From the files of a data set to a long frame: `unique_id`, `ds`, and the values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


def nyc_weather(file: Path) -> pandas.DataFrame:
    """Hourly, UTC. The clock is `time_hour`: the local columns repeat an hour in November.

    Units: °C, % of relative humidity, m/s, degrees, mm, hPa, km. One wind speed, 1,048 mph at
    EWR on 2013-02-12, is an instrument's error (record on earth: 253 mph) and becomes missing.
    """
    import pandas as pd

    raw = pd.read_csv(file, na_values=["NA"])
    frame = pd.DataFrame(
        {
            "unique_id": raw["origin"].astype("str"),
            "ds": pd.to_datetime(raw["time_hour"]).dt.tz_localize(None),
            "temperature": (raw["temp"] - 32) / 1.8,
            "dew_point": (raw["dewp"] - 32) / 1.8,
            "humidity": raw["humid"],
            "wind_direction": raw["wind_dir"],
            "wind_speed": raw["wind_speed"].where(raw["wind_speed"] < 253) * 0.44704,
            "precipitation": raw["precip"] * 25.4,
            "pressure": raw["pressure"],
            "visibility": raw["visib"] * 1.609344,
        }
    )
    return frame.sort_values(["unique_id", "ds"], ignore_index=True)


def beijing_pm25(file: Path) -> pandas.DataFrame:
    """Hourly, Beijing time (no daylight saving). PM2.5 in µg/m³, °C, hPa.

    `wind_direction` is a category (cv: calm and variable). `wind_speed` (m/s), `snow` and `rain`
    (hours) are sums since the wind last turned, or the snow or rain began.
    """
    import pandas as pd

    raw = pd.read_csv(file, na_values=["NA"])
    return pd.DataFrame(
        {
            "unique_id": "beijing",
            "ds": pd.to_datetime(raw[["year", "month", "day", "hour"]]),
            "pm2.5": raw["pm2.5"],
            "dew_point": raw["DEWP"].astype("float64"),
            "temperature": raw["TEMP"].astype("float64"),
            "pressure": raw["PRES"].astype("float64"),
            "wind_direction": raw["cbwd"].astype("category"),
            "wind_speed": raw["Iws"],
            "snow": raw["Is"].astype("float64"),
            "rain": raw["Ir"].astype("float64"),
        }
    )


def etth1(file: Path) -> pandas.DataFrame:
    """Hourly, local time without offset: six power loads and `OT`, the oil temperature in °C."""
    import pandas as pd

    frame = pd.read_csv(file, parse_dates=["date"]).rename(columns={"date": "ds"})
    frame.insert(0, "unique_id", "ETTh1")
    return frame


def seattle_weather(file: Path) -> pandas.DataFrame:
    """Daily. °C, mm, m/s; `weather` is a category (sun, fog, rain, drizzle, snow)."""
    import pandas as pd

    raw = pd.read_csv(file)
    return pd.DataFrame(
        {
            "unique_id": "seattle",
            "ds": pd.to_datetime(raw["date"], format="%Y/%m/%d"),
            "precipitation": raw["precipitation"],
            "temperature_max": raw["temp_max"],
            "temperature_min": raw["temp_min"],
            "wind_speed": raw["wind"],
            "weather": raw["weather"].astype("category"),
        }
    )


def index_prices(unique_id: str) -> Callable[[Path], pandas.DataFrame]:
    def loader(file: Path) -> pandas.DataFrame:
        """Daily on exchange days, in index points; volume in shares."""
        import pandas as pd

        raw = pd.read_csv(file)
        return pd.DataFrame(
            {
                "unique_id": unique_id,
                "ds": pd.to_datetime(raw["Date"], format="%m/%d/%Y"),
                "open": raw["Open"],
                "high": raw["High"],
                "low": raw["Low"],
                "close": raw["Close"],
                "volume": raw["Volume"].astype("float64"),
            }
        )

    return loader


def sp500_stocks(file: Path) -> pandas.DataFrame:
    """Daily on exchange days: the adjusted close in US dollars, one series a stock."""
    import pandas as pd

    raw = pd.read_csv(file, parse_dates=["Date"]).rename(columns={"Date": "ds"})
    long = raw.melt(id_vars="ds", var_name="unique_id", value_name="close")
    long.insert(0, "unique_id", long.pop("unique_id"))
    return long.sort_values(["unique_id", "ds"], ignore_index=True)


def stocknet(folder: Path) -> pandas.DataFrame:
    """Daily on exchange days, in US dollars; volume in shares.

    `adj_close` is the close adjusted for splits and dividends, `sector` a category.
    """
    import pandas as pd

    table = pd.read_csv(folder / "StockTable", sep="\t")
    sectors = table.set_index(table["Symbol"].str.lstrip("$"))["Sector"]
    names = {"Date": "ds", "Adj Close": "adj_close"}
    parts = []
    for file in sorted((folder / "price" / "raw").glob("*.csv")):
        part = pd.read_csv(file, parse_dates=["Date"]).rename(columns=names)
        part = part.rename(columns=str.lower)
        part.insert(0, "unique_id", file.stem)
        part["sector"] = sectors[file.stem]
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    values = frame.columns.difference(["unique_id", "ds", "sector"])
    return frame.astype({"sector": "category"} | dict.fromkeys(values, "float64"))


def nab(folder: Path) -> pandas.DataFrame:
    """Rows as they are in the files, in their order: times may repeat, skip or turn back.

    `anomaly` marks the rows in labelled windows. No two windows touch, so each is a run of marks:
    `grukit.results.runs` finds their rows.
    """
    import pandas as pd

    labels = json.loads((folder / "labels" / "combined_windows.json").read_text("utf-8"))
    parts = []
    for name in sorted(labels):
        raw = pd.read_csv(folder / "data" / name, parse_dates=["timestamp"])
        anomaly = pd.Series(False, index=raw.index)
        for first, last in labels[name]:
            anomaly |= raw["timestamp"].between(first, last)
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": name.removesuffix(".csv"),
                    "ds": raw["timestamp"],
                    "y": raw["value"].astype("float64"),
                    "anomaly": anomaly,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
