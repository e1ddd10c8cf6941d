"""Point-in-time safety: nothing that a forecast reads may know what comes after its origin.

Two checks find the two kinds of leak. A forecast that reads later rows changes when these are
changed (`check_answers`). A column that was made from later rows, such as a centred mean or a shift
in the wrong direction, tells the target's future better than can be (`check_columns`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grukit.core.errors import DataError, LeakError
from grukit.data.calendar import show_time
from grukit.data.encoding import Encoded
from grukit.data.frames import Panel
from grukit.data.values import is_missing
from grukit.data.windows import origins
from grukit.evaluation.backtest import thinned

# Between the largest lead of an honest covariate in the catalog's data sets, 0.36 (New York's
# pressure, for its dew point), and that of a mean over the day, 0.69 (Beijing's temperature).
LIMIT = 0.6
# Steps of the target's own past that a column must tell more than, at most.
MOST_LAGS = 48
# Fewer rows than this for each thing fitted tell nothing.
ROWS_PER_TERM = 5
# What the past leaves open of a value, as a share of its variance, if it is more than rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Lead:
    """How well a column tells the future of the target.

    Attributes:
        column: its name.
        steps: how many steps ahead of its own time it tells most.
        correlation: with the target there, from -1 to 1, after what the target's own past and the
            calendar tell has been taken from both. 0 where these leave nothing open.
    """

    column: str
    steps: int
    correlation: float


def leads(encoded: Encoded, names: Sequence[str], season: int, horizon: int) -> tuple[Lead, ...]:
    """The strongest lead of each column of ``encoded.past``, up to `horizon` steps ahead.

    names: of the columns; those of one name, as the categories of a covariate, are one.

    The correlation is a partial one: of what is left of the column and of the target `steps` later
    by linear regression on the target up to the column's own time (one season and two steps back,
    at most `MOST_LAGS`) and on what is known ahead. Raises DataError if the data has fewer than
    `ROWS_PER_TERM` usable rows for each of these terms.
    """
    lags = min(season + 2, MOST_LAGS)
    at = origins(encoded, lags, horizon)
    target = (encoded.target - encoded.center[encoded.series_of_row]) / (
        encoded.spread[encoded.series_of_row]
    )
    at = thinned(at[np.isfinite(target[at - 1]) & np.isfinite(target[at - min(2, lags)])])
    past = np.nan_to_num(target[at[:, None] + np.arange(-lags, 0)])
    terms = np.concatenate([np.ones((len(at), 1)), past, encoded.known[at - 1]], axis=1)
    if len(at) < ROWS_PER_TERM * terms.shape[1]:
        raise DataError(
            f"the data must have at least {ROWS_PER_TERM * terms.shape[1]} rows with a past of "
            f"{lags} steps and a future of {horizon} to look for leaks in, got {len(at)}; give "
            "more data"
        )
    future = target[at[:, None] + np.arange(horizon)]
    strongest = {name: Lead(name, 1, 0.0) for name in names}
    columns = _left_open(_standardized(encoded.past[at - 1], encoded.series_of(at)), terms)
    for step in range(horizon):
        observed = np.isfinite(future[:, step])
        if observed.sum() < ROWS_PER_TERM * terms.shape[1]:
            continue
        open_ = _left_open(future[observed, step : step + 1], terms[observed])
        for name, correlation in zip(names, _correlations(columns[observed], open_), strict=True):
            if abs(correlation) > abs(strongest[name].correlation):
                strongest[name] = Lead(name, step + 1, float(correlation))
    return tuple(strongest.values())


def check_columns(
    encoded: Encoded, names: Sequence[str], season: int, horizon: int, limit: float = LIMIT
) -> tuple[Lead, ...]:
    """The `leads` of the columns; LeakError naming those above `limit`, DataError as `leads`."""
    found = leads(encoded, names, season, horizon)
    caught = [lead for lead in found if abs(lead.correlation) > limit]
    if caught:
        listed = ", ".join(
            f"{lead.column!r} tells the target {lead.steps} step{'s' * (lead.steps > 1)} later "
            f"(correlation {lead.correlation:.3f} beyond what the target's own past tells)"
            for lead in caught
        )
        raise LeakError(
            f"a past covariate must not be made from the target's future, got: {listed}; leave it "
            "out, or shift it to when it was known; if it truly leads, raise limit"
        )
    return found


def check_answers(
    answer: Callable[[Panel, np.datetime64], np.ndarray],
    panel: Panel,
    times: Sequence[np.datetime64],
) -> None:
    """Raise LeakError if an answer changes when what comes later does.

    answer: the forecast made at the origin `time` from a panel that also holds later rows, or
        anything else that must not depend on them.
    times: origins; the target and the past covariates from there on are changed, upwards and
        downwards, and so is what is issued from there on. Other covariates known ahead stay as
        they are.
    """
    by_issue = () if panel.issues is None else tuple(panel.issues.values)
    columns = (panel.columns.target, *panel.columns.past, *by_issue)
    for time in times:
        plain = answer(panel, time)
        if not _changed(answer, panel, time, columns, plain):
            continue
        to_blame = [name for name in columns if _changed(answer, panel, time, (name,), plain)]
        raise LeakError(
            f"the answer at {show_time(time)} must not depend on later rows, got another one when "
            f"{', '.join(map(repr, to_blame or columns))} changed from there on"
        )


def _changed(
    answer: Callable[[Panel, np.datetime64], np.ndarray],
    panel: Panel,
    time: np.datetime64,
    columns: Sequence[str],
    plain: np.ndarray,
) -> bool:
    for size in (10.0, -10.0):
        other = answer(_with_other_future(panel, time, columns, size), time)
        if other.shape != plain.shape or not numbers_alike(other, plain).all():
            return True
    return False


def numbers_alike(got: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where numbers are the same but for rounding, or both NaN."""
    return np.isclose(got, wanted, rtol=1e-6, atol=1e-9, equal_nan=True)


def other_values(values: np.ndarray, size: float) -> np.ndarray:
    """Values unlike any of these: `size` times their spread away, or another category."""
    known = values[~is_missing(values)]
    if values.dtype == object:
        kinds = sorted(set(known)) or [""]
        swap = dict(zip(kinds, [*kinds[1:], kinds[0]], strict=True))
        return np.array([swap.get(value, kinds[0]) for value in values], dtype=object)
    spread = float(np.ptp(known)) if len(known) else 0.0
    return np.nan_to_num(values) + size * (spread or 1.0) * (1 + np.arange(len(values)) % 3)


def _with_other_future(
    panel: Panel, time: np.datetime64, columns: Sequence[str], size: float
) -> Panel:
    def other(name: str, values: np.ndarray, times: np.ndarray) -> np.ndarray:
        if name not in columns:
            return values
        return np.where(times >= time, other_values(values, size), values)

    def others(values: dict[str, np.ndarray], times: np.ndarray) -> dict[str, np.ndarray]:
        return {name: other(name, column, times) for name, column in values.items()}

    issues = panel.issues
    if issues is not None:
        issues = replace(issues, values=others(issues.values, issues.issued))
    return replace(
        panel,
        target=other(panel.columns.target, panel.target, panel.times),
        covariates=others(panel.covariates, panel.times),
        issues=issues,
    )


def _standardized(columns: np.ndarray, series: np.ndarray) -> np.ndarray:
    """float64 [N, P] in units of each series' own mean and spread, as the target is."""
    count = np.maximum(np.bincount(series), 1)[series, None]

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.zeros((series.max() + 1, values.shape[1]))
        np.add.at(sums, series, values)
        return sums[series] / count

    centred = columns - mean(columns)
    spread = np.sqrt(mean(centred**2))
    return centred / np.where(spread > 0, spread, 1.0)


def _left_open(values: np.ndarray, terms: np.ndarray) -> np.ndarray:
    """What linear regression on `terms` leaves of each column; 0 where that is rounding alone."""
    fitted, *_ = np.linalg.lstsq(terms, values, rcond=1e-9)
    left = values - terms @ fitted
    left[:, left.var(axis=0) <= _ROUNDING * values.var(axis=0)] = 0.0
    return left


def _correlations(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """float64 [P]: of columns [N, P] with target [N, 1]; 0 where one does not vary."""
    sizes = np.sqrt((columns**2).sum(axis=0) * (target**2).sum())
    return (columns * target).sum(axis=0) / np.where(sizes > 0, sizes, 1.0)
