"""Memory that shows when it is read before it was written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch.utils import deterministic


@contextlib.contextmanager
def poisoned_memory() -> Iterator[None]:
    """Fill memory that torch hands out uninitialised with NaN (integers: the largest value).

    Reaches torch.empty, empty_like, new_empty, empty_strided and resize_, on every thread.
    """
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
