"""The trading days of New York."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import DataError
from grukit.data import catalog
from grukit.data.calendar import Calendar
from grukit.data.frames import Columns, to_panel

NYSE = Calendar("NYSE")


def closed(year):
    """The weekdays of a year without trading."""
    days = pd.bdate_range(f"{year}-01-01", f"{year}-12-31").to_numpy()
    _, trades = NYSE.locate(days, "2020-01-02")
    return [str(day) for day in days[~trades].astype("datetime64[D]")]


@pytest.mark.parametrize(
    ("year", "holidays"),
    [
        # As the exchange announced them: 2012 with two days of hurricane, 2021 ending before a New
        # Year on Saturday, which is not made up for, 2022 with the first Juneteenth, a Sunday.
        (2012, "01-02 01-16 02-20 04-06 05-28 07-04 09-03 10-29 10-30 11-22 12-25"),
        (2015, "01-01 01-19 02-16 04-03 05-25 07-03 09-07 11-26 12-25"),
        (2021, "01-01 01-18 02-15 04-02 05-31 07-05 09-06 11-25 12-24"),
        (2022, "01-17 02-21 04-15 05-30 06-20 07-04 09-05 11-24 12-26"),
        (2025, "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25"),
    ],
)
def test_the_exchange_is_closed_on_its_holidays(year, holidays):
    assert closed(year) == [f"{year}-{day}" for day in holidays.split()]


def test_the_next_trading_day_leaps_over_holidays():
    after = NYSE.after(np.datetime64("2021-12-23"), 2).astype("datetime64[D]")
    assert [str(day) for day in after] == ["2021-12-27", "2021-12-28"]
    assert NYSE.season == 5
    assert "day_of_week_sin" in NYSE.feature_names


def test_a_holiday_is_no_gap():
    days = pd.to_datetime(["2015-07-01", "2015-07-02", "2015-07-06"])
    table = pd.DataFrame({"ds": days, "y": [1.0, 2.0, 3.0]})
    assert to_panel(table, Columns(), "NYSE").report.added == 0
    assert to_panel(table, Columns(), "B").report.added == 1
    table.loc[1, "ds"] = pd.Timestamp("2015-07-03")
    with pytest.raises(DataError, match="2015-07-03"):
        to_panel(table, Columns(), "NYSE")


def test_the_rules_give_the_days_of_the_data(data_folder):
    days = np.unique(catalog.load("stocknet")["ds"].to_numpy()).astype("datetime64[us]")
    assert len(days) == 1258
    assert (NYSE.times(days[0], len(days)) == days).all()
