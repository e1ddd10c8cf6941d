"""From a table of rows to a panel: many series on one regular calendar.

A table is long: one row for each series and time, in any order. It may be a pandas, polars or
Arrow frame, or a CSV or Parquet file. `to_panel` checks it, sorts it, and puts a row of NaN where
the calendar has a time that the table lacks; what was missing is counted in the panel's report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from grukit.core.errors import DataError, ParameterError, did_you_mean, must_be
from grukit.core.extras import require
from grukit.core.rules import check, each, optional, text
from grukit.data.calendar import Calendar, of_series, show_time
from grukit.data.issues import Issues, read_issues, split_issues
from grukit.data.tables import read_frame
from grukit.data.values import covariate_of, has_zone, ids_of, is_missing, numbers_of, times_of

DEFAULT_SERIES = "unique_id"
_NAMED = ("time", "target", "series")
# A grid may be this many times as long as its rows, and this long in any case.
LARGEST_STRETCH, LARGEST_FREE_GRID = 100, 1_000_000


@dataclass(frozen=True)
class Columns:
    """Which column of a table plays which role.

    A table without a column `unique_id` is one series, whose id is the empty string, as is any
    table under ``series=None``.

    Attributes:
        time: when the row was observed.
        target: what is forecast.
        series: which series the row belongs to.
        past: covariates known up to the present.
        future: covariates known ahead as well, such as holidays or prices.
        issued: from when on the future covariates of a row were known, where they are forecasts
            themselves; missing in the rows of observations.
        static: properties of a series that never change.

    Raises:
        ParameterError: a name is no non-empty string, or one column has two roles.
    """

    time: str = "ds"
    target: str = "y"
    series: str | None = DEFAULT_SERIES
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    issued: str | None = None

    def __post_init__(self) -> None:
        lists = dict.fromkeys(("past", "future", "static"), each(text()))
        one = {"time": text(), "target": text(), "series": optional(text())}
        one["issued"] = optional(text())
        check({field.name: getattr(self, field.name) for field in fields(self)}, one | lists)
        for role in lists:
            object.__setattr__(self, role, tuple(getattr(self, role)))
        for name, count in Counter(self.names).items():
            if count > 1:
                raise ParameterError(
                    must_be(f"the role of column {name!r}", "one only", self._roles_of(name))
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that has a role."""
        single = (name for name in (self.series, self.issued) if name is not None)
        return (*single, self.time, self.target, *self.past, *self.future, *self.static)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The columns that vary in time, the target aside: past, then future."""
        return self.past + self.future

    def _roles_of(self, name: str) -> list[str]:
        roles = []
        for field in fields(self):
            value = getattr(self, field.name)
            roles += [field.name] * ((value,) if isinstance(value, str) else value or ()).count(
                name
            )
        return roles


@dataclass(frozen=True)
class GapReport:
    """What a table lacked.

    Attributes:
        rows: rows of the table.
        added: rows put in where the calendar has a time that the table lacks.
        missing: missing values of the target and of each covariate, added rows included.
        utc: whether times with a zone became UTC.
        issues: rows of covariates with a time of issue, which `rows` does not count.
    """

    rows: int
    added: int
    missing: dict[str, int]
    utc: bool = False
    issues: int = 0

    def __str__(self) -> str:
        gaps = f"{self.added:,} added for gaps" if self.added else "no gaps"
        lacking = ", ".join(f"{name} {count:,}" for name, count in self.missing.items() if count)
        rows = f"{self.rows:,} row{'s' * (self.rows != 1)}"
        issues = f"; {self.issues:,} rows of issues" if self.issues else ""
        zone = "; times are now UTC" if self.utc else ""
        return f"{rows}, {gaps}; missing values: {lacking or 'none'}{issues}{zone}"


@dataclass(frozen=True)
class Panel:
    """Many series on one regular calendar, in flat arrays, series after series.

    Each series runs from its first to its last row without a gap; what is not known is NaN, or
    None in a categorical column. Series are in the order of their ids as text, so that the order
    of the rows in a table makes no difference.

    Attributes:
        calendar: the steps of the time axis; each series has its own start.
        columns: the roles; ``columns.series`` is None where the table was one series.
        ids: the names of the S series, as text.
        offsets: int64 [S + 1]; series s is rows ``offsets[s]:offsets[s + 1]``.
        times: datetime64[us] [rows]; UTC where the table had time zones and steps within a day,
            else the local date.
        target: float64 [rows].
        covariates: past and future columns, each [rows]: float64, or object of str for text and
            categories. Booleans are 0 and 1.
        static: static columns, each [S], of the same two types.
        report: what the table lacked; a cut of a panel keeps the report of the whole.
        issues: the future covariates that change by issue, which are not among `covariates`.
    """

    calendar: Calendar
    columns: Columns
    ids: tuple[str, ...]
    offsets: np.ndarray
    times: np.ndarray
    target: np.ndarray
    covariates: dict[str, np.ndarray]
    static: dict[str, np.ndarray]
    report: GapReport
    issues: Issues | None = None

    def __len__(self) -> int:
        """The number of series."""
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series: int64 [S]."""
        return np.diff(self.offsets)

    def rows(self, series: int) -> slice:
        """The rows of series number `series`."""
        return slice(int(self.offsets[series]), int(self.offsets[series + 1]))

    def series(self, name: str) -> Panel:
        """The one series of that id.

        Raises:
            ParameterError: there is none.
        """
        if name not in self.ids:
            raise ParameterError(
                must_be("series", f"one of the {len(self.ids)} ids of the panel", name)
                + did_you_mean(name, self.ids)
            )
        at = self.ids.index(name)
        keep = np.zeros(len(self.times), bool)
        keep[self.rows(at)] = True
        return self._keep(keep)

    def before(self, time: Any) -> Panel:
        """The rows, and issues, from before `time`; a series without any row is left out.

        Raises:
            DataError: there is none.
        """
        keep = self.times < np.datetime64(time, "us")
        if not keep.any():
            first, last = show_time(self.times.min()), show_time(self.times.max())
            raise DataError(
                f"The panel must have rows before {show_time(time)}, got {first} to {last}"
            )
        issues = None if self.issues is None else self.issues.before(np.datetime64(time, "us"))
        return replace(self._keep(keep), issues=issues)

    def _keep(self, keep: np.ndarray) -> Panel:
        """The rows where `keep` holds, which are one run in each series."""
        lengths = np.add.reduceat(keep, self.offsets[:-1], dtype=np.int64)
        stay = lengths > 0
        return replace(
            self,
            ids=tuple(name for name, stays in zip(self.ids, stay, strict=True) if stays),
            offsets=_ends(lengths[stay]),
            times=self.times[keep],
            target=self.target[keep],
            covariates={name: values[keep] for name, values in self.covariates.items()},
            static={name: values[stay] for name, values in self.static.items()},
        )


def to_panel(
    source: Any,
    columns: Columns | None = None,
    freq: str | None = None,
    *,
    target_required: bool = True,
) -> Panel:
    """Check a table and lay its series on one regular calendar.

    >>> import pandas as pd
    >>> days = pd.to_datetime(["2024-03-01", "2024-03-02", "2024-03-03", "2024-03-05"])
    >>> panel = to_panel(pd.DataFrame({"ds": days, "y": [11.2, 12.0, 11.6, 12.5]}))
    >>> panel.calendar.freq, panel.target.tolist()
    ('D', [11.2, 12.0, 11.6, nan, 12.5])
    >>> print(panel.report)
    4 rows, 1 added for gaps; missing values: y 1

    Args:
        source: see `read_frame`; never modified.
        columns: the roles; by default `ds`, `y` and, where it exists, `unique_id`.
        freq: the step as a pandas frequency; inferred from the times when None.
        target_required: False for a table of known-future covariates, where the target, past and
            static columns may be absent.

    Raises:
        DataError: the table cannot be used as it is; the message says where and what to do.
        ParameterError: `freq` is not a frequency.
    """
    columns = columns or Columns()
    calendar = None if freq is None else Calendar(freq)
    text = () if columns.series is None else (columns.series,)
    frame = read_frame(source, text, wanted=columns.names)
    columns = _columns_present(frame.columns, columns, target_required)
    issue_rows = None
    if columns.issued is not None:
        frame, issue_rows = split_issues(frame, columns.issued)
    if not (len(frame) or target_required) and calendar is not None and issue_rows is not None:
        return _only_issues(read_issues(issue_rows, frame, columns, calendar), columns, calendar)
    if not len(frame):
        without = f" without {columns.issued!r}" if columns.issued else ""
        raise DataError(f"The data must have at least one row{without}, got none")

    times = times_of(frame[columns.time], calendar)
    if columns.series is None:
        ids, series_of_row = ("",), np.zeros(len(frame), np.int64)
    else:
        ids, series_of_row = ids_of(frame[columns.series])
    order = np.lexsort((times, series_of_row))
    times, series_of_row = times[order], series_of_row[order]
    _refuse_duplicates(times, series_of_row, ids)
    offsets = _ends(np.bincount(series_of_row, minlength=len(ids)))
    starts = times[offsets[:-1]]

    if calendar is None:
        calendar = Calendar.infer(np.split(times, offsets[1:-1]), ids)
    positions, on_grid = calendar.locate(times, starts[series_of_row])
    if not on_grid.all():
        row = int(np.argmin(on_grid))
        series = series_of_row[row]
        raise DataError(calendar.off_grid(times[row], starts[series], ids[series]))
    lengths = positions[offsets[1:] - 1] + 1
    _refuse_stretched(lengths, np.diff(offsets), ids, times, offsets, calendar)
    grid_offsets = _ends(lengths)
    row_on_grid = grid_offsets[:-1][series_of_row] + positions

    def lay(values: np.ndarray) -> np.ndarray:
        """Sort rows into the grid, NaN or None where there is none."""
        empty = np.nan if values.dtype != object else None
        laid = np.full(int(grid_offsets[-1]), empty, values.dtype)
        laid[row_on_grid] = values[order]
        return laid

    def finite(name: str, values: np.ndarray) -> np.ndarray:
        if values.dtype != object and np.isinf(values).any():
            row = int(np.argmax(np.isinf(values)))
            at = int(np.flatnonzero(order == row)[0])
            raise DataError(
                f"{name!r} must be finite or missing, got {values[row]} at {show_time(times[at])}"
                f"{of_series(ids[series_of_row[at]])}; put NaN where a value is unknown"
            )
        return values

    grid_series = np.repeat(np.arange(len(ids)), lengths)
    grid_times = calendar.at(
        starts[grid_series], np.arange(len(grid_series)) - grid_offsets[:-1][grid_series]
    )
    if columns.target in frame.columns:
        target = lay(finite(columns.target, numbers_of(frame[columns.target])))
    else:
        target = np.full(len(grid_times), np.nan)
    if target_required:
        known = np.add.reduceat(~np.isnan(target), grid_offsets[:-1], dtype=np.int64)
        if not known.all():
            name = ids[int(np.argmin(known))]
            raise DataError(
                f"{columns.target!r}{of_series(name)} must have at least one value, got only "
                "missing ones; leave the series out"
            )
    issues = None
    if issue_rows is not None:
        issues = read_issues(issue_rows, frame, columns, calendar)
    covariates = {
        name: lay(finite(name, covariate_of(frame[name])))
        for name in columns.covariates
        if issues is None or name not in issues.values
    }
    static = {
        name: _one_per_series(name, finite(name, covariate_of(frame[name]))[order], offsets, ids)
        for name in columns.static
    }
    read = {columns.target: target} if columns.target in frame.columns else {}
    report = GapReport(
        rows=len(frame),
        added=len(grid_times) - len(frame),
        missing={
            name: int(is_missing(values).sum()) for name, values in (read | covariates).items()
        },
        utc=calendar.within_day and has_zone(frame[columns.time]),
        issues=0 if issue_rows is None else len(issue_rows),
    )
    return Panel(
        calendar, columns, ids, grid_offsets, grid_times, target, covariates, static, report, issues
    )


def _only_issues(issues: Issues | None, columns: Columns, calendar: Calendar) -> Panel:
    """A panel without a series, of a table of issues alone."""
    nothing = np.empty(0)
    times, covariates = nothing.astype("datetime64[us]"), dict.fromkeys(columns.covariates, nothing)
    report = GapReport(0, 0, {}, issues=0 if issues is None else len(issues.times))
    offsets = np.zeros(1, np.int64)
    return Panel(calendar, columns, (), offsets, times, nothing, covariates, {}, report, issues)


def _columns_present(names: Sequence[str], columns: Columns, target_required: bool) -> Columns:
    """The roles, less those that the table may lack and does."""
    if columns.series == DEFAULT_SERIES and DEFAULT_SERIES not in names:
        columns = replace(columns, series=None)
    required = columns.names
    if not target_required:
        # What changes by issue may come in a table of its own.
        roles = ("past", "static") if columns.issued is None else ("past", "static", "future")
        here = {
            role: tuple(name for name in getattr(columns, role) if name in names) for role in roles
        }
        columns = replace(columns, **here)
        if columns.issued not in names:
            columns = replace(columns, issued=None)
        required = tuple(name for name in columns.names if name != columns.target)
    for name in required:
        if name not in names:
            role = next((role for role in _NAMED if getattr(columns, role) == name), None)
            advice = f"; if the {role} has another name, give it as {role}" if role else ""
            raise DataError(
                f"The data must have a column {name!r}, got {', '.join(map(repr, names))}"
                + (did_you_mean(name, names) or advice)
            )
    return columns


def _refuse_duplicates(times: np.ndarray, series_of_row: np.ndarray, ids: tuple[str, ...]) -> None:
    same = (times[1:] == times[:-1]) & (series_of_row[1:] == series_of_row[:-1])
    if same.any():
        row = int(np.argmax(same))
        time, series = times[row], series_of_row[row]
        count = int(((times == time) & (series_of_row == series)).sum())
        others = int(same.sum()) - (count - 1)
        more = f", and {others:,} more rows like it" if others else ""
        raise DataError(
            f"Each time{of_series(ids[series])} must appear once, got {show_time(time)} in "
            f"{count} rows{more}; drop or aggregate the duplicates, or name the column that "
            "tells the series apart"
        )


def _refuse_stretched(
    lengths: np.ndarray,
    rows: np.ndarray,
    ids: tuple[str, ...],
    times: np.ndarray,
    offsets: np.ndarray,
    calendar: Calendar,
) -> None:
    """One wrong year must not make a grid of a thousand million rows."""
    stretched = (lengths > LARGEST_STRETCH * rows) & (lengths > LARGEST_FREE_GRID)
    if not stretched.any() and lengths.sum() <= max(
        LARGEST_FREE_GRID, LARGEST_STRETCH * int(rows.sum())
    ):
        return
    worst = int(np.argmax(lengths / rows))
    own = times[offsets[worst] : offsets[worst + 1]]
    gap = int(np.argmax(np.diff(own)))
    raise DataError(
        f"The rows{of_series(ids[worst])} must fill at least 1 in {LARGEST_STRETCH} steps of their "
        f"time axis, got {int(rows[worst]):,} rows over {int(lengths[worst]):,} steps of "
        f"{calendar.freq!r}; the longest gap is from {show_time(own[gap])} to "
        f"{show_time(own[gap + 1])}: is one of the two wrong, or the freq too fine?"
    )


def _one_per_series(
    name: str, values: np.ndarray, offsets: np.ndarray, ids: tuple[str, ...]
) -> np.ndarray:
    """[S]: the one value of each series; rows that lack it are no contradiction."""
    if values.dtype == object:
        codes, uniques = require("pandas").factorize(values)
        numbers = np.where(codes < 0, np.nan, codes)
    else:
        numbers, uniques = values, None
    low = np.fmin.reduceat(numbers, offsets[:-1])
    high = np.fmax.reduceat(numbers, offsets[:-1])
    varies = low < high
    if varies.any():
        series = int(np.argmax(varies))
        own = values[offsets[series] : offsets[series + 1]]
        seen = list(dict.fromkeys(own[~is_missing(own)].tolist()))[:3]
        raise DataError(
            f"The static column {name!r}{of_series(ids[series])} must have one value, got "
            f"{', '.join(map(repr, seen))}; a column that changes in time is a past or future one"
        )
    if uniques is None:
        return low
    return np.array([None if np.isnan(code) else uniques[int(code)] for code in low], dtype=object)


def _ends(lengths: np.ndarray) -> np.ndarray:
    """Offsets of runs of these lengths: int64 [S + 1], from 0."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
