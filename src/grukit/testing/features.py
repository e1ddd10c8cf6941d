"""Conformance of a feature function: no row may be made from later ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grukit.evaluation.leaks import numbers_alike, other_values

_CUTS = 5


def check_features(
    features: Callable[[Any], Any],
    table: Any,
    *,
    time: str = "ds",
    series: str | None = "unique_id",
    known: Sequence[str] = (),
) -> None:
    """Raise AssertionError if a feature of a row changes when later rows do.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=50), "y": np.arange(50.0)})
    >>> check_features(lambda rows: rows.y.rolling(3, min_periods=1).mean(), table)
    >>> check_features(lambda rows: rows.y - rows.y.mean(), table)
    Traceback (most recent call last):
    AssertionError: the feature 'y' must not depend on later rows, got another value at 2024-01-01
    00:00:00 when 'y' changed from 2024-01-10 00:00:00 on

    features: called with a pandas frame like `table`; returns a frame, series or array with a row
        for each of its rows, in the same order.
    table: a pandas frame, long, with at least two times.
    time, series: its columns of that name; `series` may be absent.
    known: columns that are known ahead, of which later rows may be used.

    At five times, each other column is changed from there on, upwards and downwards.
    """
    pandas_frame = table.reset_index(drop=True)
    plain = _columns(features(pandas_frame.copy()), len(table))
    free = [name for name in pandas_frame.columns if name not in (time, series, *known)]
    times = np.sort(pandas_frame[time].unique())
    cuts = times[np.unique(np.linspace(0, len(times) - 1, _CUTS + 1).astype(np.int64)[1:])]
    for cut in cuts:
        later = (pandas_frame[time] >= cut).to_numpy()
        for name in free:
            for size in (10.0, -10.0):
                changed = pandas_frame.copy()
                values = changed[name].to_numpy()
                changed[name] = np.where(later, other_values(values, size), values)
                got = _columns(features(changed), len(table))
                _compare(got, plain, pandas_frame[time].to_numpy(), ~later, name, cut)


def _columns(answer: Any, rows: int) -> dict[str, np.ndarray]:
    """The features by name, [rows] each."""
    if hasattr(answer, "columns"):
        found = {str(name): np.asarray(answer[name]) for name in answer.columns}
    elif (values := np.asarray(answer)).ndim == 2:
        found = {str(at): values[:, at] for at in range(values.shape[1])}
    else:
        found = {str(getattr(answer, "name", None) or 0): values}
    for name, values in found.items():
        if values.shape != (rows,):
            raise AssertionError(
                f"the feature {name!r} must have one value for each of {rows} rows, got shape "
                f"{values.shape}"
            )
    return found


def _compare(
    got: dict[str, np.ndarray],
    plain: dict[str, np.ndarray],
    times: np.ndarray,
    earlier: np.ndarray,
    changed: str,
    cut: Any,
) -> None:
    if got.keys() != plain.keys():
        raise AssertionError(f"the features must be {sorted(plain)}, got {sorted(got)}")
    for name, values in plain.items():
        wrong = np.flatnonzero(earlier & ~_alike(got[name], values))
        if len(wrong):
            at, since = (str(moment)[:19].replace("T", " ") for moment in (times[wrong[0]], cut))
            raise AssertionError(
                f"the feature {name!r} must not depend on later rows, got another value at {at} "
                f"when {changed!r} changed from {since} on"
            )


def _alike(got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """bool [rows]: the same value, or missing in both."""
    if got.dtype.kind in "biuf" and wanted.dtype.kind in "biuf":
        return numbers_alike(got.astype(np.float64), wanted.astype(np.float64))
    return (got == wanted) | ((got != got) & (wanted != wanted))
