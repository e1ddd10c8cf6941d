"""Walking forward: train on the past, test on what follows, move on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grukit.core.rules import check, integer, optional


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows to test on, in a time axis of steps."""

    train: slice
    test: slice


def walk_forward(
    length: int, *, first: int, step: int, embargo: int = 0, window: int | None = None
) -> Iterator[Split]:
    """Splits of rows 0 to `length`: tests of `step` rows one after the other, from row `first`.

    Training ends `embargo` rows before the test, so that no target of training overlaps one of the
    test (López de Prado 2018, chapter 7): with targets `h` steps ahead, at least h - 1. It starts
    at row 0, or `window` rows before its end.

    >>> for split in walk_forward(10, first=6, step=3, embargo=1):
    ...     print(split.train, split.test)
    slice(0, 5, None) slice(6, 9, None)
    slice(0, 8, None) slice(9, 10, None)

    Raises ParameterError where nothing is left to train on.
    """
    check(
        {"length": length, "first": first, "step": step, "embargo": embargo, "window": window},
        {
            "length": integer(at_least=2),
            "first": integer(at_least=1),
            "step": integer(at_least=1),
            "embargo": integer(at_least=0),
            "window": optional(integer(at_least=1)),
        },
    )
    check({"first": first - embargo}, {"first": integer(at_least=1)})
    for start in range(first, length, step):
        end = start - embargo
        begin = 0 if window is None else max(0, end - window)
        yield Split(slice(begin, end), slice(start, min(start + step, length)))
