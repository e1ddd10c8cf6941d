"""Tables from files and frames, whatever library they come from."""

from __future__ import annotations

import csv
import gzip
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grukit.core.errors import DataError, did_you_mean
from grukit.core.extras import require

if TYPE_CHECKING:
    import narwhals

_SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
# What pandas takes for missing; spelled out because an id may be "NA" and still be an id.
_MISSING = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
_MISSING += ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]


def read_frame(
    source: Any, text: Sequence[str] = (), wanted: Sequence[str] = ()
) -> narwhals.DataFrame[Any]:
    """A table as a narwhals frame.

    Args:
        source: a .csv, .tsv (also .gz) or .parquet file, or a pandas, polars or Arrow frame.
        text: columns of a CSV file that are text whatever they look like, so that the ids
            ``007`` and ``NA`` stay as they are.
        wanted: the columns to read of a Parquet file that has them all; otherwise all are read.

    Raises:
        DataError: the file is missing, empty, damaged or of another kind, a column appears
            twice, or `source` is no frame.
    """
    narwhals = require("narwhals")
    if isinstance(source, (str, Path)):
        source = _read_file(Path(source).expanduser(), text, wanted)
    try:
        return narwhals.from_native(source, eager_only=True)
    except narwhals.exceptions.DuplicateError:
        names = [str(name) for name in getattr(source, "column_names", source.columns)]
        raise DataError(_duplicate_columns(names, "The frame")) from None
    except TypeError:
        lazy = "; collect the lazy frame first" if hasattr(source, "collect") else ""
        wanted = "a CSV or Parquet file, or a pandas, polars or Arrow frame"
        raise DataError(
            f"The data must be {wanted}, got {type(source).__module__}.{type(source).__name__}"
            + lazy
        ) from None


def _read_file(path: Path, text: Sequence[str], wanted: Sequence[str]) -> Any:
    path = path.absolute()
    if not path.is_file():
        raise DataError(f"The data file must exist, got {path}{_near_files(path)}")
    if path.stat().st_size == 0:
        raise DataError(f"The data file must have a header and rows, got an empty file: {path}")
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _read_parquet(path, text, wanted)
    suffix = next((suffix for suffix in _SEPARATORS if name.endswith(suffix)), None)
    if suffix is None:
        kinds = ", ".join((*_SEPARATORS, ".parquet"))
        raise DataError(f"The data file must end in one of {kinds}, got {path}")
    return _read_delimited(path, _SEPARATORS[suffix], text)


def _read_parquet(path: Path, text: Sequence[str], wanted: Sequence[str]) -> Any:
    """An Arrow table, in which text takes its bytes where pandas would make objects."""
    pyarrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    try:
        kinds = {field.name: field.type for field in parquet.read_schema(path)}
        strings = (pyarrow.string(), pyarrow.large_string())
        # Ids repeat: as codes of a dictionary they take 4 bytes a row.
        coded = [name for name in text if kinds.get(name) in strings]
        with parquet.ParquetFile(path, read_dictionary=coded) as file:
            return file.read(list(wanted) if wanted and set(wanted) <= set(kinds) else None)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} must be a Parquet file, got: {error}") from error


def _read_delimited(path: Path, separator: str, text: Sequence[str]) -> Any:
    pandas = require("pandas")
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=separator), [])
        _refuse_other_separators(path, header, separator)
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
                dtype={name: str for name in text if name in header},
                keep_default_na=False,
                na_values={name: _MISSING for name in header if name not in text},
            )
    except pandas.errors.ParserWarning:
        raise DataError(
            f"{path} must have one field a column in every row, got rows longer than the header"
        ) from None
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path} must be a delimited text file in UTF-8, got: {reason}") from error


def _refuse_other_separators(path: Path, header: Sequence[str], separator: str) -> None:
    """A table has two columns at least, so a single one is several behind another separator."""
    other = next((sign for sign in ";\t|," if len(header) == 1 and sign in header[0]), None)
    if other is not None:
        raise DataError(
            f"{path} must separate its columns by {separator!r}, got {other!r} in the header "
            f"{header[0]!r}; convert it, or read it with pandas.read_csv(path, sep={other!r}), "
            "with decimal=',' where it has decimal commas, and pass the frame"
        )


def _near_files(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    return did_you_mean(path.name, [file.name for file in path.parent.iterdir() if file.is_file()])


def _duplicate_columns(names: Sequence[str], where: str) -> str:
    twice = [name for name, count in Counter(names).items() if count > 1]
    return f"{where} must name every column once, got {', '.join(map(repr, twice))} more than once"
