"""Regular time axes: counting steps, going on past the end, calendar features.

Two kinds of frequency, and nothing else: a fixed step (``15min``, ``h``, ``D``), which is integer
arithmetic on microseconds, and a rule that names days (``B``, ``W-SUN``, ``MS``, ``QE``, or the
trading days of an exchange, ``NYSE``), which is a position in the sorted list of those days. The
time of day, and for fixed steps the phase, are those of each series' own first time.
"""

from __future__ import annotations

import numbers
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.extras import require
from grukit.data.exchange import EXCHANGES, trading_day

SECOND = 1_000_000
DAY = 86_400 * SECOND
WEEK = 7 * DAY
YEAR = 365 * DAY
FIRST_YEAR, LAST_YEAR = 1, 9999

_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WANTED = 'a pandas frequency such as "15min", "h", "D", "B", "W-SUN", "MS", "QE", "YS" or "NYSE"'
_WRITTEN_TIME = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d[\d:.]*)?)?)?")
# How many of the days that a rule names make one natural period: a year, but a week for B.
_DAYS_PER_PERIOD = {"B": 5, "C": 5, "W": 52, "SMS": 24, "SME": 24, "WOM": 12, "LWOM": 12}
_DAYS_PER_PERIOD |= {"MS": 12, "ME": 12, "BMS": 12, "BME": 12}
_DAYS_PER_PERIOD |= {"QS": 4, "QE": 4, "BQS": 4, "BQE": 4}


@dataclass(frozen=True)
class Calendar:
    """A regular time axis, named by a pandas frequency.

    >>> import numpy as np
    >>> business_days = Calendar("B")
    >>> business_days.after(np.datetime64("2024-03-28"), 3).astype("datetime64[D]").tolist()
    [datetime.date(2024, 3, 29), datetime.date(2024, 4, 1), datetime.date(2024, 4, 2)]
    >>> business_days.season
    5

    span: how long what is learned from was, in microseconds; `features` then leave out each cycle
        that this does not hold twice. None leaves out none.

    Raises:
        ParameterError: `freq` is not a frequency pandas knows, is not positive, is finer than a
            microsecond, or counts business hours.
    """

    freq: str
    span: int | None = None

    def __post_init__(self) -> None:
        _offset(self.freq)

    @classmethod
    def infer(
        cls, times_per_series: Sequence[np.ndarray], names: Sequence[str] | None = None
    ) -> Calendar:
        """The calendar on which all series lie, gaps allowed.

        The step is the most common difference, and every other difference must be a multiple of
        it. Steps of 28 days and more are first tried as months, quarters and years. Daily times
        that avoid every weekend for two weeks or more are business days.

        Args:
            times_per_series: one datetime64[us] array a series, sorted, without duplicates.
            names: what to call the series in an error.

        Raises:
            DataError: no calendar fits, or every series has a single row.
        """
        series = [np.asarray(times, "datetime64[us]") for times in times_per_series]
        steps = np.concatenate([np.diff(times).view(np.int64) for times in series] or [[]])
        if not len(steps):
            raise DataError("freq must be given when no series has two rows: it cannot be inferred")
        step = _common_step(steps)
        if step is not None and step < 28 * DAY:
            return cls(_fixed_step_name(step, series))
        freq = _named_days(series) or (None if step is None else _fixed_step_name(step, series))
        if freq is None:
            raise DataError(_irregular(series, names))
        return cls(freq)

    def spanning(self, times: np.ndarray) -> Calendar:
        """This calendar with the features that can be learned from the span of `times`.

        What happened once on a day of the year cannot be told from what happens every year, so a
        cycle needs two rounds, as in Prophet (Taylor and Letham 2018).
        """
        return replace(self, span=int((times.max() - times.min()).astype(np.int64)))

    def locate(self, times: np.ndarray, origin: Any) -> tuple[np.ndarray, np.ndarray]:
        """Where `times` are on the grid of `origin`, one time or one for each of `times`.

        Returns:
            positions, int64 [n], and a mask, bool [n], of the times that are on the grid; the
            positions of the others mean nothing.
        """
        times, origin = np.asarray(times, "datetime64[us]"), np.asarray(origin, "datetime64[us]")
        step = self.fixed_step
        if step is not None:
            elapsed = (times - origin).view(np.int64)
            positions = elapsed // step
            return positions, elapsed == positions * step
        if not len(times):
            return np.empty(0, np.int64), np.empty(0, bool)
        days, time_of_day = _split(times)
        origin_day, origin_time_of_day = _split(origin)
        named = self._days_between(
            min(days.min(), origin_day.min()), max(days.max(), origin_day.max())
        )
        at, found = _find(named, days)
        origin_at, origin_found = _find(named, origin_day)
        elapsed = at - origin_at
        positions = elapsed // self._offset.n
        on_grid = (
            found
            & origin_found
            & (time_of_day == origin_time_of_day)
            & (elapsed == positions * self._offset.n)
        )
        return positions, on_grid

    def positions(self, times: np.ndarray, origin: Any, series: str = "") -> np.ndarray:
        """The index of each time on the grid that starts at `origin`: int64 [n].

        Raises:
            DataError: a time is off the grid; the message names the first, and `series`.
        """
        positions, on_grid = self.locate(times, origin)
        if not on_grid.all():
            first = int(np.argmin(on_grid))
            raise DataError(self.off_grid(np.asarray(times)[first], origin, series))
        return positions

    def off_grid(self, time: Any, origin: Any, series: str = "") -> str:
        """The complaint about a time that is not on the grid of `origin`."""
        if self.fixed_step is None:
            # Both ends of the grid are wanted: the first time itself may be on no named day.
            near = self._days_between(_split(origin)[0], _split(origin)[0])
            if not _find(near, _split(origin)[0])[1].all():
                time = origin
        where = f"of frequency {self.freq!r}"
        if time != origin:
            where += f" that starts at {show_time(origin)}"
        return (
            f"The times{of_series(series)} must lie on the regular grid {where}, "
            f"got {show_time(time)}; resample the data to regular steps, or pass the freq it has"
        )

    def at(self, origin: Any, positions: np.ndarray) -> np.ndarray:
        """The times at `positions` (0 or more) on the grid of `origin`: datetime64[us] [n].

        `origin` is one time or one for each position.

        Raises:
            DataError: an origin is on no day that the frequency names, or a time is past the
                year 9999.
        """
        origin = np.asarray(origin, "datetime64[us]")
        positions = np.asarray(positions, np.int64)
        step = self.fixed_step
        if step is not None:
            return origin + (positions * step).astype("timedelta64[us]")
        if not len(positions):
            return np.empty(0, "datetime64[us]")
        day, time_of_day = _split(origin)
        steps = positions * self._offset.n
        first, last = day.min(), day.max()
        while True:
            named = self._days_between(first, last)
            at, found = _find(named, day)
            if not found.all():
                raise DataError(self.off_grid(origin.flat[np.argmin(found)], origin.flat[0]))
            if (at + steps).max() < len(named):
                return named[at + steps].astype("datetime64[us]") + time_of_day
            if last >= np.datetime64(f"{LAST_YEAR}-12-31"):
                raise DataError(f"The times of a grid must end before the year {LAST_YEAR + 1}")
            last += max(10 * 366, int((last - first).astype(np.int64)))

    def times(self, start: Any, count: int) -> np.ndarray:
        """The first `count` times of the grid, `start` included: datetime64[us] [count]."""
        return self.at(start, np.arange(count))

    def after(self, last: Any, count: int) -> np.ndarray:
        """The next `count` times after `last`: datetime64[us] [count]."""
        return self.at(last, np.arange(1, count + 1))

    @cached_property
    def fixed_step(self) -> int | None:
        """The step in microseconds, or None where the frequency names days."""
        pandas = require("pandas")
        if isinstance(self._offset, pandas.offsets.Tick):
            return self._offset.nanos // 1000
        if isinstance(self._offset, pandas.offsets.Day):
            return self._offset.n * DAY
        return None

    @property
    def within_day(self) -> bool:
        """Whether the time of day changes from step to step."""
        return self.fixed_step is not None and self.fixed_step % DAY != 0

    @property
    def season(self) -> int:
        """Steps in the natural period, for seasonal baselines; 1 where there is none.

        A day for steps below a day (an hour below a minute, a minute below a second), a week for
        days and business days, a year for weeks, months and quarters.
        """
        step = self.fixed_step
        if step is None:
            period, step = _DAYS_PER_PERIOD.get(self._rule, 1), self._offset.n
        elif step < SECOND:
            period = 60 * SECOND
        elif step < 60 * SECOND:
            period = 3600 * SECOND
        elif step < DAY:
            period = DAY
        else:
            period = WEEK if step < WEEK else 52 * WEEK
        return period // step if period % step == 0 else 1

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the columns of `features` are, such as ``hour_of_day_sin``."""
        return tuple(
            f"{name}_{function}" for name, *_ in self._cycles() for function in ("sin", "cos")
        )

    def features(self, times: np.ndarray) -> np.ndarray:
        """Where each time is in its day, week and year, as sines and cosines.

        Only cycles that this frequency can see: the hour of the day below daily steps, the day of
        the week up to business days, the day of the year (with its second harmonic) up to weeks,
        the month of the year up to quarters; none for years. All lie in [-1, 1] at every date,
        past or future. With a `span`, only the cycles that it holds twice.

        Returns:
            float32 [n, C], C = ``len(feature_names)``.
        """
        times = np.asarray(times, "datetime64[us]")
        columns = []
        for _, phase, harmonic, _ in self._cycles():
            angle = 2 * np.pi * harmonic * phase(times)
            columns += [np.sin(angle), np.cos(angle)]
        if not columns:
            return np.empty((len(times), 0), np.float32)
        return np.stack(columns, axis=1).astype(np.float32)

    def _cycles(self) -> list[tuple[str, Any, int, int]]:
        """(name, the function from times to cycles, harmonic, period) of every feature."""
        cycles = self._visible_cycles()
        if self.span is None:
            return cycles
        return [cycle for cycle in cycles if 2 * cycle[-1] <= self.span]

    def _visible_cycles(self) -> list[tuple[str, Any, int, int]]:
        """Those of all cycles that this frequency can see."""
        step = self.fixed_step
        day_of_year = [
            ("day_of_year", _year_phase, 1, YEAR),
            ("day_of_year_2", _year_phase, 2, YEAR),
        ]
        if step is None:
            period = _DAYS_PER_PERIOD.get(self._rule, 1)
            if self._rule in ("B", "C"):
                return [("day_of_week", _week_phase, 1, WEEK), *day_of_year]
            if period > 12:
                return day_of_year
            return [("month_of_year", _month_phase, 1, YEAR)] if period > self._offset.n else []
        cycles = []
        if step % DAY:
            cycles.append(("hour_of_day", _day_phase, 1, DAY))
        if step % WEEK:
            cycles.append(("day_of_week", _week_phase, 1, WEEK))
        return cycles + (day_of_year if step < 180 * DAY else [])

    @property
    def _offset(self) -> Any:
        return _offset(self.freq)

    @property
    def _rule(self) -> str:
        """The name of the rule without its count and anchor: ``QS`` of ``2QS-FEB``."""
        return re.sub(r"^\d+|-.*$", "", self._offset.freqstr)

    def _days_between(self, first: Any, last: Any) -> np.ndarray:
        """Named days, sorted, from before the year of `first` to after that of `last`."""
        years = [int(str(np.datetime64(day, "Y"))) for day in (first, last)]
        # Whole decades, so that the series of a panel share one list.
        return _named_days_of(
            self.freq,
            max(FIRST_YEAR, years[0] // 10 * 10),
            min(LAST_YEAR, years[1] // 10 * 10 + 11),
        )


def of_series(name: str) -> str:
    """`` of series 'a'``, or nothing for the one series that has no name."""
    return f" of series {name!r}" if name else ""


def as_time(value: Any, what: str) -> np.datetime64:
    """A time given by a user, ParameterError naming `what` if it is none, or has a zone."""
    # NumPy knows "now", takes 20140101 for a year or for microseconds, and drops time zones.
    wrong = (
        issubclass(type(value), numbers.Number)
        or getattr(value, "tzinfo", None) is not None
        or (isinstance(value, str) and not _WRITTEN_TIME.fullmatch(value))
    )
    try:
        time = np.datetime64("NaT") if wrong else np.datetime64(value, "us")
    except (TypeError, ValueError):
        time = np.datetime64("NaT")
    if np.isnat(time):
        raise ParameterError(
            must_be(what, "a time such as '2014-01-01 06:00', without zone", value)
        )
    return time


def show_time(time: Any) -> str:
    """A time as people write it: the date alone at midnight, no empty fractions."""
    return str(np.datetime64(time, "us").item()).removesuffix(" 00:00:00")


@lru_cache(maxsize=256)
def _offset(freq: str) -> Any:
    if not isinstance(freq, str) or not freq:
        raise ParameterError(must_be("freq", _WANTED, freq))
    if freq in EXCHANGES:
        return trading_day(freq)
    pandas = require("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # aliases that pandas gives up, such as "M" and "H"
        try:
            offset = pandas.tseries.frequencies.to_offset(freq)
        except (ValueError, FutureWarning, DeprecationWarning) as error:
            hint = re.search(r"Did you mean \w+\?|Please use '\w+'|please use '\w+'", str(error))
            advice = f" ({hint[0]})" if hint else ""
            raise ParameterError(must_be("freq", _WANTED, freq) + advice) from None
    sub_microsecond = isinstance(offset, pandas.offsets.Tick) and offset.nanos % 1000
    if offset.n < 1 or sub_microsecond or isinstance(offset, pandas.offsets.BusinessHour):
        raise ParameterError(must_be("freq", _WANTED, freq))
    return offset


@lru_cache(maxsize=64)
def _named_days_of(freq: str, first_year: int, last_year: int) -> np.ndarray:
    pandas = require("pandas")
    days = pandas.date_range(
        f"{first_year:04}-01-01", f"{last_year:04}-12-31", freq=_offset(freq).base, unit="us"
    )
    return days.to_numpy().astype("datetime64[D]")


def _split(times: Any) -> tuple[np.ndarray, np.ndarray]:
    """Days and times of day; an origin may be a single time, so these may be of no dimension."""
    times = np.asarray(times, "datetime64[us]")
    days = times.astype("datetime64[D]")
    return days, times - days


def _find(named: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    at = np.minimum(np.searchsorted(named, days), len(named) - 1)
    return at, named[at] == days


def _common_step(steps: np.ndarray) -> int | None:
    """The most common step (of equals the smallest) if all are multiples of it."""
    values, counts = np.unique(steps, return_counts=True)
    step = int(values[np.argmax(counts)])
    return step if not (values % step).any() else None


def _fixed_step_name(step: int, series: Sequence[np.ndarray]) -> str:
    if step % DAY:
        return (
            require("pandas")
            .tseries.frequencies.to_offset(require("pandas").Timedelta(step, unit="us"))
            .freqstr
        )
    if step not in (DAY, WEEK):
        return f"{step // DAY}D"
    weekdays = set(np.unique(np.concatenate([_weekday(times) for times in series])).tolist())
    if step == WEEK:
        return f"W-{_WEEKDAYS[weekdays.pop()]}" if len(weekdays) == 1 else "7D"
    two_weeks = any(
        (times[-1] - times[0]).astype(np.int64) >= 13 * DAY for times in series if len(times)
    )
    return "B" if two_weeks and not weekdays & {5, 6} else "D"


def _named_days(series: Sequence[np.ndarray]) -> str | None:
    """The months, quarters, years or business days on which all series lie, if any."""
    series = [times for times in series if len(times)]
    for base in ("MS", "ME", "B"):
        located = [Calendar(base).locate(times, times[0]) for times in series]
        if not all(on_grid.all() for _, on_grid in located):
            continue
        step = _common_step(np.concatenate([np.diff(positions) for positions, _ in located]))
        if step is None:
            continue
        if base == "B":
            return "B" if step == 1 else None
        months = {int(times[0].astype("datetime64[M]").astype(np.int64)) for times in series}
        for length, letter in ((12, "Y"), (3, "Q")):
            phases = {month % length for month in months}
            if step == length and len(phases) == 1:
                phase = phases.pop()
                default = 0 if base == "MS" else length - 1
                # A quarter that ends with March also ends with December, which names it.
                month = phase if base == "MS" or letter == "Y" else phase + 9
                anchor = "" if phase == default else f"-{_MONTHS[month]}"
                return f"{letter}{base[1]}{anchor}"
        return base if step == 1 else f"{step}{base}"
    return None


def _irregular(series: Sequence[np.ndarray], names: Sequence[str] | None) -> str:
    steps = [np.diff(times).view(np.int64) for times in series]
    values, counts = np.unique(np.concatenate(steps), return_counts=True)
    common = int(values[np.argmax(counts)])
    which, at = next(
        (s, int(np.argmax(own % common != 0)))
        for s, own in enumerate(steps)
        if (own % common).any()
    )
    here, there = show_time(series[which][at]), show_time(series[which][at + 1])
    name = of_series(names[which]) if names is not None else ""
    return (
        f"The times{name} must be at regular steps, got {here} followed by {there} where the most "
        f"common step is {np.timedelta64(common, 'us').item()} (irregular steps); resample the "
        "data to regular steps, or pass freq="
    )


def _day_phase(times: np.ndarray) -> np.ndarray:
    return (times.view(np.int64) % DAY) / DAY


def _weekday(times: np.ndarray) -> np.ndarray:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return (times.astype("datetime64[D]").view(np.int64) + 3) % 7


def _week_phase(times: np.ndarray) -> np.ndarray:
    return _weekday(times) / 7


def _month_phase(times: np.ndarray) -> np.ndarray:
    return (times.astype("datetime64[M]").view(np.int64) % 12) / 12


def _year_phase(times: np.ndarray) -> np.ndarray:
    year = times.astype("datetime64[Y]")
    start, end = year.astype("datetime64[us]"), (year + 1).astype("datetime64[us]")
    return (times - start) / (end - start)
