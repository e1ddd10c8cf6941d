"""What a forecaster simulates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, number
from grukit.results.conversion import iso, to_frame
from grukit.results.forecast import Columns


@dataclass(frozen=True, eq=False)
class SamplePaths:
    """M possible futures of each of S series over H steps, all equally probable.

    >>> paths = SamplePaths(
    ...     series=("A", "B"),
    ...     times=np.array([["2024-01-01", "2024-01-02"]] * 2, "datetime64[us]"),
    ...     values=np.array([[[1.0, 2.0], [3.0, 5.0]], [[0.0, 0.0], [0.0, 1.0]]]),
    ...     columns=Columns(series="shop", time="day", target="sold"),
    ... )
    >>> paths.probability(above=2.5)  # of the sum over the horizon
    array([1., 0.])
    >>> paths.probability(above=2.5, of=np.max)  # of the highest value
    array([0.5, 0. ])

    Steps of one path belong together, so that sums, highest values or runs are answered honestly.
    The paths of different series are drawn independently: nothing can be said of their sum.

    Attributes:
        series: names of the S series; one empty name when `columns.series` is None.
        times: datetime64[us] [S, H].
        values: float64 [S, M, H], in the units of the data.
        columns: the user's names for the series, time and target columns.
        report: what the table lacked that was simulated from; empty if there was no table.

    Raises:
        ParameterError: the parts do not fit each other, or a value is not finite.
    """

    series: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    columns: Columns
    report: str = ""

    def __post_init__(self) -> None:
        count, shape = len(self.series), np.shape(self.times)
        if len(shape) != 2 or shape[0] != count:
            raise ParameterError(must_be("times", f"of shape [{count}, H]", shape))
        if self.values.ndim != 3 or self.values.shape[::2] != shape or not self.values.shape[1]:
            wanted = f"of shape [{count}, M, {shape[1]}] with at least one path"
            raise ParameterError(must_be("values", wanted, self.values.shape))
        finite = np.isfinite(self.values)
        if not finite.all():
            raise ParameterError(must_be("values", "finite", float(self.values[~finite][0])))

    def quantile(self, level: float) -> np.ndarray:
        """Of each step, float64 [S, H], at any level between 0 and 1."""
        check({"level": level}, {"level": number(at_least=0, below=1)})
        return np.quantile(self.values, level, axis=1)

    def probability(self, above: float, of: Callable[..., np.ndarray] = np.sum) -> np.ndarray:
        """The share of paths, float64 [S], of which something lies above a value.

        of: what of a path, by default its sum; called with the values [S, M, H] and axis=-1, as
            np.sum, np.max, np.min or np.mean are.
        """
        check({"above": above}, {"above": number()})
        return (of(self.values, axis=-1) > above).mean(axis=1)

    def to_frame(self, backend: str = "pandas") -> Any:
        """A long frame: series (if named), path (counted from 0), time, target.

        `backend` is "pandas", "polars" or "pyarrow".
        """
        series, paths, steps = self.values.shape
        data: dict[str, Any] = {}
        if self.columns.series is not None:
            data[self.columns.series] = [name for name in self.series for _ in range(paths * steps)]
        data["path"] = np.tile(np.arange(paths).repeat(steps), series)
        data[self.columns.time] = np.repeat(self.times, paths, axis=0).ravel()
        data[self.columns.target] = self.values.ravel()
        return to_frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """All paths in strings, numbers and lists, as JSON wants it."""
        return {
            "columns": self.columns._asdict(),
            "report": self.report,
            "series": [
                {
                    "name": name if self.columns.series is not None else None,
                    "times": iso(times).tolist(),
                    "paths": values.tolist(),
                }
                for name, times, values in zip(self.series, self.times, self.values, strict=True)
            ],
        }
