"""What a forecaster answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, number
from grukit.results.conversion import iso, to_frame
from grukit.results.distributions import Bernoulli, Distribution, QuantileFunction
from grukit.results.levels import ROUNDING, central_coverages, check_levels, level_index


class Columns(NamedTuple):
    """What the user calls the columns; `series` is None for a single series without a name."""

    series: str | None
    time: str
    target: str


@dataclass(frozen=True, eq=False)
class Forecast:
    """Quantile forecasts of S series over H steps.

    >>> forecast = Forecast(
    ...     series=("JFK",),
    ...     times=np.array([["2013-12-30T00", "2013-12-30T01"]], "datetime64[us]"),
    ...     levels=(0.1, 0.5, 0.9),
    ...     values=np.array([[[3.1, 4.0, 4.8], [2.6, 3.7, 4.9]]]),
    ...     columns=Columns(series="station", time="hour", target="celsius"),
    ... )
    >>> forecast.median
    array([[4. , 3.7]])
    >>> lower, upper = forecast.interval(0.8)
    >>> upper - lower
    array([[1.7, 2.3]])
    >>> forecast.to_frame()
      station                hour  celsius  q0.1  q0.5  q0.9
    0     JFK 2013-12-30 00:00:00      4.0   3.1   4.0   4.8
    1     JFK 2013-12-30 01:00:00      3.7   2.6   3.7   4.9

    Attributes:
        series: names of the S series; one empty name when `columns.series` is None.
        times: datetime64[us] [S, H], the moments forecast.
        levels: Q quantile levels, rising, 0.5 among them.
        values: float64 [S, H, Q], in the units of the data, rising along Q.
        columns: the user's names for the series, time and target columns.
        report: what the table lacked that was forecast from; empty if there was no table.
        distribution: the whole distribution at each of [S, H]; None where quantiles are all.

    Raises:
        ParameterError: the parts do not fit each other, quantiles cross, or a value is not finite.
    """

    series: tuple[str, ...]
    times: np.ndarray
    levels: tuple[float, ...]
    values: np.ndarray
    columns: Columns
    report: str = ""
    distribution: Distribution | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "series", tuple(str(name) for name in self.series))
        set_field(self, "times", np.asarray(self.times, "datetime64[us]"))
        set_field(self, "levels", check_levels(self.levels))
        set_field(self, "values", np.asarray(self.values, np.float64))
        set_field(self, "columns", Columns(*self.columns))
        self._check()

    def _check(self) -> None:
        if len(set(self.series)) != len(self.series):
            raise ParameterError(must_be("series", "names that differ", self.series))
        if self.columns.series is None and len(self.series) != 1:
            raise ParameterError(
                must_be("columns.series", f"a name, with {len(self.series)} series", None)
            )
        names = [name for name in self.columns if name is not None] + self._level_names()
        if len(set(names)) != len(names):
            raise ParameterError(must_be("columns and levels", "of different names", names))
        level_index(self.levels, 0.5)
        if self.times.ndim != 2 or len(self.times) != len(self.series):
            raise ParameterError(
                must_be("times", f"of shape [{len(self.series)}, H]", self.times.shape)
            )
        shape = (*self.times.shape, len(self.levels))
        if self.values.shape != shape:
            raise ParameterError(must_be("values", f"of shape {shape}", self.values.shape))
        if np.isnat(self.times).any():
            raise ParameterError(must_be("times", "moments", np.datetime64("NaT")))
        finite = np.isfinite(self.values)
        if not finite.all():
            raise ParameterError(must_be("values", "finite", float(self.values[~finite][0])))
        tolerance = 1e-6 * np.abs(self.values).max(axis=-1, initial=0.0)
        fall = -np.diff(self.values, axis=-1).min(axis=-1, initial=0.0)
        if np.any(fall > tolerance):
            crossing = self.values[np.unravel_index(np.argmax(fall - tolerance), fall.shape)]
            raise ParameterError(must_be("values", "rising along the levels", crossing.tolist()))

    def _level_names(self) -> list[str]:
        return [f"q{level:g}" for level in self.levels]

    @property
    def median(self) -> np.ndarray:
        """The forecast at level 0.5, float64 [S, H]."""
        return self.quantile(0.5)

    def quantile(self, level: float) -> np.ndarray:
        """The forecast at one level, float64 [S, H]; ParameterError if it is not among them."""
        return self.values[..., level_index(self.levels, level)]

    def interval(self, coverage: float) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end, each float64 [S, H], of the central interval of that coverage."""
        coverages = central_coverages(self.levels)
        if not any(abs(coverage - known) < ROUNDING for known in coverages):
            raise ParameterError(must_be("coverage", f"one of {coverages}", coverage))
        return self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)

    def probability(self, above: float) -> np.ndarray:
        """The probability of a value above this one, float64 [S, H].

        From the whole distribution where it is known, else from straight lines between the
        quantiles, and exponential tails beyond them.
        """
        check({"above": above}, {"above": number()})
        known = self.distribution or QuantileFunction(np.array(self.levels), self.values)
        return 1 - known.cdf([above])[..., 0]

    def to_frame(self, backend: str = "pandas") -> Any:
        """A long frame: series (if named), time, target (the median), one column per level.

        Of events it has the column `probability` in the place of quantiles.
        `backend` is "pandas", "polars" or "pyarrow".
        """
        steps = self.times.shape[1]
        data: dict[str, Any] = {}
        if self.columns.series is not None:
            data[self.columns.series] = [name for name in self.series for _ in range(steps)]
        data[self.columns.time] = self.times.ravel()
        data[self.columns.target] = self.median.ravel()
        if isinstance(self.distribution, Bernoulli):
            data["probability"] = self.distribution.probability.ravel()
        else:
            for index, name in enumerate(self._level_names()):
                data[name] = self.values[..., index].ravel()
        return to_frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """The whole forecast in strings, numbers and lists, as JSON wants it."""
        return {
            "columns": self.columns._asdict(),
            "report": self.report,
            "levels": list(self.levels),
            "series": [
                {
                    "name": name if self.columns.series is not None else None,
                    "times": iso(times).tolist(),
                    "median": median.tolist(),
                    "quantiles": {
                        label: values[:, index].tolist()
                        for index, label in enumerate(self._level_names())
                    },
                    **self._events(row),
                }
                for row, (name, times, median, values) in enumerate(
                    zip(self.series, self.times, self.median, self.values, strict=True)
                )
            ],
        }

    def _events(self, row: int) -> dict[str, Any]:
        if not isinstance(self.distribution, Bernoulli):
            return {}
        return {"probability": self.distribution.probability[row].tolist()}
