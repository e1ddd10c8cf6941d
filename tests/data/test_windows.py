"""Windows against plain loops that index the series one value at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grukit.core.errors import DataError
from grukit.data.calendar import Calendar
from grukit.data.encoding import Encoded
from grukit.data.windows import (
    LARGEST_MAGNIFICATION,
    Windows,
    WindowShape,
    check_lengths,
    origins,
)

LENGTHS = (40, 25, 33)


def encoded_series(missing: float = 0.0, lengths: tuple[int, ...] = LENGTHS) -> Encoded:
    """Series of different lengths, levels and spreads, with covariates that name their row."""
    random = np.random.default_rng(3)
    calendar, rows = Calendar("h"), sum(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    spread = np.array([1.0, 20.0, 0.3])[: len(lengths)]
    center = np.array([5.0, -300.0, 0.0])[: len(lengths)]
    scaled = np.cumsum(random.normal(size=rows)) * 0.5
    target = np.repeat(center, lengths) + np.repeat(spread, lengths) * scaled
    target[random.random(rows) < missing] = np.nan
    starts = np.datetime64("2024-01-01", "us") + np.arange(len(lengths)) * np.timedelta64(5, "h")
    return Encoded(
        calendar=calendar,
        ids=tuple("abc"[: len(lengths)]),
        offsets=offsets,
        times=np.concatenate(
            [calendar.times(start, n) for start, n in zip(starts, lengths, strict=True)]
        ),
        target=target,
        past=np.arange(rows, dtype=np.float32)[:, None] * [1, -1],
        known=np.arange(rows, dtype=np.float32)[:, None] + 1000,
        static=np.arange(len(lengths), dtype=np.float32)[:, None],
        center=center,
        spread=spread,
        index=np.arange(len(lengths))[::-1] - 1,
    )


def by_hand(encoded: Encoded, origin: int, shape: WindowShape) -> dict[str, np.ndarray | float]:
    """One window, value by value."""
    series = int(np.searchsorted(encoded.offsets, origin, side="right")) - 1
    L, H, lag = shape.lookback, shape.horizon, shape.differencing or 1
    center, spread = encoded.center[series], encoded.spread[series]
    values = [float(encoded.target[row] - center) / spread for row in range(origin - L, origin)]
    target = [float(encoded.target[row] - center) / spread for row in range(origin, origin + H)]
    static, width = [float(series)], 1.0
    if shape.scaling == "last":
        middle = next((value for value in reversed(values) if not math.isnan(value)), 0.0)
        values = [value - middle for value in values]
        target = [value - middle for value in target]
        center = center + spread * middle
    if shape.scaling == "window":
        known = [value for value in values if not math.isnan(value)]
        middle = sum(known) / len(known)
        width = math.sqrt(sum((value - middle) ** 2 for value in known) / len(known))
        width = max(width, 1 / LARGEST_MAGNIFICATION)
        values = [(value - middle) / width for value in values]
        target = [(value - middle) / width for value in target]
        static += [math.tanh(middle), math.log(width)]
        center, spread = center + spread * middle, spread * width
    past = []
    for at in range(L):
        value, row = values[at], origin - L + at
        change = value - values[at - lag] if at >= lag else 0.0
        past.append(
            [
                0.0 if math.isnan(value) else value,
                0.0 if math.isnan(value) else 1.0,
                0.0 if math.isnan(change) else change,
                row,
                -row,
                row + 1000,
            ]
        )
    base = []
    for step in range(H):
        value = 0.0
        if shape.differencing:
            same_phase = [values[at] for at in range(L) if (L + step - at) % lag == 0]
            observed = [v for v in same_phase if not math.isnan(v)]
            observed = observed or [v for v in values if not math.isnan(v)]
            value = observed[-1]
        base.append(value)
    return {
        "past": np.array(past),
        "future": np.array([[row + 1000.0] for row in range(origin, origin + H)]),
        "static": np.array(static),
        "series": encoded.index[series],
        "base": np.array(base),
        "target": np.array(target),
        "observed": ~np.isnan(target),
        "center": center,
        "spread": spread,
        "width": width,
    }


def assert_equal_by_hand(windows: Windows, encoded: Encoded, shape: WindowShape) -> None:
    batch = windows.batch(torch.arange(len(windows)))
    for index, origin in enumerate(windows.origins.tolist()):
        wanted = by_hand(encoded, origin, shape)
        observed = wanted["observed"]
        np.testing.assert_array_equal(batch.observed[index].numpy(), observed)
        for name, value in wanted.items():
            got = getattr(batch, name)[index].numpy()
            if name == "target":
                got, value = got[observed], value[observed]
            np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("scaling", ["series", "window", "last"])
@pytest.mark.parametrize("differencing", [0, 1, 4, 7, 10])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.85])
def test_windows_equal_hand_indexed_values(scaling, differencing, missing):
    encoded, shape = encoded_series(missing), WindowShape(10, 5, scaling, differencing)
    at = origins(encoded, 10, 5)
    assert len(at) > 20
    assert_equal_by_hand(Windows(encoded, at, shape), encoded, shape)


@pytest.mark.parametrize("shift", ["target", "past", "known"])
def test_a_shift_by_one_row_is_noticed(shift):
    encoded, shape = encoded_series(), WindowShape(10, 5, "window", 4)
    at = origins(encoded, 10, 5)
    shifted = Encoded(**{**vars(encoded), shift: np.roll(getattr(encoded, shift), 1, axis=0)})
    with pytest.raises(AssertionError):
        assert_equal_by_hand(Windows(shifted, at, shape), encoded, shape)


@pytest.mark.parametrize("scaling", ["series", "window", "last"])
@pytest.mark.parametrize("differencing", [0, 1, 7])
def test_the_scaled_target_leads_back_to_the_truth(scaling, differencing):
    encoded = encoded_series(0.2)
    at = origins(encoded, 10, 5)
    shape = WindowShape(10, 5, scaling, differencing)
    batch = Windows(encoded, at, shape).batch(torch.arange(len(at)))
    wanted_of_network = (batch.target - batch.base).double()
    value = batch.center[:, None] + batch.spread[:, None] * (wanted_of_network + batch.base)
    truth = encoded.target[at[:, None] + np.arange(5)]
    seen = batch.observed.numpy()
    np.testing.assert_array_equal(seen, ~np.isnan(truth))
    np.testing.assert_allclose(value.numpy()[seen], truth[seen], rtol=1e-6, atol=1e-5)


def origins_by_hand(encoded, lookback, horizon, from_row, to_row, stride):
    found = []
    for series, (start, stop) in enumerate(
        zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    ):
        length = stop - start
        first = max(lookback, from_row[series])
        for place in range(first, min(to_row[series], length) - horizon + 1, stride):
            at = start + place
            past, ahead = encoded.target[at - lookback : at], encoded.target[at : at + horizon]
            if not np.isnan(past).all() and not np.isnan(ahead).all():
                found.append(at)
    return found


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("missing", [0.0, 0.8])
def test_origins_stay_within_series_and_bounds(stride, missing):
    encoded = encoded_series(missing)
    from_row, to_row = np.array([0, 12, 20]), np.array([40, 22, 26])
    found = origins(encoded, 6, 3, from_row=from_row, to_row=to_row, stride=stride)
    assert found.tolist() == origins_by_hand(encoded, 6, 3, from_row, to_row, stride)
    series = encoded.series_of(found)
    assert (encoded.series_of(found - 6) == series).all()
    assert (encoded.series_of(found + 2) == series).all()


def test_a_series_without_room_has_no_origin():
    encoded = encoded_series(lengths=(9, 3, 8))
    assert origins(encoded, 6, 3).tolist() == [6]


@pytest.mark.parametrize("scaling", ["series", "window", "last"])
@pytest.mark.parametrize("differencing", [0, 1, 4])
def test_nothing_at_the_origin_or_before_the_lookback_enters(scaling, differencing):
    encoded = encoded_series(0.1)
    origin, shape = 52, WindowShape(10, 5, scaling, differencing)

    def inputs(changed: Encoded) -> list[torch.Tensor]:
        batch = Windows(changed, np.array([origin]), shape).batch(torch.tensor([0]))
        return [batch.past, batch.future, batch.static, batch.base, batch.center, batch.spread]

    before = inputs(encoded)
    outside = np.ones(len(encoded.target), bool)
    outside[origin - 10 : origin] = False
    for name in ("target", "past"):
        array = getattr(encoded, name).copy()
        array[outside] = 77.0
        for old, new in zip(before, inputs(Encoded(**{**vars(encoded), name: array})), strict=True):
            torch.testing.assert_close(old, new, rtol=0, atol=0)


def test_a_constant_window_is_not_magnified_without_bound():
    encoded = encoded_series()
    flat = Encoded(**{**vars(encoded), "target": np.repeat(encoded.center, LENGTHS) + 1e-9})
    batch = Windows(flat, origins(flat, 10, 5), WindowShape(10, 5, "window", 0)).batch(
        torch.arange(3)
    )
    torch.testing.assert_close(batch.spread, torch.full((3,), 0.1, dtype=torch.float64))


def test_short_series_are_named():
    with pytest.raises(DataError, match=r"at least 9 rows to see, got 3 of series 'b', 8 of"):
        check_lengths(("a", "b", "c"), np.array([9, 3, 8]), 9, "to see")
    many = tuple(f"s{n}" for n in range(9))
    with pytest.raises(DataError, match="and 4 more"):
        check_lengths(many, np.full(9, 2), 3, "to see")


@pytest.mark.parametrize("scaling", ["series", "window", "last"])
@pytest.mark.parametrize("differencing", [0, 1])
def test_the_step_scale_is_the_mean_size_of_what_is_forecast(scaling, differencing):
    encoded = encoded_series(missing=0.2)
    shape = WindowShape(8, 4, scaling, differencing)
    at = origins(encoded, shape.lookback, shape.horizon)
    sizes: list[list[float]] = [[] for _ in range(shape.horizon)]
    for origin in at:
        window = by_hand(encoded, int(origin), shape)
        for step, size in enumerate(np.abs(window["target"] - window["base"])):
            if not math.isnan(encoded.target[origin + step]):
                sizes[step].append(size)
    expected = [np.mean(step) for step in sizes]
    np.testing.assert_allclose(Windows(encoded, at, shape).step_scale(), expected, rtol=1e-4)


def test_a_step_that_never_changes_has_scale_one():
    encoded = encoded_series(lengths=(40,))
    encoded.target[:] = 7.0
    shape = WindowShape(8, 4, scaling="window", differencing=1)
    windows = Windows(encoded, origins(encoded, 8, 4), shape)
    assert windows.step_scale().tolist() == [1.0] * 4
