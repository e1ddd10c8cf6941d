"""Covariates that are forecasts themselves: what was known of a time, as of another time.

A row of an archive of weather forecasts says what was known of `ds` from `issued_at` on; a later
issue replaces it for whoever asks later, and for nobody before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import DataError
from grukit.data.calendar import Calendar, of_series, show_time
from grukit.data.values import covariate_of, has_zone, ids_of, is_missing, times_of

if TYPE_CHECKING:
    import narwhals

    from grukit.data.columns import ColumnEncoder
    from grukit.data.frames import Columns


@dataclass(frozen=True, eq=False)
class Issues:
    """Rows of which each says what was known of a time from its issue on.

    Attributes:
        ids: names of series.
        series: int64 [n], the place of each row's series in `ids`.
        times, issued: datetime64[us] [n].
        values: the columns that change by issue, each [n]: float64, or object of str.
    """

    ids: tuple[str, ...]
    series: np.ndarray
    times: np.ndarray
    issued: np.ndarray
    values: dict[str, np.ndarray]

    def before(self, time: np.datetime64) -> Issues:
        """Those issued earlier than `time`."""
        keep = self.issued < time
        return replace(
            self,
            series=self.series[keep],
            times=self.times[keep],
            issued=self.issued[keep],
            values={name: values[keep] for name, values in self.values.items()},
        )


def split_issues(
    frame: narwhals.DataFrame[Any], issued: str
) -> tuple[narwhals.DataFrame[Any], narwhals.DataFrame[Any]]:
    """The rows without a time of issue, which are observations, and those with one."""
    is_observation = frame[issued].is_null()
    return frame.filter(is_observation), frame.filter(~is_observation)


def read_issues(
    rows: narwhals.DataFrame[Any],
    observations: narwhals.DataFrame[Any],
    columns: Columns,
    calendar: Calendar,
) -> Issues | None:
    """The issues in rows that all have a time of issue, None if there are none.

    The future covariates with a value in these rows change by issue; DataError if one has values
    among the observations as well, or is issued twice at one time for the same time.
    """
    if not len(rows):
        return None
    assert columns.issued is not None
    found = {name: covariate_of(rows[name]) for name in columns.future}
    found = {name: values for name, values in found.items() if not is_missing(values).all()}
    for name, values in found.items():
        if not is_missing(covariate_of(observations[name])).all():
            raise DataError(
                f"the covariate {name!r} must have its values in rows with {columns.issued!r} or "
                "in rows without, got both; what was measured is a past covariate of another name"
            )
        if values.dtype != object and np.isinf(values).any():
            raise DataError(
                f"{name!r} must be finite or missing, got {values[np.isinf(values)][0]}"
            )
    if has_zone(rows[columns.time]) != has_zone(rows[columns.issued]):
        both = f"{columns.time!r} and {columns.issued!r}"
        raise DataError(f"the times in {both} must both have a time zone or neither, got one")
    times, issued = (times_of(rows[name], calendar) for name in (columns.time, columns.issued))
    if columns.series is None:
        ids, series = ("",), np.zeros(len(rows), np.int64)
    else:
        ids, series = ids_of(rows[columns.series])
    order = np.lexsort((issued, times, series))
    keys = np.stack([series, times.view(np.int64), issued.view(np.int64)])[:, order]
    twice = (keys[:, 1:] == keys[:, :-1]).all(axis=0)
    if twice.any():
        at = order[int(np.argmax(twice))]
        raise DataError(
            f"each time{of_series(ids[series[at]])} must be issued once at a time, got "
            f"{show_time(times[at])} twice at {show_time(issued[at])}; drop one of the two"
        )
    return Issues(ids, series, times, issued, found)


def together(one: Issues | None, other: Issues | None) -> Issues | None:
    """The issues of two tables."""
    if one is None or other is None:
        return one or other
    ids = tuple(dict.fromkeys(one.ids + other.ids))
    place = {name: at for at, name in enumerate(ids)}

    both, values = (one, other), {}
    for name in dict.fromkeys([*one.values, *other.values]):
        kinds = [each.values[name].dtype for each in both if name in each.values]
        values[name] = np.concatenate(
            [each.values.get(name, _nothing(len(each.times), kinds[0])) for each in both]
        )
    return Issues(
        ids,
        np.concatenate([np.array([place[name] for name in e.ids])[e.series] for e in both]),
        np.concatenate([each.times for each in both]),
        np.concatenate([each.issued for each in both]),
        values,
    )


class AsOf:
    """Encoded issues, to be asked what was known of a time as of another.

    A question is a pair of numbers: the slot of a series and a time, from `slots`, and how many of
    the times of issue had passed, from `passed`. The newest issue of each column answers it.
    """

    def __init__(
        self, issues: Issues, encoders: Sequence[ColumnEncoder], ids: Sequence[str]
    ) -> None:
        place = {name: at for at, name in enumerate(ids)}
        series = np.array([place.get(name, -1) for name in issues.ids], np.int64)[issues.series]
        mine = series >= 0
        self.times = np.unique(issues.times[mine])
        self.issued = np.unique(issues.issued[mine])
        slots = self.slots(series[mine], issues.times[mine])
        keys = self._keys(slots, self.passed(issues.issued[mine]))
        self.columns = []
        for encoder in encoders:
            values = issues.values[encoder.name][mine]
            known = np.flatnonzero(~is_missing(values))
            order = known[np.argsort(keys[known], kind="stable")]
            # A last row for what no issue tells.
            encoded = encoder.encode(np.concatenate([values[order], _nothing(1, values.dtype)]))
            self.columns.append((keys[order], encoded))

    def slots(self, series: np.ndarray, times: np.ndarray) -> np.ndarray:
        """int64, shaped as the two together: the slot of each time of each series, or -1."""
        series, times = np.broadcast_arrays(series, times)
        if not len(self.times):
            return np.full(times.shape, -1)
        at = np.searchsorted(self.times, times).clip(max=len(self.times) - 1)
        return np.where(self.times[at] == times, series * len(self.times) + at, -1)

    def passed(self, now: np.ndarray) -> np.ndarray:
        """int64: how many times of issue are not later than `now`."""
        return np.searchsorted(self.issued, now, side="right")

    def known(self, slots: np.ndarray, passed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the newest issues say, float32 [..., width], and which columns had one, bool."""
        slots, passed = np.broadcast_arrays(slots, passed)
        wanted = self._keys(slots, passed)
        values, found = [], []
        for keys, encoded in self.columns:
            at = np.searchsorted(keys, wanted, side="right") - 1
            newest = keys[at] if len(keys) else np.full(at.shape, -1)
            has = (at >= 0) & (slots >= 0) & (newest // self._of_a_slot == slots)
            values.append(encoded[np.where(has, at, len(keys))])
            found.append(has)
        return np.concatenate(values, axis=-1), np.stack(found, axis=-1)

    def digest(self) -> bytes:
        """All that an answer depends on."""
        parts = [self.times.view(np.int64), self.issued.view(np.int64)]
        parts += [array for column in self.columns for array in column]
        return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)

    @property
    def _of_a_slot(self) -> int:
        return len(self.issued) + 1

    def _keys(self, slots: np.ndarray, passed: np.ndarray) -> np.ndarray:
        """One number that sorts by slot, then by issue."""
        return slots * self._of_a_slot + passed


class RowIssues:
    """The answers of `as_of` at the rows of a panel."""

    def __init__(self, as_of: AsOf, offsets: np.ndarray, times: np.ndarray) -> None:
        self.as_of = as_of
        series = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        self._slots, self._passed = as_of.slots(series, times), as_of.passed(times)

    def known(self, rows: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """float32 [..., width]: what was known of `rows` at the row before the origin."""
        return self.as_of.known(self._slots[rows], self._passed[origins - 1])[0]


def _nothing(count: int, kind: np.dtype[Any]) -> np.ndarray:
    """So many missing values."""
    return np.full(count, None if kind.hasobject else np.nan, kind)
