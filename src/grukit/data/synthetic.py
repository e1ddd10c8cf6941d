"""Small generated series whose truth is known, for tests and examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, each, integer, number, one_of

PROMO_EFFECT = 1.5
AMPLITUDE_OF_KIND = {"calm": 1.0, "lively": 2.0}
ANOMALY_KINDS = ("spike", "shift", "variance", "frequency", "freeze")


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


def planted_anomalies(
    kinds: Sequence[str] = ANOMALY_KINDS,
    events: int = 5,
    length: int = 4000,
    channels: int = 1,
    period: int = 48,
    noise: float = 0.1,
    ordinary: float = 0.4,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Half-hourly channels with a cycle, and anomalies at known rows.

    A channel is sin(2 pi t / period + phase) + noise, with a phase of its own. Each event hits one
    channel, for one period, except for the spike:

        spike      one row is off by 1.5, up or down
        shift      the level is off by 1
        variance   the noise is 6 times as large
        frequency  the cycle runs at twice its speed
        freeze     the value before it is repeated

    >>> columns = planted_anomalies(["freeze"], events=2, length=1000, channels=3)
    >>> list(columns)
    ['ds', 'channel_0', 'channel_1', 'channel_2', 'label', 'kind', 'culprit']
    >>> int(columns["label"].sum())
    96

    Args:
        kinds: kinds of the events, in turns, among those above.
        events: how many.
        length: rows. period: of the cycle, in rows.
        channels: how many.
        noise: standard deviation of the Gaussian noise.
        ordinary: share of the rows, at the beginning, without events.
        seed: the same seed gives the same rows.

    Returns:
        Columns of `length` rows, ready for a frame: ds (datetime64[us]), the channels (float64),
        label (bool, True in the rows of events), kind and culprit (text: the kind of the event and
        the channel that it hits, empty elsewhere).

    Raises:
        ParameterError: an argument is outside its rule, or the events do not fit into the rows.
    """
    check(
        {"kinds": kinds, "events": events, "length": length, "channels": channels}
        | {"period": period, "noise": noise, "ordinary": ordinary},
        {
            "kinds": each(one_of(*ANOMALY_KINDS), at_least=1),
            "events": integer(at_least=0),
            "length": integer(at_least=1),
            "channels": integer(at_least=1),
            "period": integer(at_least=2),
            "noise": number(at_least=0),
            "ordinary": number(at_least=0, below=1),
        },
    )
    first = max(int(ordinary * length), 1)
    room = (length - first) // max(events, 1)
    if room < 3 * period:
        wanted = f"at least {first + 3 * period * events}, with {events} events"
        raise ParameterError(must_be("length", wanted, length))
    random = np.random.default_rng(seed)
    turns = np.tile(np.arange(length) / period, (channels, 1)) + random.random((channels, 1))
    errors = noise * random.standard_normal((channels, length))
    added, frozen = np.zeros((channels, length)), []
    kind, culprit = np.full((2, length), "", dtype=object)
    for event in range(events):
        name, channel = kinds[event % len(kinds)], int(random.integers(channels))
        # A period or more of ordinary rows before and after each.
        start = first + event * room + period + int(random.integers(room - 3 * period + 1))
        rows = slice(start, start + (1 if name == "spike" else period))
        sign = random.choice([-1.0, 1.0])
        if name == "spike":
            added[channel, rows] = 1.5 * sign
        elif name == "shift":
            added[channel, rows] = sign
        elif name == "variance":
            errors[channel, rows] *= 6
        elif name == "frequency":
            turns[channel, rows] += np.arange(period) / period
        else:
            frozen.append((channel, rows))
        kind[rows], culprit[rows] = name, f"channel_{channel}"
    values = np.sin(2 * np.pi * turns) + errors + added
    for channel, rows in frozen:
        values[channel, rows] = values[channel, rows.start - 1]
    return {
        "ds": np.datetime64("2024-01-01", "us") + np.arange(length) * np.timedelta64(30, "m"),
        **{f"channel_{channel}": values[channel] for channel in range(channels)},
        "label": kind != "",
        "kind": kind,
        "culprit": culprit,
    }
