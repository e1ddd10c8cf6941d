"""Columns of a table as arrays: times, ids, numbers, text; or an error that quotes the value."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import DataError
from grukit.core.extras import require
from grukit.data.calendar import FIRST_YEAR, LAST_YEAR, Calendar, show_time

if TYPE_CHECKING:
    import narwhals

# Only after a time of day: the "-01" that ends a date is no zone.
_TIME_WITH_ZONE = r"^(.*\d[T ]\d.*?)\s*(?:Z|[+-]\d{2}(?::?\d{2})?)$"

# Text with more distinct numbers than this, and a smaller share of others, was meant as numbers.
_FEWEST_NUMBERS, _MOST_STRAYS = 10, 0.1


def times_of(column: narwhals.Series[Any], calendar: Calendar | None) -> np.ndarray:
    """datetime64[us] [rows], from dates and times of any kind, or text.

    Times with a zone become UTC where the calendar has steps within a day, and otherwise local
    dates, which no clock change moves; without a calendar, dates are what is always midnight.
    """
    narwhals = require("narwhals")
    kind = column.dtype
    if _pandas_zone(column) is not None:
        native = column.to_native()
        utc = native.dt.tz_convert("UTC").dt.tz_localize(None)
        local = native.dt.tz_localize(None)
        times = _without_zone(_of_pandas(utc), _of_pandas(local), calendar)
    elif getattr(kind, "time_zone", None) is not None:
        utc = _microseconds(column.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
        local = _microseconds(column.dt.replace_time_zone(None))
        times = _without_zone(utc, local, calendar)
    elif kind in (narwhals.Datetime, narwhals.Date):
        times = _microseconds(column)
    elif kind in (narwhals.String, narwhals.Categorical, narwhals.Enum, narwhals.Object):
        times = _times_of_objects(_objects(column), column.name, calendar)
    else:
        raise _no_times(column.name, str(getattr(column.to_native(), "dtype", kind)))
    unknown = np.isnat(times)
    if unknown.any():
        raise DataError(
            f"The times in {column.name!r} must not be missing, got none in {_rows(unknown)}"
        )
    years = times.astype("datetime64[Y]").astype(np.int64) + 1970
    outside = (years < FIRST_YEAR) | (years > LAST_YEAR)
    if outside.any():
        raise DataError(
            f"The times in {column.name!r} must be in the years {FIRST_YEAR} to {LAST_YEAR}, got "
            f"{times[np.argmax(outside)]} in {_rows(outside)}"
        )
    return times


def has_zone(column: narwhals.Series[Any]) -> bool:
    """Whether the times of a column that `times_of` takes have a time zone."""
    if _pandas_zone(column) is not None or getattr(column.dtype, "time_zone", None) is not None:
        return True
    first = column.drop_nulls().head(1).to_list()
    return bool(first) and re.match(_TIME_WITH_ZONE, str(first[0])) is not None


def ids_of(column: narwhals.Series[Any]) -> tuple[tuple[str, ...], np.ndarray]:
    """The ids in the order of text, and for each row the number of its series, int64 [rows]."""
    codes, uniques = _factorized(column)
    texts = np.array([str(value) for value in uniques] + [""], dtype=object)
    unnamed = (texts == "")[codes]
    if unnamed.any():
        raise DataError(
            f"The series ids in {column.name!r} must not be missing or empty, got none in "
            f"{_rows(unnamed)}"
        )
    ids, number = np.unique(texts[:-1], return_inverse=True)
    return tuple(ids.tolist()), number[codes]


def numbers_of(column: narwhals.Series[Any]) -> np.ndarray:
    """float64 [rows] of a column that must be numeric; text that reads as numbers will do."""
    values = values_of(column)
    if values.dtype != object:
        return values
    numbers, bad = _as_numbers(values)
    if bad.any():
        row = int(np.argmax(bad))
        advice = "; write decimals with a point and thousands without a sign"
        raise DataError(
            f"{column.name!r} must be numbers, got {values[row]!r} in row {row + 1} of the data"
            + advice * ("," in values[row])
        )
    return numbers


def values_of(column: narwhals.Series[Any]) -> np.ndarray:
    """[rows], float64 of numbers and booleans, or object of str and None of text."""
    narwhals = require("narwhals")
    kind = column.dtype
    if kind.is_numeric() or kind == narwhals.Boolean:
        return np.array(column.cast(narwhals.Float64).to_numpy(), np.float64)
    wanted = f"{column.name!r} must be numbers, text or booleans"
    text_kinds = (narwhals.String, narwhals.Categorical, narwhals.Enum)
    if kind not in (*text_kinds, narwhals.Object, narwhals.Unknown):
        raise DataError(f"{wanted}, got {kind}")
    values = _objects(column)
    known = ~is_missing(values)
    text = np.array([isinstance(value, str) for value in values[known]], dtype=bool)
    if len(text) and text.all():
        return values
    numbers, bad = _as_numbers(values)
    bad[np.flatnonzero(known)[text]] = True
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{wanted}, got {values[row]!r} in row {row + 1} of the data")
    return numbers


def covariate_of(column: narwhals.Series[Any]) -> np.ndarray:
    """As `values_of`, but text that is nearly all numbers is refused: those are no categories."""
    narwhals = require("narwhals")
    values = values_of(column)
    if values.dtype != object or column.dtype in (narwhals.Categorical, narwhals.Enum):
        return values
    known = np.flatnonzero(~is_missing(values))
    bad = _as_numbers(values)[1][known]
    with_points = np.array([text.replace(",", ".") for text in values[known]], object)
    strays = _as_numbers(with_points)[1]
    distinct = len(set(with_points[~strays]))
    if bad.any() and distinct > _FEWEST_NUMBERS and strays.mean() < _MOST_STRAYS:
        row = int(known[np.argmax(bad)])
        raise DataError(
            f"{column.name!r} must be numbers or categories, got text that is nearly all numbers, "
            f"such as {values[row]!r} in row {row + 1} of the data; write decimals with a point, "
            "and leave unknown values empty"
        )
    return values


def is_missing(values: np.ndarray) -> np.ndarray:
    """NaN, or None among text: bool [rows]."""
    return values == None if values.dtype == object else np.isnan(values)  # noqa: E711


def _factorized(column: narwhals.Series[Any]) -> tuple[np.ndarray, Sequence[Any]]:
    """For each row the place of its value among the unique ones, -1 where missing, and those."""
    narwhals, pandas = require("narwhals"), require("pandas")
    if column.implementation.is_pyarrow():  # no text becomes a Python object but the unique ones
        coded = column.to_native().dictionary_encode().combine_chunks()
        return coded.indices.fill_null(-1).to_numpy(), coded.dictionary.to_pylist()
    if column.dtype in (narwhals.Categorical, narwhals.Enum):
        column = column.cast(narwhals.String)
    if column.implementation.is_pandas():
        return pandas.factorize(column.to_native())
    return pandas.factorize(np.asarray(column.to_numpy()))


def _objects(column: narwhals.Series[Any]) -> np.ndarray:
    """object [rows], None where missing; a copy, so that the user's column stays as it is."""
    narwhals = require("narwhals")
    if column.dtype in (narwhals.Categorical, narwhals.Enum):
        column = column.cast(narwhals.String)
    values = np.array(column.to_numpy(), dtype=object)
    values[require("pandas").isna(values)] = None
    return values


def _as_numbers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64 [rows], and a mask of the values that are no number."""
    pandas = require("pandas")
    numbers = pandas.to_numeric(pandas.Series(values, dtype=object), errors="coerce")
    numbers = numbers.to_numpy(np.float64)
    return numbers, np.isnan(numbers) & ~is_missing(values)


def _pandas_zone(column: narwhals.Series[Any]) -> Any:
    """The zone of a pandas column; narwhals 2.29 knows no zone with a `_`, `-` or digit in it."""
    return getattr(getattr(column.to_native(), "dtype", None), "tz", None)


def _of_pandas(column: Any) -> np.ndarray:
    return column.to_numpy().astype("datetime64[us]")


def _microseconds(column: narwhals.Series[Any]) -> np.ndarray:
    return np.asarray(column.to_numpy()).astype("datetime64[us]")


def _without_zone(utc: np.ndarray, local: np.ndarray, calendar: Calendar | None) -> np.ndarray:
    if calendar is not None:
        return utc if calendar.within_day else local
    known = local[~np.isnat(local)]
    return local if (known == known.astype("datetime64[D]")).all() else utc


def _times_of_objects(values: np.ndarray, name: str, calendar: Calendar | None) -> np.ndarray:
    """Times of text and of Python's dates; NaT where missing."""
    pandas = require("pandas")
    rows, uniques = pandas.factorize(values)
    for value in uniques:
        if not isinstance(value, (str, datetime.date)):
            raise _no_times(name, f"{value!r} of type {type(value).__name__}")
    texts = pandas.Series([str(value) for value in uniques], dtype=object)
    if len(texts) and not texts.str.contains(r"\d").all():  # pandas knows "now" and "today"
        wordy = int(np.argmin(texts.str.contains(r"\d")))
        raise _no_date(name, texts[wordy], rows == wordy)
    iso = _parse(texts, format="ISO8601")
    if np.isnat(iso).any():
        times = _common_format(texts, iso, name, rows)
    else:
        bare = texts.str.replace(_TIME_WITH_ZONE, r"\1", regex=True)
        zoned = (bare != texts).to_numpy()
        if zoned.any() and not zoned.all():
            with_zone, without = texts[zoned].iloc[0], texts[~zoned].iloc[0]
            raise DataError(
                f"The times in {name!r} must all have a time zone or all none, got {with_zone!r} "
                f"and {without!r}"
            )
        times = _without_zone(iso, _parse(bare, format="ISO8601"), calendar) if zoned.any() else iso
    return np.append(times, np.datetime64("NaT"))[rows]


def _common_format(texts: Any, iso: np.ndarray, name: str, rows: np.ndarray) -> np.ndarray:
    """Times in the one format of all texts, if there is one and it has one meaning."""
    month_first = day_first = _parse(texts)
    if not texts.str.match(r"\d{4}").any():  # nobody writes year-day-month
        day_first = _parse(texts, dayfirst=True)
    month_works, day_works = not np.isnat(month_first).any(), not np.isnat(day_first).any()
    if month_works and day_works and (month_first != day_first).any():
        at = int(np.argmax(month_first != day_first))
        raise DataError(
            f"The times in {name!r} must have one meaning, got {texts[at]!r}, which may be "
            f"{show_time(month_first[at])} or {show_time(day_first[at])}; write them as "
            "year-month-day"
        )
    if month_works or day_works:
        return month_first if month_works else day_first
    best = max((iso, month_first, day_first), key=lambda times: int((~np.isnat(times)).sum()))
    at = int(np.argmax(np.isnat(best)))
    raise _no_date(name, texts[at], rows == at)


def _parse(texts: Any, **how: Any) -> np.ndarray:
    """datetime64[us], UTC, NaT where a text does not fit; all NaT where no format is seen."""
    pandas = require("pandas")
    with warnings.catch_warnings():
        # Without a format pandas would read each text on its own, and "10" as a day of this month.
        warnings.filterwarnings("error", message="Could not infer format")
        warnings.filterwarnings("ignore", message="Parsing dates in")
        try:
            parsed = pandas.to_datetime(texts, errors="coerce", utc=True, **how)
        except UserWarning:
            return np.full(len(texts), "NaT", "datetime64[us]")
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _no_date(name: str, text: str, rows: np.ndarray) -> DataError:
    return DataError(
        f"The times in {name!r} must be dates such as '2024-03-31' or '2024-03-31 14:00', got "
        f"{text!r} in row {int(np.argmax(rows)) + 1} of the data"
    )


def _no_times(name: str, got: str) -> DataError:
    return DataError(
        f"The times in {name!r} must be dates, dates with times, or text such as "
        f"'2024-03-31 14:00', got {got}; convert them first, for example with "
        "pandas.to_datetime(column, unit='s') or format='%Y'"
    )


def _rows(mask: np.ndarray) -> str:
    """``rows 3, 8 and 12 more of the data``; the first is 1."""
    rows = np.flatnonzero(mask) + 1
    shown = ", ".join(str(row) for row in rows[:5])
    more = f" and {len(rows) - 5:,} more" if len(rows) > 5 else ""
    return f"row{'s' * (len(rows) > 1)} {shown}{more} of the data"
