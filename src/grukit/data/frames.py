"""From a table of rows to a panel: many series on one regular calendar.

A table is long: one row for each series and time, in any order. It may be a pandas, polars or
Arrow frame, or a CSV or Parquet file. `to_panel` checks it, sorts it, and puts a row of NaN where
the calendar has a time that the table lacks; what was missing is counted in the panel's report.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.extras import require
from grukit.core.rules import check, each, optional, text
from grukit.data.calendar import FIRST_YEAR, LAST_YEAR, Calendar, of_series, show_time

if TYPE_CHECKING:
    import narwhals

DEFAULT_SERIES = "unique_id"
# A grid may be this many times as long as its rows, and this long in any case.
LARGEST_STRETCH, LARGEST_FREE_GRID = 100, 1_000_000
_SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
_OFFSET_AT_END = r"(?<=\d)\s*(?:Z|UTC|[+-]\d{2}:?\d{2})$"


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

    def __post_init__(self) -> None:
        lists = dict.fromkeys(("past", "future", "static"), each(text()))
        one = {"time": text(), "target": text(), "series": optional(text())}
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
        series = () if self.series is None else (self.series,)
        return (*series, self.time, self.target, *self.past, *self.future, *self.static)

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
    """

    rows: int
    added: int
    missing: dict[str, int]

    def __str__(self) -> str:
        gaps = f"{self.added:,} added for gaps" if self.added else "no gaps"
        lacking = ", ".join(f"{name} {count:,}" for name, count in self.missing.items() if count)
        return f"{self.rows:,} rows, {gaps}; missing values: {lacking or 'none'}"


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
                + _close(name, self.ids)
            )
        at = self.ids.index(name)
        keep = np.zeros(len(self.times), bool)
        keep[self.rows(at)] = True
        return self._keep(keep)

    def before(self, time: Any) -> Panel:
        """The rows whose time is earlier than `time`; a series without any is left out."""
        return self._cut(None, time)

    def since(self, time: Any) -> Panel:
        """The rows at `time` and later; a series without any is left out."""
        return self._cut(time, None)

    def between(self, start: Any, end: Any) -> Panel:
        """The rows from `start` (included) to `end` (excluded)."""
        return self._cut(start, end)

    def _cut(self, start: Any, end: Any) -> Panel:
        keep = np.ones(len(self.times), bool)
        if start is not None:
            keep &= self.times >= np.datetime64(start, "us")
        if end is not None:
            keep &= self.times < np.datetime64(end, "us")
        if not keep.any():
            wanted = " and ".join(
                [f"from {show_time(start)}"] * (start is not None)
                + [f"before {show_time(end)}"] * (end is not None)
            )
            first, last = show_time(self.times.min()), show_time(self.times.max())
            raise DataError(f"The panel must have rows {wanted}, got {first} to {last}")
        return self._keep(keep)

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


def read_frame(source: Any, text: Sequence[str] = ()) -> narwhals.DataFrame[Any]:
    """A table as a narwhals frame.

    Args:
        source: a .csv, .tsv (also .gz) or .parquet file, or a pandas, polars or Arrow frame.
        text: columns of a CSV file that are text whatever they look like, so that the id ``007``
            stays as it is.

    Raises:
        DataError: the file is missing, empty, damaged or of another kind, a column appears
            twice, or `source` is no frame.
    """
    narwhals = require("narwhals")
    if isinstance(source, (str, Path)):
        source = _read_file(Path(source).expanduser(), text)
    try:
        return narwhals.from_native(source, eager_only=True)
    except narwhals.exceptions.DuplicateError:
        names = [str(name) for name in source.columns]
        raise DataError(_duplicate_columns(names, "The frame")) from None
    except TypeError:
        lazy = "; collect the lazy frame first" if hasattr(source, "collect") else ""
        wanted = "a CSV or Parquet file, or a pandas, polars or Arrow frame"
        raise DataError(
            f"The data must be {wanted}, got {type(source).__module__}.{type(source).__name__}"
            + lazy
        ) from None


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
    frame = read_frame(source, text=() if columns.series is None else (columns.series,))
    columns = _columns_present(frame.columns, columns, target_required)
    if not len(frame):
        raise DataError("The data must have at least one row, got none")

    times = _times(frame[columns.time], calendar)
    ids, series_of_row = _ids(frame, columns.series)
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
        target = lay(finite(columns.target, _numbers(frame[columns.target])))
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
    covariates = {name: lay(finite(name, _values(frame[name]))) for name in columns.covariates}
    static = {
        name: _one_per_series(name, finite(name, _values(frame[name]))[order], offsets, ids)
        for name in columns.static
    }
    read = {columns.target: target} if columns.target in frame.columns else {}
    report = GapReport(
        rows=len(frame),
        added=len(grid_times) - len(frame),
        missing={name: int(_missing(values).sum()) for name, values in (read | covariates).items()},
    )
    return Panel(
        calendar, columns, ids, grid_offsets, grid_times, target, covariates, static, report
    )


def _read_file(path: Path, text: Sequence[str]) -> Any:
    pandas = require("pandas")
    path = path.absolute()
    if not path.is_file():
        raise DataError(f"The data file must exist, got {path}{_near_files(path)}")
    if path.stat().st_size == 0:
        raise DataError(f"The data file must have a header and rows, got an empty file: {path}")
    name = path.name.lower()
    if name.endswith(".parquet"):
        require("pyarrow")
        try:
            return pandas.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} must be a Parquet file, got: {error}") from error
    suffix = next((suffix for suffix in _SEPARATORS if name.endswith(suffix)), None)
    if suffix is None:
        kinds = ", ".join((*_SEPARATORS, ".parquet"))
        raise DataError(f"The data file must end in one of {kinds}, got {path}")
    return _read_delimited(path, _SEPARATORS[suffix], text)


def _read_delimited(path: Path, separator: str, text: Sequence[str]) -> Any:
    pandas = require("pandas")
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=separator), [])
        if len(set(header)) < len(header):  # pandas would rename the second in silence
            raise DataError(_duplicate_columns(header, str(path)))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            return pandas.read_csv(
                path,
                sep=separator,
                encoding="utf-8-sig",
                index_col=False,
                low_memory=False,
                converters={name: str.strip for name in text if name in header},
            )
    except pandas.errors.ParserWarning:
        raise DataError(
            f"{path} must have one field a column in every row, got rows longer than the header"
        ) from None
    except (ValueError, OSError, EOFError, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path} must be a delimited text file in UTF-8, got: {reason}") from error


def _near_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    return _close(path.name, [file.name for file in path.parent.iterdir() if file.is_file()])


def _close(name: str, names: Iterable[Any]) -> str:
    """``; did you mean 'a', 'b'?``, or nothing."""
    by_lower = {str(other).lower(): str(other) for other in names}
    found = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    return f"; did you mean {', '.join(repr(by_lower[other]) for other in found)}?" * bool(found)


def _duplicate_columns(names: Sequence[str], where: str) -> str:
    twice = [name for name, count in Counter(names).items() if count > 1]
    return f"{where} must name every column once, got {', '.join(map(repr, twice))} more than once"


def _columns_present(names: Sequence[str], columns: Columns, target_required: bool) -> Columns:
    """The roles, less those that the table may lack and does."""
    if columns.series == DEFAULT_SERIES and DEFAULT_SERIES not in names:
        columns = replace(columns, series=None)
    required = list(columns.names)
    if not target_required:
        required.remove(columns.target)
        here = {
            role: tuple(name for name in getattr(columns, role) if name in names)
            for role in ("past", "static")
        }
        for name in (*columns.past, *columns.static):
            required.remove(name)
        columns = replace(columns, **here)
    for name in required:
        if name not in names:
            raise DataError(
                f"The data must have a column {name!r}, got {', '.join(map(repr, names))}"
                + _close(name, names)
            )
    return columns


def _times(column: narwhals.Series[Any], calendar: Calendar | None) -> np.ndarray:
    """datetime64[us] [rows]: dates and times of any kind, without zone."""
    narwhals = require("narwhals")
    kind = column.dtype
    if kind == narwhals.Datetime and kind.time_zone is not None:
        utc = _microseconds(column.dt.convert_time_zone("UTC").dt.replace_time_zone(None))
        local = _microseconds(column.dt.replace_time_zone(None))
        times = _without_zone(utc, local, calendar)
    elif kind in (narwhals.Datetime, narwhals.Date):
        times = _microseconds(column)
    elif kind in (narwhals.String, narwhals.Categorical, narwhals.Enum, narwhals.Object):
        times = _parse_times(_as_text(column), column.name, calendar)
    else:
        raise DataError(
            f"The times in {column.name!r} must be dates, dates with times, or text such as "
            f"'2024-03-31 14:00', got {kind}; convert them first, for example with "
            "pandas.to_datetime(column, unit='s') or format='%Y'"
        )
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


def _microseconds(column: narwhals.Series[Any]) -> np.ndarray:
    return np.asarray(column.to_numpy()).astype("datetime64[us]")


def _without_zone(utc: np.ndarray, local: np.ndarray, calendar: Calendar | None) -> np.ndarray:
    """UTC for steps within a day; local dates for days and more, which have no clock changes."""
    if calendar is not None:
        return utc if calendar.within_day else local
    known = local[~np.isnat(local)]
    return local if (known == known.astype("datetime64[D]")).all() else utc


def _parse_times(values: np.ndarray, name: str, calendar: Calendar | None) -> np.ndarray:
    """Dates written as text: ISO 8601, or another format if all rows share it and it is clear."""
    pandas = require("pandas")
    texts = pandas.Series(values, dtype=object)
    present = texts.notna().to_numpy()

    def parse(values: Any, **how: Any) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Could not infer format")
            warnings.filterwarnings("ignore", message="Parsing dates in")
            try:
                parsed = pandas.to_datetime(values, errors="coerce", utc=True, **how)
            except (ValueError, TypeError, UserWarning):
                return np.full(len(values), "NaT", "datetime64[us]")
        return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")

    def whole(times: np.ndarray) -> bool:
        return not np.isnat(times[present]).any()

    iso = parse(texts, format="ISO8601")
    if whole(iso):
        local_texts = texts.str.replace(_OFFSET_AT_END, "", regex=True)
        if local_texts.equals(texts):
            return iso
        return _without_zone(iso, parse(local_texts, format="ISO8601"), calendar)
    month_first, day_first = parse(texts), parse(texts, dayfirst=True)
    if whole(month_first) and whole(day_first):
        differ = present & (month_first != day_first)
        if differ.any():
            row = int(np.argmax(differ))
            raise DataError(
                f"The times in {name!r} must have one meaning, got {values[row]!r}, which may be "
                f"{show_time(month_first[row])} or {show_time(day_first[row])}; write them as "
                "year-month-day"
            )
        return month_first
    if whole(day_first):
        return day_first
    if whole(month_first):
        return month_first
    best = max((iso, month_first, day_first), key=lambda times: int((~np.isnat(times)).sum()))
    row = int(np.argmax(present & np.isnat(best)))
    raise DataError(
        f"The times in {name!r} must be dates such as '2024-03-31' or '2024-03-31 14:00', got "
        f"{values[row]!r} in row {row + 1} of the data"
    )


def _rows(mask: np.ndarray) -> str:
    """``row 3 of the data``, or ``rows 3, 8, 9 and 12 more of the data``; the first is 1."""
    rows = np.flatnonzero(mask) + 1
    shown = ", ".join(str(row) for row in rows[:5])
    more = f" and {len(rows) - 5:,} more" if len(rows) > 5 else ""
    return f"row{'s' * (len(rows) > 1)} {shown}{more} of the data"


def _ids(frame: narwhals.DataFrame[Any], name: str | None) -> tuple[tuple[str, ...], np.ndarray]:
    """The ids in the order of text, and for each row the number of its series."""
    if name is None:
        return ("",), np.zeros(len(frame), np.int64)
    pandas = require("pandas")
    codes, uniques = pandas.factorize(_native(frame[name]))
    if (codes < 0).any():
        raise DataError(
            f"The series ids in {name!r} must not be missing, got none in {_rows(codes < 0)}"
        )
    texts = np.array([str(value) for value in uniques], dtype=object)
    if (texts == "").any():
        empty = (texts == "")[codes]
        raise DataError(
            f"The series ids in {name!r} must not be empty, got an empty one in {_rows(empty)}"
        )
    ids, number = np.unique(texts, return_inverse=True)
    return tuple(ids.tolist()), number[codes]


def _native(column: narwhals.Series[Any]) -> np.ndarray:
    narwhals = require("narwhals")
    if column.dtype in (narwhals.Categorical, narwhals.Enum):
        column = column.cast(narwhals.String)
    return np.asarray(column.to_numpy())


def _refuse_duplicates(times: np.ndarray, series_of_row: np.ndarray, ids: Sequence[str]) -> None:
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
    ids: Sequence[str],
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


def _numbers(column: narwhals.Series[Any]) -> np.ndarray:
    """float64 [rows] of a column that must be numeric; text that reads as numbers will do."""
    values = _values(column)
    if values.dtype != object:
        return values
    pandas = require("pandas")
    numbers = pandas.to_numeric(pandas.Series(values), errors="coerce").to_numpy(np.float64)
    bad = np.isnan(numbers) & ~_missing(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{column.name!r} must be numbers, got {values[row]!r} in row {row + 1} of the data"
        )
    return numbers


def _values(column: narwhals.Series[Any]) -> np.ndarray:
    """[rows], float64 of numbers and booleans, or object of str and None of text."""
    narwhals = require("narwhals")
    kind = column.dtype
    if kind.is_numeric() or kind == narwhals.Boolean:
        return np.array(column.cast(narwhals.Float64).to_numpy(), np.float64)
    if kind in (narwhals.String, narwhals.Categorical, narwhals.Enum):
        return _as_text(column)
    values = np.asarray(column.to_numpy())
    pandas = require("pandas")
    missing = pandas.isna(values)
    if missing.all():
        return np.full(len(values), np.nan)
    if all(isinstance(value, str) for value in values[~missing]):
        return _none_where(missing, values)
    try:
        return pandas.to_numeric(pandas.Series(np.where(missing, np.nan, values))).to_numpy(
            np.float64
        )
    except (ValueError, TypeError):
        raise DataError(
            f"{column.name!r} must be numbers, text or booleans, got {kind}, such as "
            f"{values[~missing][0]!r}"
        ) from None


def _as_text(column: narwhals.Series[Any]) -> np.ndarray:
    """object [rows]: None where missing."""
    narwhals = require("narwhals")
    if column.dtype in (narwhals.Categorical, narwhals.Enum):
        column = column.cast(narwhals.String)
    values = np.asarray(column.to_numpy(), dtype=object)
    return _none_where(require("pandas").isna(values), values)


def _none_where(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    values = values.astype(object)  # a copy: the user's own column stays as it is
    values[mask] = None
    return values


def _missing(values: np.ndarray) -> np.ndarray:
    return values == None if values.dtype == object else np.isnan(values)  # noqa: E711


def _one_per_series(
    name: str, values: np.ndarray, offsets: np.ndarray, ids: Sequence[str]
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
        seen = list(dict.fromkeys(own[~_missing(own)].tolist()))[:3]
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
