"""Whether a forecaster, or the table it reads, knows what comes later."""

from __future__ import annotations

import numpy as np

from grukit.data.frames import Panel
from grukit.evaluation.leaks import Lead, check_answers, check_columns
from grukit.tasks.forecast_model import ForecastModel
from grukit.tasks.forecast_split import origins_within, rows_before

_ORIGINS = 8


def check_forecaster(model: ForecastModel, panel: Panel, limit: float) -> tuple[Lead, ...]:
    """The leads of the past covariates; LeakError if one, or a forecast, knows the future."""
    shape, encoder = model.shape, model.encoder

    def forecast(rows: Panel, time: np.datetime64) -> np.ndarray:
        before = rows_before(rows, time)
        encoded = encoder.encode(rows, seen=np.maximum(before, shape.lookback))
        room = (before >= shape.lookback) & (rows.lengths - before >= shape.horizon)
        return model.quantiles(encoded, (rows.offsets[:-1] + before)[room])

    encoded = encoder.encode(panel)
    times = np.unique(panel.times[origins_within(encoded, shape, "given")])
    evenly = np.linspace(0, len(times) - 1, min(_ORIGINS, len(times))).astype(np.int64)
    check_answers(forecast, panel, list(times[evenly]))
    names = [column.name for column in encoder.past for _ in range(column.width)]
    return check_columns(encoded, names, model.season, shape.horizon, limit) if names else ()
