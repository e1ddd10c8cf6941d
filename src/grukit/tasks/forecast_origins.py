"""Where forecasts begin: after the end of each series, or at every time of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from grukit.core.errors import DataError
from grukit.data.calendar import as_time, of_series, show_time
from grukit.data.encoding import Encoded, PanelEncoder
from grukit.data.frames import Columns, Panel, to_panel
from grukit.data.issues import together
from grukit.data.values import is_missing
from grukit.data.windows import check_lengths
from grukit.results import Columns as AnswerColumns
from grukit.tasks.forecast_model import ForecastModel
from grukit.tasks.forecast_split import origins_within, rows_before


def read_table(
    model: ForecastModel, columns: Columns, data: Any, target_required: bool = True
) -> Panel:
    """A table on the frequency trained on."""
    freq = model.encoder.calendar.freq
    panel = to_panel(data, columns, freq, target_required=target_required)
    model.family.check_target(panel)
    return panel


def ahead_of(
    model: ForecastModel, columns: Columns, data: Any, future: Any
) -> tuple[Encoded, np.ndarray, dict[str, Any]]:
    """The end of each series with the horizon after it, its origin there [S], and what an
    answer says beside its values."""
    encoder = model.encoder
    context, series_column, report = model.context, model.series_column, ""
    ahead = None if future is None else read_table(model, columns, future, target_required=False)
    issues = None if ahead is None else ahead.issues
    if data is not None:
        panel = read_table(model, columns, data)
        issues = together(panel.issues, issues)
        panel = replace(panel, issues=issues)
        report = str(panel.report)
        lookback = model.shape.lookback
        check_lengths(panel.ids, panel.lengths, lookback, "to look back on; give a longer past")
        _check_covariates_seen(panel, encoder, lookback)
        context, series_column = encoder.encode(panel).tail(lookback), panel.columns.series
    _check_target_seen(context, columns.target)
    horizon = model.shape.horizon
    extended = context.extended(
        horizon,
        encoder.encode_future(ahead, context, horizon),
        encoder.encode_issued(issues, context, horizon),
    )
    at = extended.offsets[1:] - horizon
    about = {
        "series": context.ids,
        "times": extended.times[at[:, None] + np.arange(horizon)],
        "columns": AnswerColumns(series_column, columns.time, columns.target),
        "report": report,
    }
    return extended, at, about


def past_origins(
    model: ForecastModel, columns: Columns, data: Any, start: Any, stride: int
) -> tuple[Encoded, np.ndarray, str]:
    """The series of a table, the origins with a truth after them, and what it lacked."""
    if start is None:
        first = model.encoder.calendar.after(model.trained_until, 1)[0]
    else:
        first = as_time(start, "start")
    panel = read_table(model, columns, data)
    if panel.times.max() < first:
        raise DataError(
            f"the data must have rows at {show_time(first)} or later, got rows up to "
            f"{show_time(panel.times.max())}; give later data, or an earlier start"
        )
    before = rows_before(panel, first)
    encoded = model.encoder.encode(panel, seen=np.maximum(before, model.shape.lookback))
    at = origins_within(encoded, model.shape, "evaluation", from_row=before, stride=stride)
    return encoded, at, str(panel.report)


def _check_target_seen(context: Encoded, target: str) -> None:
    """Raise DataError naming a series with nothing observed to forecast from."""
    seen = np.add.reduceat(~np.isnan(context.target), context.offsets[:-1], dtype=np.int64)
    if not seen.all():
        name, rows = context.ids[int(np.argmin(seen))], int(context.lengths[np.argmin(seen)])
        raise DataError(
            f"the target {target!r}{of_series(name)} must have a value among its last {rows} "
            "rows, the lookback, got only missing ones; give a past with values, or leave the "
            "series out"
        )


def _check_covariates_seen(panel: Panel, encoder: PanelEncoder, lookback: int) -> None:
    """Raise DataError for a past covariate without a value that training always had."""
    for column in encoder.past:
        if column.can_be_missing:
            continue
        known = ~is_missing(panel.covariates[column.name])
        for name, stop in zip(panel.ids, panel.offsets[1:], strict=True):
            if not known[stop - lookback : stop].any():
                raise DataError(
                    f"the past covariate {column.name!r}{of_series(name)} must have a value among "
                    f"its last {lookback} rows, the lookback, got only missing ones; it was never "
                    "missing in training"
                )
