"""One covariate as numbers: standardized, or one column per category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.data.values import is_missing

MOST_CATEGORIES = 100
# Larger values would overflow when squared, in a spread or in a metric.
LARGEST_VALUE = 1e100
# A series that varies by less than this share of its size varies by rounding alone.
_ROUNDING = 1e-12
_ROWS_AT_ONCE = 1_000_000


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
        missing = is_missing(values)
        if values.dtype == object:
            categories = tuple(sorted(set(values[~missing])))
            if len(categories) > MOST_CATEGORIES:
                wanted = f"of at most {MOST_CATEGORIES} categories"
                raise DataError(
                    must_be(f"the categorical covariate {name!r}", wanted, len(categories))
                    + "; leave it out or merge rare categories"
                )
            return cls(name, can_be_missing=bool(missing.any()), categories=categories)
        if missing.all():
            raise DataError(
                f"the covariate {name!r} must have at least one value in training, got none; "
                "leave it out"
            )
        refuse_huge(f"the covariate {name!r}", values)
        return cls(name, *center_and_spread(values), can_be_missing=bool(missing.any()))

    @property
    def width(self) -> int:
        """How many columns it becomes."""
        if self.categories is not None:
            return len(self.categories)
        return 2 if self.can_be_missing else 1

    @property
    def titles(self) -> list[str]:
        """What to call each of them.

        >>> ColumnEncoder("kind", categories=("a", "b")).titles
        ['kind a', 'kind b']
        """
        if self.categories is not None:
            return [f"{self.name} {category}" for category in self.categories]
        return [self.name, f"{self.name} missing"][: self.width]

    def encode(self, values: np.ndarray) -> np.ndarray:
        """float32 [n, width], without NaN.

        Raises DataError for text where training had numbers, or the other way round.
        """
        missing = is_missing(values)
        if self.categories is not None:
            self._refuse_other_kind("text", values.dtype == object, values[~missing])
            return (values[:, None] == np.array(self.categories, object)).astype(np.float32)
        self._refuse_other_kind("numbers", values.dtype != object, values[~missing])
        numbers = np.where(missing, self.mean, values).astype(np.float64)
        refuse_huge(f"the covariate {self.name!r}", numbers)
        columns = [(numbers - self.mean) / self.spread]
        if self.can_be_missing:
            columns.append(missing)
        with np.errstate(over="ignore"):
            return np.stack(columns, axis=1).astype(np.float32)

    def _refuse_other_kind(self, wanted: str, holds: bool, known: np.ndarray) -> None:
        # Where nothing is known, a table cannot tell numbers from text.
        if not holds and len(known):
            what = f"the covariate {self.name!r}"
            raise DataError(must_be(what, f"{wanted}, as in training", known.tolist()[0]))


def side_by_side(
    encoders: Sequence[ColumnEncoder],
    values: Mapping[str, np.ndarray],
    rows: int,
    more: int = 0,
) -> np.ndarray:
    """float32 [rows, columns + more], the last `more` still to be filled."""
    filled = np.empty((rows, sum(encoder.width for encoder in encoders) + more), np.float32)
    first = 0
    for encoder in encoders:
        for at in parts(rows):
            filled[at, first : first + encoder.width] = encoder.encode(values[encoder.name][at])
        first += encoder.width
    return filled


def parts(rows: int) -> Iterator[slice]:
    """The rows a part at a time, so that what is made on the way, in float64, stays small."""
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, rows))


def center_and_spread(values: np.ndarray, still: float = 0.0) -> tuple[float, float]:
    """Mean and standard deviation of what is known.

    Where nothing varies the spread is the share `still` of the size of the mean, at most 1; a
    single value, or a mean of 0, has spread 1.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0
    center, spread = float(known.mean()), float(known.std())
    if spread > _ROUNDING * np.abs(known).max():
        return center, spread
    return center, (min(1.0, still * abs(center)) if len(known) > 1 else 0.0) or 1.0


def refuse_huge(what: str, values: np.ndarray) -> None:
    huge = np.abs(values) > LARGEST_VALUE
    if huge.any():
        wanted = f"at most {LARGEST_VALUE:g} in size"
        raise DataError(must_be(what, wanted, float(values[huge][0])) + "; choose another unit")
