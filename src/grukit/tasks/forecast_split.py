"""What a forecaster learns from, and what it is judged on."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.core.rules import check, number
from grukit.data.calendar import as_time, show_time
from grukit.data.encoding import Encoded, PanelEncoder
from grukit.data.frames import Panel
from grukit.data.windows import WindowShape, origins

# The default lookback is three seasons, within these bounds.
SHORTEST_LOOKBACK, LONGEST_LOOKBACK = 16, 336
# Windows of an epoch unless the user says otherwise, and windows that settle a mean over all.
LARGEST_EPOCH, ENOUGH_FOR_A_MEAN = 1_000_000, 100_000


def default_lookback(season: int, horizon: int, rows: int) -> int:
    """Three seasons within bounds, at least the horizon, at most a third of the training `rows`.

    >>> default_lookback(season=24, horizon=12, rows=5000)
    72
    >>> default_lookback(season=24, horizon=12, rows=150)
    50
    """
    wanted = max(min(max(3 * season, SHORTEST_LOOKBACK), LONGEST_LOOKBACK), horizon)
    return max(1, min(wanted, int(rows) // 3))


def cutoff(panel: Panel, validation: Any, horizon: int) -> np.datetime64:
    """The time from which rows are for validation; a share is at least one horizon."""
    if isinstance(validation, numbers.Real):
        check({"validation": validation}, {"validation": number(above=0, below=1)})
        times = np.sort(panel.times)
        share = times[min(int(len(times) * (1 - float(validation))), len(times) - 1)]
        latest = int(np.argmax(panel.times[panel.offsets[1:] - 1]))
        time = min(share, panel.times[panel.rows(latest)][-horizon:][0])
    else:
        time = as_time(validation, "validation")
    if time <= panel.times.min():
        raise DataError(
            f"validation must leave earlier rows to learn from, got {show_time(time)} for data "
            f"from {show_time(panel.times.min())}; split later, give more data, or lower horizon"
        )
    return time


def origins_within(encoded: Encoded, shape: WindowShape, part: str, **bounds: Any) -> np.ndarray:
    """The origins of all windows, DataError naming the `part` of the data without any."""
    found = origins(encoded, shape.lookback, shape.horizon, **bounds)
    if not len(found):
        raise DataError(
            f"the {part} part of the data must hold at least one window of {shape.lookback} steps "
            f"of lookback and {shape.horizon} of horizon with something observed in both, got "
            "none; lower them, give more data, or change the split"
        )
    return found


def rows_before(rows: Panel | Encoded, time: np.datetime64) -> np.ndarray:
    """int64 [S]: how many rows of each series are earlier than `time`."""
    earlier = np.concatenate([[0], np.cumsum(rows.times < time)])
    return np.diff(earlier[rows.offsets])


def check_same_freq(panel: Panel, encoder: PanelEncoder) -> None:
    """Raise DataError for a table whose steps are not those of the training."""
    wanted, got = encoder.calendar.freq, panel.calendar.freq
    if got != wanted:
        raise DataError(must_be("the steps of the data", f"{wanted!r}, as in training", got))
