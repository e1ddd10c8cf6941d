"""The forecasts of a rolling-origin backtest, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from grukit.data.encoding import Encoded
from grukit.results import Columns
from grukit.results.conversion import to_frame
from grukit.tasks.forecast_model import ForecastModel


def backtest_frame(
    model: ForecastModel, encoded: Encoded, origins: np.ndarray, columns: Columns, backend: str
) -> Any:
    """A row for each origin and step: series, origin, time, truth, and what was forecast."""
    horizon = model.shape.horizon
    steps = origins[:, None] + np.arange(horizon)
    data: dict[str, Any] = {}
    if columns.series is not None:
        names = np.array(encoded.ids, dtype=object)[encoded.series_of_row[origins]]
        data[columns.series] = np.repeat(names, horizon).tolist()
    data["origin"] = np.repeat(encoded.times[origins - 1], horizon)
    data[columns.time] = encoded.times[steps].ravel()
    data[columns.target] = encoded.target[steps].ravel()
    if model.family.name == "bernoulli":
        data["probability"] = model.probabilities(encoded, origins).ravel()
    else:
        values = model.quantiles(encoded, origins)
        for index, level in enumerate(model.levels):
            data[f"q{level:g}"] = values[..., index].ravel()
    return to_frame(data, backend)
