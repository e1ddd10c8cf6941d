"""Quantile levels, and the intervals between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grukit.core.errors import ParameterError, must_be

ROUNDING = 1e-9


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
        if abs(known - level) < ROUNDING:
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
        if low < 0.5 and any(abs(low + high - 1) < ROUNDING for high in levels)
    )
