"""What each input added to a forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grukit.results.conversion import to_frame


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of inputs to the forecasts of S series, in units of the data.

    ``forecast = start + all contributions + unexplained``, the last of which is the error of the
    numerical integration.

    Attributes:
        series: names of the S series.
        step: which of the H steps ahead is explained, from 1; None for the mean of all.
        level: which quantile is.
        forecast: float64 [S]. start: float64 [S], the forecast from inputs that say nothing.
        past_times: datetime64 [S, L], future_times: datetime64 [S, H].
        past: by column, float64 [S, L]: what its value at each step of the lookback added.
        future: by column, float64 [S, H]: what is known ahead.
        static: by column, float64 [S].
        unexplained: float64 [S].
    """

    series: tuple[str, ...]
    step: int | None
    level: float
    forecast: np.ndarray
    start: np.ndarray
    past_times: np.ndarray
    future_times: np.ndarray
    past: Mapping[str, np.ndarray]
    future: Mapping[str, np.ndarray]
    static: Mapping[str, np.ndarray]
    unexplained: np.ndarray

    def totals(self) -> dict[str, np.ndarray]:
        """By column, float64 [S]: its contributions at all times together."""
        found: dict[str, np.ndarray] = {}
        for part in (self.past, self.future):
            for name, values in part.items():
                found[name] = found.get(name, 0.0) + values.sum(axis=1)
        return found | dict(self.static)

    def to_frame(self, backend: str = "pandas") -> Any:
        """A row for each series, column and time: its contribution; no time for static columns."""
        rows: list[tuple[str, str, np.datetime64, float]] = []
        parts = ((self.past, self.past_times), (self.future, self.future_times))
        for at, name in enumerate(self.series):
            for part, times in parts:
                for column, values in part.items():
                    rows += [
                        (name, column, time, float(value))
                        for time, value in zip(times[at], values[at], strict=True)
                    ]
            nothing = np.datetime64("NaT", "us")
            rows += [(name, column, nothing, float(own[at])) for column, own in self.static.items()]
        series, columns, moments, values = zip(*rows, strict=True)
        return to_frame(
            {
                "series": list(series),
                "column": list(columns),
                "time": np.array(moments, "datetime64[us]"),
                "contribution": list(values),
            },
            backend,
        )
