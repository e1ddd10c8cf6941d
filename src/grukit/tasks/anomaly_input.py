"""From a table, an array or a single row to the values of channels."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import DataError, did_you_mean, must_be
from grukit.data.calendar import as_time, show_time
from grukit.data.tables import read_frame
from grukit.data.values import numbers_of, times_of

# Squares of larger numbers would overflow.
LARGEST_VALUE = 1e100


class Rows(NamedTuple):
    """T rows of C channels: values float64 [T, C], NaN where missing, and times [T] or None."""

    values: np.ndarray
    times: np.ndarray | None
    channels: tuple[str, ...]


def read_rows(data: Any, time: str | None, channels: Sequence[str] | None) -> Rows:
    """The rows of a table or an array.

    data: a frame, the path of a CSV or Parquet file, or numbers [T] or [T, C].
    time: the column of times, which must rise from row to row; None where there is none.
    channels: the columns to look at; by default all that hold numbers, the time aside. Of an array
        of as many columns they are the names.

    Raises DataError if it is not as above, or a value is infinite.
    """
    if isinstance(data, (np.ndarray, list, tuple)):
        rows = _of_array(data, channels)
        if time is not None:
            raise DataError(f"the data must be a table with the times in {time!r}, got an array")
    else:
        rows = _of_table(data, time, channels)
    _check_values(rows.values, rows.channels)
    return rows


def read_row(row: Any, time: str | None, channels: Sequence[str], others: bool = False) -> Rows:
    """One row of a stream: a number, C numbers, or a mapping from channel to number.

    A row of a pandas frame is such a mapping. Of a mapping, the value of `time` is the time if it
    is there, in UTC if it has a zone. None is missing, like NaN. others: whether it may hold more.
    """
    times = None
    if hasattr(row, "keys"):
        row = {str(name): row[name] for name in row.keys()}  # noqa: SIM118
        if lacking := [name for name in channels if name not in row]:
            names = ", ".join(map(repr, lacking))
            raise DataError(
                f"every row must have the channels {tuple(channels)}, got none for {names}; "
                "where a value is missing, give None"
            )
        unknown = [name for name in row if name != time and name not in channels]
        if unknown and not others:
            raise DataError(must_be("the channels of a row", f"{tuple(channels)}", unknown))
        values = [row[name] for name in channels]
        if time is not None and time in row:
            times = np.array([as_time(_in_utc(row[time]), time)], "datetime64[us]")
    else:
        values = [row] if np.ndim(row) == 0 else list(row)
        if len(values) != len(channels):
            wanted = f"{len(channels)}, as in training"
            raise DataError(must_be("the number of channels in a row", wanted, len(values)))
    numbers = np.array([[_number(value) for value in values]])
    _check_values(numbers, channels)
    return Rows(numbers, times, tuple(channels))


def check_later(times: np.ndarray | None, after: np.datetime64 | None) -> None:
    """Raise DataError unless the first of the times is later than `after`."""
    if times is None or after is None or times[0] > after:
        return
    what = "appears twice" if times[0] == after else f"comes after {show_time(after)}"
    raise DataError(
        f"the times of a stream must rise from row to row, but {show_time(times[0])} {what}; the "
        "row was left out and the stream can go on"
    )


def default_names(count: int) -> tuple[str, ...]:
    """Names for channels without one."""
    return ("value",) if count == 1 else tuple(map(str, range(count)))


def _of_array(data: Any, channels: Sequence[str] | None) -> Rows:
    try:
        values = np.asarray(data, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the data must be numbers, got: {error}") from None
    if values.ndim not in (1, 2) or not values.size:
        raise DataError(must_be("the data", "of shape [T] or [T, C], not empty", values.shape))
    values = values.reshape(len(values), -1)
    if channels is None:
        channels = default_names(values.shape[1])
    if len(channels) != values.shape[1]:
        wanted = f"of {len(channels)} channels"
        raise DataError(must_be("the data", wanted, values.shape[1]))
    return Rows(values, None, tuple(channels))


def _of_table(data: Any, time: str | None, channels: Sequence[str] | None) -> Rows:
    frame = read_frame(data)
    # Pandas numbers the columns of an array.
    frame = frame.rename({name: str(name) for name in frame.columns if not isinstance(name, str)})
    for name in (*(() if time is None else (time,)), *(channels or ())):
        if name not in frame.columns:
            hint = did_you_mean(name, frame.columns)
            raise DataError(f"the table must have the column {name!r}, got {frame.columns}{hint}")
    if not len(frame):
        raise DataError("the table must have rows, got none")
    if channels is None:
        channels = [c for c in frame.columns if c != time and frame[c].dtype.is_numeric()]
        if not channels:
            raise DataError(f"the table must have a column of numbers, got {frame.columns}")
    times = None if time is None else times_of(frame[time], None)
    if times is not None:
        _check_rising(times, str(time))
    values = np.stack([numbers_of(frame[name]) for name in channels], axis=1)
    return Rows(values, times, tuple(channels))


def _check_rising(times: np.ndarray, name: str) -> None:
    wrong = np.flatnonzero(times[1:] <= times[:-1])
    if not len(wrong):
        return
    at = int(wrong[0])
    first, second = show_time(times[at]), show_time(times[at + 1])
    advice = "drop or aggregate the duplicates" if first == second else "sort the rows"
    raise DataError(
        f"the times in {name!r} must rise from row to row, got {second} after {first} in row "
        f"{at + 2}; {advice}"
    )


def _check_values(values: np.ndarray, channels: Sequence[str]) -> None:
    huge = np.abs(values) > LARGEST_VALUE
    if huge.any():
        row, channel = np.argwhere(huge)[0]
        wanted = f"numbers up to {LARGEST_VALUE:g}, or missing"
        raise DataError(
            must_be(f"the values of {channels[channel]!r}", wanted, float(values[row, channel]))
        )


def _in_utc(time: Any) -> Any:
    if not isinstance(time, datetime.datetime) or time.tzinfo is None:
        return time
    return time.astimezone(datetime.UTC).replace(tzinfo=None)


def _number(value: Any) -> float:
    try:
        return float("nan") if value is None else float(value)
    except (TypeError, ValueError):
        raise DataError(must_be("the value of a channel", "a number or None", value)) from None
