"""From a panel's columns to numbers a network can read.

What is learned from the training panel: centre and spread of each series and of each numeric
covariate, the categories of each categorical one, and which covariates can be missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.core.rules import check, one_of
from grukit.data.calendar import Calendar, of_series, show_time
from grukit.data.columns import ColumnEncoder, center_and_spread, parts, refuse_huge, side_by_side
from grukit.data.frames import Panel
from grukit.data.issues import AsOf, Issues, RowIssues
from grukit.data.values import is_missing

Unit = Literal["spread", "mean", "none"]
"""What a target is divided by: its spread, after its mean is taken away; its mean; or nothing."""

_ROLES = ("past", "future", "static", "issued")


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
        index: int64 [S], the place of each series among those of training; -1 for one whose target
            training never saw.
        issues: known ahead as well, in columns after those of `known`: what changes by issue. None
            if nothing does, or the columns are in `known`, as of the end of each series.
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
    index: np.ndarray
    issues: RowIssues | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series: int64 [S]."""
        return np.diff(self.offsets)

    @property
    def series_of_row(self) -> np.ndarray:
        """int64 [rows]: which series a row belongs to."""
        return np.repeat(np.arange(len(self.ids)), self.lengths)

    def series_of(self, rows: np.ndarray) -> np.ndarray:
        """The number of the series that each of these rows belongs to: int64, shaped as `rows`."""
        return np.searchsorted(self.offsets, rows, side="right") - 1

    def digest(self) -> str:
        """A fingerprint of all values, to tell whether two encoded panels are the same."""
        values = (self.times.view(np.int64), self.target, self.past, self.known, self.static)
        sums = hashlib.sha256("\0".join(self.ids).encode())
        for array in values:
            sums.update(np.ascontiguousarray(array).tobytes())
        if self.issues is not None:
            sums.update(self.issues.as_of.digest())
        return sums.hexdigest()[:16]

    def tail(self, count: int) -> Encoded:
        """The last `count` rows of each series, or as many as it has, as of its end."""
        rows = np.concatenate(
            [
                np.arange(max(start, stop - count), stop)
                for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True)
            ]
        )
        known, lengths = self.known[rows], np.minimum(self.lengths, count)
        if self.issues is not None:
            ends = np.repeat(self.offsets[1:], lengths)
            known = np.concatenate([known, self.issues.known(rows, ends)], axis=1)
        return replace(
            self,
            offsets=_offsets(lengths),
            times=self.times[rows],
            target=self.target[rows],
            past=self.past[rows],
            known=known,
            issues=None,
        )

    def times_after(self, count: int) -> np.ndarray:
        """The `count` times after the end of each series: datetime64[us] [S, count]."""
        steps = np.arange(1, count + 1)
        ends = np.repeat(self.times[self.offsets[1:] - 1], count)
        times = self.calendar.at(ends, np.tile(steps, len(self.ids)))
        return times.reshape(len(self.ids), count)

    def extended(self, count: int, future: np.ndarray, issued: np.ndarray | None = None) -> Encoded:
        """With `count` more rows per series, whose target and past covariates are unknown.

        future: float32 [S * count, columns], encoded known-future covariates; issued: the same of
            those that change by issue.
        """
        times = self.times_after(count).ravel()
        ahead = [future, self.calendar.features(times), *([] if issued is None else [issued])]
        known = np.concatenate(ahead, axis=1)
        added = {
            "times": times,
            "target": np.full(len(known), np.nan),
            "past": np.zeros((len(known), self.past.shape[1]), np.float32),
            "known": known,
        }
        ends = np.repeat(self.offsets[1:], count)
        laid = {name: np.insert(getattr(self, name), ends, rows, 0) for name, rows in added.items()}
        return replace(self, offsets=_offsets(self.lengths + count), **laid)


@dataclass(frozen=True)
class PanelEncoder:
    """What was learned from a training panel, and the way from any panel to numbers.

    scales: centre and spread of each series of which training saw a value.
    unit: what becomes of targets: by mean or by none, the centre is 0.
    issued: the future covariates that change by issue; all of them can be missing.
    """

    calendar: Calendar
    past: tuple[ColumnEncoder, ...]
    future: tuple[ColumnEncoder, ...]
    static: tuple[ColumnEncoder, ...]
    scales: Mapping[str, tuple[float, float]]
    unit: Unit = "spread"
    issued: tuple[ColumnEncoder, ...] = ()

    @classmethod
    def fit(cls, panel: Panel, unit: Unit = "spread", calendar: bool = True) -> PanelEncoder:
        """Learn from a training panel; DataError for what cannot be learned from.

        calendar: whether there are features of the calendar.
        """
        columns, by_issue = panel.columns, {}
        if columns.issued is not None:
            if panel.issues is None:
                wanted = f"rows with {columns.issued!r} in training"
                raise DataError(must_be("the data", f"a table that has {wanted}", "none"))
            by_issue = panel.issues.values
        refuse_huge(f"the target {columns.target!r}", panel.target)
        plain = [name for name in columns.future if name not in by_issue]
        targets = [panel.target[panel.rows(series)] for series in range(len(panel))]
        return cls(
            panel.calendar.spanning(panel.times if calendar else panel.times[:1]),
            tuple(ColumnEncoder.fit(name, panel.covariates[name]) for name in columns.past),
            tuple(ColumnEncoder.fit(name, panel.covariates[name]) for name in plain),
            tuple(ColumnEncoder.fit(name, panel.static[name]) for name in columns.static),
            {
                name: _scale(target, unit)
                for name, target in zip(panel.ids, targets, strict=True)
                if not np.isnan(target).all()
            },
            unit,
            tuple(
                replace(ColumnEncoder.fit(name, values), can_be_missing=True)
                for name, values in by_issue.items()
            ),
        )

    @property
    def known_width(self) -> int:
        """Columns known ahead: future covariates, calendar features, what changes by issue."""
        covariates = sum(column.width for column in (*self.future, *self.issued))
        return covariates + len(self.calendar.feature_names)

    @property
    def past_width(self) -> int:
        """Columns known up to the present, the target aside."""
        return sum(column.width for column in self.past)

    @property
    def static_width(self) -> int:
        """Columns of a series."""
        return sum(column.width for column in self.static)

    def index_of(self, ids: Sequence[str]) -> np.ndarray:
        """int64 [S]: the place of each series among those of `scales`, -1 where it is not there."""
        place = {name: at for at, name in enumerate(self.scales)}
        return np.array([place.get(name, -1) for name in ids], np.int64)

    def encode(self, panel: Panel, seen: np.ndarray | None = None) -> Encoded:
        """A panel on the same calendar.

        seen: int64 [S], how many rows of each series are known when the first forecast is made; a
            series whose target training never saw takes its scale from these. By default all.

        Raises DataError for covariates of another kind than in training, and for huge values.
        """
        refuse_huge(f"the target {panel.columns.target!r}", panel.target)
        rows, series = len(panel.times), len(panel.ids)
        seen = panel.lengths if seen is None else seen
        scales = [
            self.scales.get(name) or _first_scale(panel.target[panel.rows(at)], seen[at], self.unit)
            for at, name in enumerate(panel.ids)
        ]
        self._check_issued(panel)
        known = side_by_side(self.future, panel.covariates, rows, len(self.calendar.feature_names))
        of_calendar = sum(column.width for column in self.future)
        for at in parts(rows):
            known[at, of_calendar:] = self.calendar.features(panel.times[at])
        return Encoded(
            calendar=self.calendar,
            ids=panel.ids,
            offsets=panel.offsets,
            times=panel.times,
            target=panel.target,
            past=side_by_side(self.past, panel.covariates, rows),
            known=known,
            static=side_by_side(self.static, panel.static, series),
            center=np.array([center for center, _ in scales]),
            spread=np.array([spread for _, spread in scales]),
            index=self.index_of(panel.ids),
            issues=self._row_issues(panel),
        )

    def _check_issued(self, panel: Panel) -> None:
        """Raise DataError for a covariate that changes by issue here but not in training, or not
        here but in training."""
        here = set() if panel.issues is None else set(panel.issues.values)
        for column in (*self.future, *self.issued):
            issued = column in self.issued
            if issued != (column.name in here):
                wanted = f"given {'with' if issued else 'without'} a time of issue, as in training"
                got = "none with one" if issued else "values with one"
                raise DataError(f"the covariate {column.name!r} must be {wanted}, got {got}")

    def _row_issues(self, panel: Panel) -> RowIssues | None:
        if not self.issued:
            return None
        assert panel.issues is not None
        as_of = AsOf(panel.issues, self.issued, panel.ids)
        return RowIssues(as_of, panel.offsets, panel.times)

    def encode_issued(self, issues: Issues | None, after: Encoded, count: int) -> np.ndarray:
        """What was known at the end of each series of `after` of the `count` steps that follow.

        Raises DataError where a series has nothing issued by then about any of these steps.
        """
        rows = len(after.ids) * count
        if not self.issued:
            return np.empty((rows, 0), np.float32)
        names = ", ".join(repr(column.name) for column in self.issued)
        if issues is None or not {column.name for column in self.issued} <= set(issues.values):
            raise DataError(
                f"the covariates {names}, which change by issue, must be given for the steps after "
                "the data, got none; pass their issues as future=, or with the data"
            )
        as_of = AsOf(issues, self.issued, after.ids)
        times, now = after.times_after(count), after.times[after.offsets[1:] - 1]
        slots = as_of.slots(np.arange(len(after.ids))[:, None], times)
        known, found = as_of.known(slots, as_of.passed(now)[:, None])
        if not found.any(axis=1).all():
            series, column = np.argwhere(~found.any(axis=1))[0]
            raise DataError(
                f"the covariate {self.issued[column].name!r}{of_series(after.ids[series])} must be "
                f"issued by {show_time(now[series])}, the last time known, for a step from "
                f"{show_time(times[series, 0])} to {show_time(times[series, -1])}, got no such row"
            )
        return known.reshape(rows, -1)

    def encode_future(self, future: Panel | None, after: Encoded, count: int) -> np.ndarray:
        """The known-future covariates of the `count` steps after each series of `after`.

        Raises DataError unless `future` has a row for every one of these steps, with a value of
        every covariate that was never missing in training.
        """
        roles, rows = self.future, len(after.ids) * count
        if not roles:
            return np.empty((rows, 0), np.float32)
        names = ", ".join(repr(column.name) for column in roles)
        if future is None or not {column.name for column in roles} <= set(future.covariates):
            raise DataError(
                f"the known-future covariates {names} must be given for the {count} steps after "
                "the data, got none; pass a table of them as future="
            )
        times = after.times_after(count)
        place_of = {name: series for series, name in enumerate(future.ids)}
        wanted = np.empty(times.shape, np.int64)
        for series, name in enumerate(after.ids):
            lacking = np.ones(count, bool)
            if name in place_of:
                at = future.rows(place_of[name])
                place = np.searchsorted(future.times[at], times[series])
                wanted[series] = at.start + place.clip(max=at.stop - at.start - 1)
                lacking = future.times[wanted[series]] != times[series]
            if lacking.any():
                first, last = show_time(times[series, 0]), show_time(times[series, -1])
                raise DataError(
                    f"the known-future covariates {names}{of_series(name)} must be given for "
                    f"every step from {first} to {last}, got no row for "
                    f"{show_time(times[series, np.argmax(lacking)])}; add it to future="
                )
        chosen = {column.name: future.covariates[column.name][wanted.ravel()] for column in roles}
        for column in roles:
            missing = is_missing(chosen[column.name])
            if missing.any() and not column.can_be_missing:
                series, step = np.unravel_index(np.argmax(missing), times.shape)
                raise DataError(
                    f"the known-future covariate {column.name!r}{of_series(after.ids[series])} "
                    f"must have a value at every step forecast, got none at "
                    f"{show_time(times[series, step])}; it was never missing in training"
                )
        return side_by_side(roles, chosen, rows)

    def to_config(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "freq": self.calendar.freq,
            "span": self.calendar.span,
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
                for role in _ROLES
            },
            "scales": {name: list(scale) for name, scale in self.scales.items()},
            "unit": self.unit,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PanelEncoder:
        """The inverse of `to_config`; KeyError, TypeError or the like for damaged values."""
        roles = {
            role: tuple(
                ColumnEncoder(
                    name=str(column["name"]),
                    mean=float(column["mean"]),
                    spread=float(column["spread"]),
                    can_be_missing=bool(column["can_be_missing"]),
                    categories=None
                    if column["categories"] is None
                    else tuple(map(str, column["categories"])),
                )
                for column in {"issued": [], **config}[role]
            )
            for role in _ROLES
        }
        scales = {
            name: (float(center), float(spread))
            for name, (center, spread) in config["scales"].items()
        }
        unit = config.get("unit", "spread")
        check({"unit": unit}, {"unit": one_of(*get_args(Unit))})
        calendar = Calendar(config["freq"], config.get("span"))
        return cls(calendar, **roles, scales=scales, unit=unit)


def _scale(target: np.ndarray, unit: Unit) -> tuple[float, float]:
    """Centre and spread of a series; for one that never changed a thousandth of its level.

    In units of the mean (of values that are not negative) the spread is that, or 1 where it is 0.
    """
    if unit == "spread":
        return center_and_spread(target, still=1e-3)
    known = target[~np.isnan(target)]
    mean = float(known.mean()) if unit == "mean" and len(known) else 0.0
    return 0.0, mean or 1.0


def _first_scale(target: np.ndarray, seen: int, unit: Unit) -> tuple[float, float]:
    """The scale of the rows seen, or of the first value observed later."""
    observed = ~np.isnan(target)
    return _scale(target[: max(seen, int(np.argmax(observed)) + 1)], unit)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
