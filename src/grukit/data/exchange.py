"""Trading days of an exchange, as a frequency beside pandas' own.

The holidays of the New York Stock Exchange since 1998, and the days on which it stayed closed for
mourning, terror or storm (NYSE Rule 7.2; nyse.com/markets/hours-calendars). A closure that nobody
could foresee is on the list only from the version of grukit that follows it.
"""

from __future__ import annotations

from typing import Any

from grukit.core.extras import require

EXCHANGES = ("NYSE",)
_CLOSED = (
    *("2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14"),  # the attacks of September 11
    *("2004-06-11", "2007-01-02", "2018-12-05", "2025-01-09"),  # mourning for a president
    *("2012-10-29", "2012-10-30"),  # hurricane Sandy
)


def trading_day(exchange: str) -> Any:
    """The pandas offset of one trading day; ``NYSE`` serves Nasdaq as well.

    >>> day = trading_day("NYSE")
    >>> import pandas as pd
    >>> pd.Timestamp("2024-03-28") + day  # over Good Friday and a weekend
    Timestamp('2024-04-01 00:00:00')
    """
    pandas, holiday = require("pandas"), require("pandas.tseries.holiday")
    rules = [
        # A New Year on Saturday is no holiday: the Friday before ends the old year.
        holiday.Holiday("New Year", month=1, day=1, observance=holiday.sunday_to_monday),
        holiday.USMartinLutherKingJr,
        holiday.USPresidentsDay,
        holiday.GoodFriday,
        holiday.USMemorialDay,
        holiday.Holiday(
            "Juneteenth",
            month=6,
            day=19,
            start_date="2022-01-01",
            observance=holiday.nearest_workday,
        ),
        holiday.Holiday("Independence Day", month=7, day=4, observance=holiday.nearest_workday),
        holiday.USLaborDay,
        holiday.USThanksgivingDay,
        holiday.Holiday("Christmas", month=12, day=25, observance=holiday.nearest_workday),
    ]
    calendar = holiday.AbstractHolidayCalendar(name=exchange, rules=rules)
    days = calendar.holidays("1998-01-01", "2100-12-31").union(pandas.DatetimeIndex(_CLOSED))
    return pandas.offsets.CustomBusinessDay(holidays=days.to_numpy().astype("datetime64[D]"))
