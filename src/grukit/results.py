"""Frozen answers: what tasks hand back, ready for frames, JSON and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.core.rules import check, one_of

_ROUNDING = 1e-9
_BACKENDS = one_of("pandas", "polars", "pyarrow")


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """The quantile levels as floats; ParameterError unless they rise strictly within (0, 1)."""
    levels = tuple(float(level) for level in levels)
    steps = np.diff((0.0, *levels, 1.0))
    if not levels or not np.all(steps > 0):
        raise ParameterError(must_be("levels", "numbers rising strictly between 0 and 1", levels))
    return levels


def level_index(levels: Sequence[float], level: float) -> int:
    """Where `level` stands among `levels`; ParameterError if it does not."""
    for index, known in enumerate(levels):
        if abs(known - level) < _ROUNDING:
            return index
    raise ParameterError(f"levels must have {level:g} among them, got {tuple(levels)}")


def central_coverages(levels: Sequence[float]) -> tuple[float, ...]:
    """Nominal coverages of the central intervals among `levels`, narrowest first.

    >>> central_coverages((0.025, 0.1, 0.5, 0.9, 0.975))
    (0.8, 0.95)
    """
    return tuple(
        round(1 - 2 * low, 9)
        for low in sorted(levels, reverse=True)
        if low < 0.5 and any(abs(low + high - 1) < _ROUNDING for high in levels)
    )


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

    Raises:
        ParameterError: the parts do not fit each other, quantiles cross, or a value is not finite.
    """

    series: tuple[str, ...]
    times: np.ndarray
    levels: tuple[float, ...]
    values: np.ndarray
    columns: Columns
    report: str = ""

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
        if not any(abs(coverage - known) < _ROUNDING for known in coverages):
            raise ParameterError(must_be("coverage", f"one of {coverages}", coverage))
        return self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)

    def to_frame(self, backend: str = "pandas") -> Any:
        """A long frame: series (if named), time, target (the median), one column per level.

        `backend` is "pandas", "polars" or "pyarrow".
        """
        steps = self.times.shape[1]
        data: dict[str, Any] = {}
        if self.columns.series is not None:
            data[self.columns.series] = [name for name in self.series for _ in range(steps)]
        data[self.columns.time] = self.times.ravel()
        data[self.columns.target] = self.median.ravel()
        for index, name in enumerate(self._level_names()):
            data[name] = self.values[..., index].ravel()
        return _frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """The whole forecast in strings, numbers and lists, as JSON wants it."""
        return {
            "columns": self.columns._asdict(),
            "report": self.report,
            "levels": list(self.levels),
            "series": [
                {
                    "name": name if self.columns.series is not None else None,
                    "times": _iso(times).tolist(),
                    "median": median.tolist(),
                    "quantiles": {
                        label: values[:, index].tolist()
                        for index, label in enumerate(self._level_names())
                    },
                }
                for name, times, median, values in zip(
                    self.series, self.times, self.median, self.values, strict=True
                )
            ],
        }


@dataclass(frozen=True)
class Score:
    """The metrics of one forecaster.

    `metrics` holds mae, rmse, mase, smape, pinball, crps and one coverage per central interval
    (coverage_80, coverage_95), in this order. NaN stands for a metric that is undefined on these
    data: MASE, when every series is constant.
    """

    name: str
    metrics: dict[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A rolling-origin backtest: the model beside the baselines.

    Attributes:
        scores: one Score each, the model first, all of the same metrics.
        windows: forecasts made. observations: true values they were compared with.
        horizon: steps of each forecast. season: steps of one season.
        first_origin, last_origin: the last moments known to the first and the last forecast.
        by_step: for each name in `scores`, each metric at each step, float64 [H].
        report: what the table lacked.
    """

    scores: tuple[Score, ...]
    windows: int
    observations: int
    horizon: int
    season: int
    first_origin: np.datetime64
    last_origin: np.datetime64
    by_step: dict[str, dict[str, np.ndarray]]
    report: str = ""

    def __post_init__(self) -> None:
        if not self.scores:
            raise ParameterError(must_be("scores", "at least one Score", self.scores))
        names = list(self.scores[0].metrics)
        for score in self.scores:
            if list(score.metrics) != names:
                raise ParameterError(
                    must_be(f"metrics of {score.name}", f"{names}", list(score.metrics))
                )

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the table."""
        return tuple(self.scores[0].metrics)

    def beats(self, metric: str) -> bool:
        """Whether the model is strictly better than every baseline.

        Lower is better, and for a coverage nearer to its nominal value.
        """
        check({"metric": metric}, {"metric": one_of(*self.metrics)})
        model, *baselines = (_loss(metric, score.metrics[metric]) for score in self.scores)
        return all(model < baseline for baseline in baselines)

    def table(self) -> str:
        """The scores as aligned text, the model first, the best of each column marked with *."""
        names = ["", *(score.name for score in self.scores)]
        columns = [[name.ljust(max(map(len, names))) for name in names]]
        for metric in self.metrics:
            values = [score.metrics[metric] for score in self.scores]
            losses = [_loss(metric, value) for value in values]
            best = np.nanmin([*losses, np.inf])
            stars = ["*" if loss == best else " " for loss in losses]
            cells = [_heading(metric) + " "]
            cells += [
                text + star for text, star in zip(_format(metric, values), stars, strict=True)
            ]
            columns.append([cell.rjust(max(map(len, cells))) for cell in cells])
        return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))

    def to_frame(self, backend: str = "pandas") -> Any:
        """One row per forecaster: its name, then its metrics."""
        data: dict[str, Any] = {"name": [score.name for score in self.scores]}
        for metric in self.metrics:
            data[metric] = [score.metrics[metric] for score in self.scores]
        return _frame(data, backend)

    def to_dict(self) -> dict[str, Any]:
        """The whole evaluation in strings, numbers and lists; what is not finite is None."""
        return {
            "report": self.report,
            "windows": self.windows,
            "observations": self.observations,
            "horizon": self.horizon,
            "season": self.season,
            "first_origin": str(_iso(np.asarray(self.first_origin))),
            "last_origin": str(_iso(np.asarray(self.last_origin))),
            "scores": [
                {
                    "name": score.name,
                    **{
                        metric: _none_unless_finite(value)
                        for metric, value in score.metrics.items()
                    },
                }
                for score in self.scores
            ],
            "by_step": {
                name: {
                    metric: [_none_unless_finite(value) for value in values.tolist()]
                    for metric, values in steps.items()
                }
                for name, steps in self.by_step.items()
            },
        }


def _frame(data: dict[str, Any], backend: str) -> Any:
    check({"backend": backend}, {"backend": _BACKENDS})
    return require("narwhals").from_dict(data, backend=backend).to_native()


def _iso(times: np.ndarray) -> np.ndarray:
    whole_seconds = times.astype("datetime64[s]")
    return np.datetime_as_string(whole_seconds if np.all(whole_seconds == times) else times)


def _none_unless_finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _nominal(metric: str) -> float | None:
    return float(metric.removeprefix("coverage_")) if metric.startswith("coverage_") else None


def _loss(metric: str, value: float) -> float:
    nominal = _nominal(metric)
    return value if nominal is None else abs(value - nominal / 100)


def _heading(metric: str) -> str:
    nominal = _nominal(metric)
    if nominal is not None:
        return f"in {nominal:g} %"
    return {"smape": "sMAPE %", "pinball": "pinball"}.get(metric, metric.upper())


def _format(metric: str, values: list[float]) -> list[str]:
    if _nominal(metric) is not None:
        return [f"{100 * value:.1f} %" for value in values]
    sizes = [abs(value) for value in values if value and np.isfinite(value)]
    decimals = int(np.clip(3 - np.floor(np.log10(min(sizes, default=1.0))), 0, 8))
    return ["-" if np.isnan(value) else f"{value:.{decimals}f}" for value in values]
