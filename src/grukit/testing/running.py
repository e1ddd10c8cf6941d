"""Running a suite of checks on one subject."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

Check = Callable[[Any], None]


@contextlib.contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch, and put them back at the end."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def failures(checks: Iterable[Check], subject: Any) -> dict[str, Exception]:
    """What each failing check raised, by the name of the check.

    Each check starts from the same random state, and the caller's is left as it was.
    """
    failed: dict[str, Exception] = {}
    for check in checks:
        with random_state(0):
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
