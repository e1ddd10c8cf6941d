"""Small generated series whose truth is known, for tests and examples."""

from __future__ import annotations

import numpy as np

from grukit.core.rules import check, integer, number

PROMO_EFFECT = 1.5
AMPLITUDE_OF_KIND = {"calm": 1.0, "lively": 2.0}


def seasonal_series(
    count: int = 3,
    length: int = 600,
    period: int = 24,
    noise: float = 0.1,
    missing: float = 0.0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Hourly series with a cycle, a known-future cause and a static category.

    y = level + amplitude * sin(2 pi t / period + phase) + 1.5 * promo + noise. Level and phase
    differ from series to series; the amplitude is 1 for the kind "calm" and 2 for "lively".

    >>> import pandas as pd
    >>> pd.DataFrame(seasonal_series(count=1, length=3, noise=0.0)).columns.tolist()
    ['unique_id', 'ds', 'y', 'promo', 'kind']

    Args:
        count: how many series.
        length: hours of each.
        period: hours of the cycle.
        noise: standard deviation of the Gaussian noise.
        missing: share of the values of y that are NaN, at random.
        seed: the same seed gives the same series.

    Returns:
        Columns of ``count * length`` rows, ready for a frame: unique_id and kind (text), ds
        (datetime64[us]), y and promo (float64; promo is 0 or 1, in blocks of six hours).
    """
    check(
        {"count": count, "length": length, "period": period, "noise": noise, "missing": missing},
        {
            "count": integer(at_least=1),
            "length": integer(at_least=1),
            "period": integer(at_least=1),
            "noise": number(at_least=0),
            "missing": number(at_least=0, below=1),
        },
    )
    random = np.random.default_rng(seed)
    kinds = np.array([tuple(AMPLITUDE_OF_KIND)[s % len(AMPLITUDE_OF_KIND)] for s in range(count)])
    amplitude = np.array([AMPLITUDE_OF_KIND[kind] for kind in kinds])[:, None]
    level = random.uniform(5, 15, (count, 1))
    phase = random.uniform(0, 2 * np.pi, (count, 1))
    hours = np.arange(length)
    promo = (random.random((count, -(-length // 6))) < 0.2).repeat(6, axis=1)[:, :length] * 1.0
    y = level + amplitude * np.sin(2 * np.pi * hours / period + phase) + PROMO_EFFECT * promo
    y += noise * random.standard_normal(y.shape)
    y[random.random(y.shape) < missing] = np.nan
    names = np.array([f"series_{s}" for s in range(count)], dtype=object)
    start = np.datetime64("2024-01-01", "us")
    return {
        "unique_id": names.repeat(length),
        "ds": np.tile(start + hours.astype("timedelta64[h]"), count),
        "y": y.ravel(),
        "promo": promo.ravel(),
        "kind": kinds.astype(object).repeat(length),
    }
