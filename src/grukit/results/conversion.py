"""Answers as frames and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from grukit.core.extras import require
from grukit.core.rules import check, one_of

_BACKENDS = one_of("pandas", "polars", "pyarrow")


def to_frame(data: dict[str, Any], backend: str) -> Any:
    """The columns as a frame of pandas, polars or pyarrow."""
    check({"backend": backend}, {"backend": _BACKENDS})
    return require("narwhals").from_dict(data, backend=backend).to_native()


def iso(times: np.ndarray) -> np.ndarray:
    """Moments as text, without fractions of a second where all are whole."""
    whole_seconds = times.astype("datetime64[s]")
    return np.datetime_as_string(whole_seconds if np.all(whole_seconds == times) else times)


def none_unless_finite(value: float) -> float | None:
    """The value as JSON can hold it."""
    return float(value) if np.isfinite(value) else None
