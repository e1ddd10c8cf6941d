"""Running a suite of checks on one subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

Check = Callable[[Any], None]


def failures(checks: Iterable[Check], subject: Any) -> dict[str, Exception]:
    """What each failing check raised, by the name of the check.

    Each check starts from the same random state, and the caller's is left as it was.
    """
    failed: dict[str, Exception] = {}
    for check in checks:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                check(subject)
            except Exception as error:
                failed[check.__name__] = error
    return failed


def run(checks: Iterable[Check], subject: Any) -> None:
    """Run every check; raise AssertionError that lists all that failed."""
    failed = failures(checks, subject)
    if failed:
        lines = [f"{name}: {error or repr(error)}" for name, error in failed.items()]
        raise AssertionError("\n".join(lines)) from next(iter(failed.values()))
