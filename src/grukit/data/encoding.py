"""From a panel's columns to numbers a network can read, and back.

What is learned from the training panel: centre and spread of each series and of each numeric
covariate, the categories of each categorical one, and which covariates can be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.data.calendar import Calendar, of_series, show_time
from grukit.data.frames import Panel

MOST_CATEGORIES = 100


@dataclass(frozen=True)
class ColumnEncoder:
    """One covariate as columns of float32: standardized, or one column per category.

    A numeric covariate that was missing somewhere in training gets a second column that is 1
    where it is missing; the value itself is then the training mean. A category that training
    never saw, and a missing one, is a row of zeros.
    """

    name: str
    mean: float = 0.0
    spread: float = 1.0
    can_be_missing: bool = False
    categories: tuple[str, ...] | None = None

    @classmethod
    def fit(cls, name: str, values: np.ndarray) -> ColumnEncoder:
        """Learn from training values: float64 with NaN, or object of str and None."""
        if values.dtype == object:
            categories = tuple(sorted({value for value in values if value is not None}))
            if len(categories) > MOST_CATEGORIES:
                wanted = f"of at most {MOST_CATEGORIES} categories"
                raise DataError(
                    must_be(f"the categorical covariate {name!r}", wanted, len(categories))
                    + "; leave it out or merge rare categories"
                )
            return cls(name, categories=categories)
        known = values[~np.isnan(values)]
        if not len(known):
            raise DataError(f"the covariate {name!r} must have at least one value, got none")
        return cls(
            name,
            mean=float(known.mean()),
            spread=float(known.std()) or 1.0,
            can_be_missing=len(known) < len(values),
        )

    @property
    def width(self) -> int:
        """How many columns it becomes."""
        if self.categories is not None:
            return len(self.categories)
        return 2 if self.can_be_missing else 1

    def encode(self, values: np.ndarray) -> np.ndarray:
        """float32 [n, width], without NaN."""
        if (values.dtype == object) != (self.categories is not None):
            was = "numbers" if self.categories is None else "categories"
            raise DataError(
                must_be(f"the covariate {self.name!r}", f"{was}, as in training", values.dtype)
            )
        if self.categories is not None:
            return (values[:, None] == np.array(self.categories, object)).astype(np.float32)
        missing = np.isnan(values)
        scaled = np.where(missing, 0.0, (values - self.mean) / self.spread)
        columns = [scaled, missing] if self.can_be_missing else [scaled]
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A panel in numbers: rows of all series, one after the other, on the panel's calendar.

    Attributes:
        calendar: the steps of the time axis.
        ids: names of the S series.
        offsets: int64 [S + 1]; series s is rows ``offsets[s]:offsets[s + 1]``.
        times: datetime64[us] [rows].
        target: float64 [rows] in units of the data, NaN where missing.
        past: float32 [rows, P], known up to the present.
        known: float32 [rows, K], known ahead: future covariates, then calendar features.
        static: float32 [S, C].
        center, spread: float64 [S], the scale of each series.
    """

    calendar: Calendar
    ids: tuple[str, ...]
    offsets: np.ndarray
    times: np.ndarray
    target: np.ndarray
    past: np.ndarray
    known: np.ndarray
    static: np.ndarray
    center: np.ndarray
    spread: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series: int64 [S]."""
        return np.diff(self.offsets)

    @property
    def series_of_row(self) -> np.ndarray:
        """int64 [rows]: which series a row belongs to."""
        return np.repeat(np.arange(len(self.ids)), self.lengths)

    @property
    def position(self) -> np.ndarray:
        """int64 [rows]: the place of a row in its series."""
        return np.arange(len(self.times)) - self.offsets[self.series_of_row]

    def tail(self, count: int) -> Encoded:
        """The last `count` rows of each series, or as many as it has."""
        rows = np.concatenate(
            [
                np.arange(max(start, stop - count), stop)
                for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True)
            ]
        )
        return replace(
            self,
            offsets=_offsets(np.minimum(self.lengths, count)),
            times=self.times[rows],
            target=self.target[rows],
            past=self.past[rows],
            known=self.known[rows],
        )

    def extended(self, count: int, future: np.ndarray) -> Encoded:
        """With `count` more rows per series, whose target and past covariates are unknown.

        future: float32 [S * count, K - calendar features], encoded known-future covariates.
        """
        times = [self.calendar.after(self.times[stop - 1], count) for stop in self.offsets[1:]]
        known = np.concatenate([future, self.calendar.features(np.concatenate(times))], axis=1)
        added = {
            "times": np.concatenate(times),
            "target": np.full(len(known), np.nan),
            "past": np.zeros((len(known), self.past.shape[1]), np.float32),
            "known": known,
        }
        ends = np.repeat(self.offsets[1:], count)
        laid = {name: np.insert(getattr(self, name), ends, rows, 0) for name, rows in added.items()}
        return replace(self, offsets=_offsets(self.lengths + count), **laid)


@dataclass(frozen=True)
class PanelEncoder:
    """What was learned from a training panel, and the way from any panel to numbers."""

    calendar: Calendar
    past: tuple[ColumnEncoder, ...]
    future: tuple[ColumnEncoder, ...]
    static: tuple[ColumnEncoder, ...]
    scales: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, panel: Panel) -> PanelEncoder:
        """Learn from a training panel."""
        columns = panel.columns
        return cls(
            panel.calendar,
            tuple(ColumnEncoder.fit(name, panel.covariates[name]) for name in columns.past),
            tuple(ColumnEncoder.fit(name, panel.covariates[name]) for name in columns.future),
            tuple(ColumnEncoder.fit(name, panel.static[name]) for name in columns.static),
            {
                name: _scale_of(panel.target[panel.rows(series)])
                for series, name in enumerate(panel.ids)
            },
        )

    @property
    def known_width(self) -> int:
        """Columns known ahead."""
        return sum(column.width for column in self.future) + len(self.calendar.feature_names)

    @property
    def past_width(self) -> int:
        """Columns known up to the present, the target aside."""
        return sum(column.width for column in self.past)

    @property
    def static_width(self) -> int:
        """Columns of a series."""
        return sum(column.width for column in self.static)

    def encode(self, panel: Panel) -> Encoded:
        """A panel on the same calendar; a series unknown to training has its own scale."""
        scales = [
            self.scales.get(name) or _scale_of(panel.target[panel.rows(series)])
            for series, name in enumerate(panel.ids)
        ]
        known = [
            *self._encode_columns(self.future, panel.covariates, len(panel.times)),
            self.calendar.features(panel.times),
        ]
        return Encoded(
            calendar=self.calendar,
            ids=panel.ids,
            offsets=panel.offsets,
            times=panel.times,
            target=panel.target,
            past=_side_by_side(
                self._encode_columns(self.past, panel.covariates, len(panel.times)),
                len(panel.times),
            ),
            known=np.concatenate(known, axis=1),
            static=_side_by_side(
                self._encode_columns(self.static, panel.static, len(panel.ids)), len(panel.ids)
            ),
            center=np.array([center for center, _ in scales]),
            spread=np.array([spread for _, spread in scales]),
        )

    def encode_future(self, future: Panel | None, after: Encoded, count: int) -> np.ndarray:
        """The known-future covariates of the `count` steps after each series of `after`.

        Raises DataError unless `future` has every covariate at every one of these steps.
        """
        rows = len(after.ids) * count
        if not self.future:
            return np.empty((rows, 0), np.float32)
        names = ", ".join(repr(column.name) for column in self.future)
        if future is None:
            raise DataError(
                f"the forecast needs known-future covariates {names} for the {count} steps after "
                "the data; pass them as future="
            )
        wanted = np.empty(rows, np.int64)
        for series, name in enumerate(after.ids):
            times = after.calendar.after(after.times[after.offsets[series + 1] - 1], count)
            where = f"the known-future covariates {names}{of_series(name)}"
            span = f"every step from {show_time(times[0])} to {show_time(times[-1])}"
            if name not in future.ids:
                raise DataError(must_be(where, f"given for {span}", "no row"))
            at = future.rows(future.ids.index(name))
            place = np.searchsorted(future.times[at], times)
            found = place < at.stop - at.start
            found[found] = future.times[at][place[found]] == times[found]
            if not found.all():
                lacking = f"no row for {show_time(times[np.argmin(found)])}"
                raise DataError(must_be(where, f"given for {span}", lacking))
            wanted[series * count : (series + 1) * count] = at.start + place
        for column in self.future:
            values = future.covariates[column.name][wanted]
            missing = (
                np.array([value is None for value in values])
                if values.dtype == object
                else np.isnan(values)
            )
            if missing.any() and not column.can_be_missing:
                row = wanted[int(np.argmax(missing))]
                raise DataError(
                    f"the known-future covariate {column.name!r} must have a value at every step "
                    f"forecast, got none at {show_time(future.times[row])}"
                )
        chosen = {column.name: future.covariates[column.name][wanted] for column in self.future}
        return _side_by_side(self._encode_columns(self.future, chosen, rows), rows)

    def to_config(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "freq": self.calendar.freq,
            **{
                role: [
                    {
                        "name": column.name,
                        "mean": column.mean,
                        "spread": column.spread,
                        "can_be_missing": column.can_be_missing,
                        "categories": column.categories and list(column.categories),
                    }
                    for column in getattr(self, role)
                ]
                for role in ("past", "future", "static")
            },
            "scales": {name: list(scale) for name, scale in self.scales.items()},
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PanelEncoder:
        """The inverse of `to_config`."""
        roles = {
            role: tuple(
                ColumnEncoder(
                    **{
                        **column,
                        "categories": None
                        if column["categories"] is None
                        else tuple(column["categories"]),
                    }
                )
                for column in config[role]
            )
            for role in ("past", "future", "static")
        }
        scales = {name: (center, spread) for name, (center, spread) in config["scales"].items()}
        return cls(Calendar(config["freq"]), **roles, scales=scales)

    @staticmethod
    def _encode_columns(
        encoders: Sequence[ColumnEncoder], values: Mapping[str, np.ndarray], rows: int
    ) -> list[np.ndarray]:
        return [encoder.encode(values[encoder.name]) for encoder in encoders]


def _side_by_side(columns: list[np.ndarray], rows: int) -> np.ndarray:
    return np.concatenate([np.empty((rows, 0), np.float32), *columns], axis=1)


def _scale_of(target: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of what is known; a constant series has spread 1."""
    known = target[~np.isnan(target)]
    if not len(known):
        return 0.0, 1.0
    return float(known.mean()), float(known.std()) or 1.0


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
