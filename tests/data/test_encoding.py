"""Encoding: standardized numbers, categories, scales of series, and rows laid after each end."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grukit.core.errors import DataError
from grukit.data.columns import ColumnEncoder
from grukit.data.encoding import PanelEncoder
from grukit.data.frames import Columns, to_panel

COLUMNS = Columns(past=("wind",), future=("promo", "holiday"), static=("kind", "area"))


def table(lengths: dict[str, int] | None = None, freq: str = "D", seed: int = 0) -> pd.DataFrame:
    """Series that start and end on different days."""
    random = np.random.default_rng(seed)
    parts = []
    for at, (name, rows) in enumerate((lengths or {"a": 12, "b": 8, "c": 15}).items()):
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": name,
                    "ds": pd.date_range("2024-01-01", periods=rows + at, freq=freq)[at:],
                    "y": random.normal(10 * at, 1 + at, rows),
                    "wind": random.normal(3, 2, rows),
                    "promo": random.integers(0, 2, rows).astype(float),
                    "holiday": random.choice(["none", "feast", "eve"], rows),
                    "kind": "xyz"[at],
                    "area": 100.0 * at,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def future_of(frame: pd.DataFrame, steps: int, freq: str = "D") -> pd.DataFrame:
    """Known-future covariates whose promo counts 0, 1, 2, ... through all series."""
    parts = []
    for name, rows in frame.groupby("unique_id"):
        times = pd.date_range(rows.ds.max(), periods=steps + 1, freq=freq)[1:]
        parts.append(pd.DataFrame({"unique_id": name, "ds": times}))
    future = pd.concat(parts, ignore_index=True)
    return future.assign(promo=np.arange(len(future)) * 1.0, holiday="feast")


def test_numbers_are_standardized_by_training():
    encoder = ColumnEncoder.fit("x", np.array([1.0, 3.0, 5.0]))
    spread = np.std([1, 3, 5])
    np.testing.assert_allclose(
        encoder.encode(np.array([3.0, 7.0, np.nan]))[:, 0], [0, 4 / spread, 0], rtol=1e-6
    )
    assert encoder.width == 1


def test_what_was_missing_in_training_gets_a_column_of_its_own():
    encoder = ColumnEncoder.fit("x", np.array([1.0, np.nan, 3.0]))
    assert encoder.encode(np.array([np.nan, 2.0])).tolist() == [[0, 1], [0, 0]]


def test_categories_are_one_column_each_and_unknown_ones_none():
    encoder = ColumnEncoder.fit("x", np.array(["b", "a", None, "b"], object))
    assert encoder.categories == ("a", "b")
    assert encoder.can_be_missing
    got = encoder.encode(np.array(["a", "b", "new", None], object))
    assert got.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    "values", [np.array([4.0, 4.0]), np.full(7, 0.1), np.array([1e15, 1e15 + 0.125])]
)
def test_a_constant_column_has_spread_one(values):
    assert ColumnEncoder.fit("x", values).spread == 1


def test_an_all_missing_column_fits_numbers_and_text():
    numbers = ColumnEncoder.fit("x", np.array([1.0, 2.0]))
    words = ColumnEncoder.fit("x", np.array(["a", "b"], object))
    nothing = np.array([None, None], object)
    assert numbers.encode(nothing).tolist() == [[0], [0]]
    assert words.encode(np.full(2, np.nan)).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("learned", "given", "message"),
    [
        ([1.0, 2.0], np.array(["a", "b"], object), "'x' must be numbers, as in training, got 'a'"),
        (["a", "b"], np.array([1.0, 2.0]), "'x' must be text, as in training, got"),
        ([1.0, 2.0], np.array([1.0, 1e300]), "'x' must be at most 1e.100 in size, got 1e.300"),
    ],
)
def test_a_column_of_another_kind_is_refused(learned, given, message):
    kind = object if isinstance(learned[0], str) else float
    encoder = ColumnEncoder.fit("x", np.array(learned, kind))
    with pytest.raises(DataError, match=message):
        encoder.encode(given)


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(DataError, match="at least one value in training, got none"):
        ColumnEncoder.fit("x", np.full(3, np.nan))
    many = np.array([f"c{n}" for n in range(101)], object)
    with pytest.raises(DataError, match=r"at most 100 categories, got 101; leave it out or merge"):
        ColumnEncoder.fit("x", many)
    frame = table()
    frame.loc[3, "y"] = 1e300
    with pytest.raises(DataError, match="target 'y' must be at most"):
        PanelEncoder.fit(to_panel(frame, COLUMNS))


def test_every_array_is_in_its_place():
    frame = table()
    panel = to_panel(frame, COLUMNS)
    encoder = PanelEncoder.fit(panel)
    encoded = encoder.encode(panel)
    np.testing.assert_array_equal(encoded.target, frame.y)
    wind = (frame.wind - frame.wind.mean()) / frame.wind.std(ddof=0)
    np.testing.assert_allclose(encoded.past[:, 0], wind, rtol=1e-5, atol=1e-6)
    promo = (frame.promo - frame.promo.mean()) / frame.promo.std(ddof=0)
    np.testing.assert_allclose(encoded.known[:, 0], promo, rtol=1e-5, atol=1e-6)
    words = ["eve", "feast", "none"]
    np.testing.assert_array_equal(encoded.known[:, 1:4], frame.holiday.to_numpy()[:, None] == words)
    np.testing.assert_array_equal(encoded.known[:, 4:], encoder.calendar.features(panel.times))
    np.testing.assert_array_equal(encoded.static[:, :3], np.eye(3))
    np.testing.assert_allclose(encoded.static[:, 3], [-1.2247449, 0, 1.2247449], rtol=1e-6)
    assert encoder.known_width == encoded.known.shape[1]
    assert encoder.past_width == encoded.past.shape[1]
    assert encoder.static_width == encoded.static.shape[1]
    groups = frame.groupby("unique_id").y
    np.testing.assert_allclose(encoded.center, groups.mean())
    np.testing.assert_allclose(encoded.spread, groups.std(ddof=0))
    assert encoded.series_of(np.arange(35)).tolist() == [0] * 12 + [1] * 8 + [2] * 15


def test_an_unknown_series_takes_its_scale_from_what_is_seen():
    panel = to_panel(table(), COLUMNS)
    encoder = PanelEncoder.fit(panel.series("a"))
    encoded = encoder.encode(panel, seen=np.array([3, 4, 5]))
    known = encoder.scales["a"]
    assert (encoded.center[0], encoded.spread[0]) == known
    for series, rows in ((1, 4), (2, 5)):
        seen = panel.target[panel.rows(series)][:rows]
        assert encoded.center[series] == pytest.approx(seen.mean())
        assert encoded.spread[series] == pytest.approx(seen.std())


@pytest.mark.parametrize(
    ("level", "spread"), [(3.0, 3e-3), (-4e-9, 4e-12), (-1e9, 1.0), (0.0, 1.0)]
)
def test_a_constant_series_has_a_spread_that_suits_its_level(level, spread):
    frame = table()
    frame.loc[frame.unique_id == "a", "y"] = level
    center, found = PanelEncoder.fit(to_panel(frame, COLUMNS)).scales["a"]
    assert center == pytest.approx(level)
    assert found == pytest.approx(spread)


def test_an_unknown_series_seen_only_missing_takes_its_first_value():
    frame = table()
    frame.loc[frame.unique_id == "b", "y"] = [np.nan] * 5 + [7.0, 9.0, 11.0]
    panel = to_panel(frame, COLUMNS)
    encoded = PanelEncoder.fit(panel.series("a")).encode(panel, seen=np.array([3, 4, 5]))
    assert (encoded.center[1], encoded.spread[1]) == (7, 1)


def test_a_series_missing_throughout_training_is_unknown_to_it():
    panel = to_panel(table(), COLUMNS)
    of_a = np.arange(len(panel.times)) < panel.lengths[0]
    learned = replace(panel, target=np.where(of_a, panel.target, np.nan))
    encoder = PanelEncoder.fit(learned)
    assert encoder.scales == PanelEncoder.fit(panel.series("a")).scales


def test_tail_keeps_the_end_of_each_series():
    panel = to_panel(table(), COLUMNS)
    encoded = PanelEncoder.fit(panel).encode(panel)
    tail = encoded.tail(10)
    assert tail.lengths.tolist() == [10, 8, 10]
    for series in range(3):
        whole = slice(
            encoded.offsets[series + 1] - tail.lengths[series], encoded.offsets[series + 1]
        )
        rows = slice(tail.offsets[series], tail.offsets[series + 1])
        for name in ("times", "target", "past", "known"):
            np.testing.assert_array_equal(getattr(tail, name)[rows], getattr(encoded, name)[whole])


@pytest.mark.parametrize("freq", ["D", "B", "MS", "15min"])
def test_rows_are_added_after_each_end(freq):
    frame = table(freq=freq)
    panel = to_panel(frame, COLUMNS, freq)
    encoder = PanelEncoder.fit(panel)
    encoded = encoder.encode(panel)
    ahead = to_panel(future_of(frame, 4, freq), COLUMNS, freq, target_required=False)
    future = encoder.encode_future(ahead, encoded, 4)
    promo = encoder.future[0]
    np.testing.assert_allclose(future[:, 0] * promo.spread + promo.mean, np.arange(12), atol=1e-5)
    extended = encoded.extended(4, future)
    assert extended.lengths.tolist() == [16, 12, 19]
    for series, name in enumerate("abc"):
        rows = slice(int(extended.offsets[series]), int(extended.offsets[series + 1]))
        old = slice(int(encoded.offsets[series]), int(encoded.offsets[series + 1]))
        first = frame[frame.unique_id == name].ds.min()
        wanted = pd.date_range(first, periods=rows.stop - rows.start, freq=freq)
        np.testing.assert_array_equal(extended.times[rows], wanted.to_numpy())
        for column in ("target", "past", "known"):
            np.testing.assert_array_equal(
                getattr(extended, column)[rows][:-4], getattr(encoded, column)[old]
            )
        assert np.isnan(extended.target[rows][-4:]).all()
        assert (extended.past[rows][-4:] == 0).all()
        added = np.concatenate(
            [
                future[series * 4 : series * 4 + 4],
                encoded.calendar.features(extended.times[rows][-4:]),
            ],
            axis=1,
        )
        np.testing.assert_array_equal(extended.known[rows][-4:], added)


def test_the_future_may_come_in_any_order_and_with_more_rows():
    frame = table()
    panel = to_panel(frame, COLUMNS)
    encoder = PanelEncoder.fit(panel)
    encoded = encoder.encode(panel)
    exact = future_of(frame, 3)
    more = pd.concat([future_of(frame, 5).query("promo < 0"), frame, exact]).sample(
        frac=1, random_state=1
    )
    extra = pd.DataFrame({"unique_id": "zz", "ds": exact.ds[:1], "promo": 9.0, "holiday": "eve"})
    more = pd.concat([more, extra])
    answers = [
        encoder.encode_future(to_panel(t, COLUMNS, "D", target_required=False), encoded, 3)
        for t in (exact, more)
    ]
    np.testing.assert_array_equal(*answers)


def lacking(future: pd.DataFrame, what: str) -> pd.DataFrame | None:
    last_of_b = future.index[future.unique_id == "b"][-1]
    if what == "table":
        return None
    if what == "series":
        return future[future.unique_id != "b"]
    if what == "last row":
        return future.drop(last_of_b)
    if what == "first row":
        return future.drop(future.index[future.unique_id == "b"][0])
    future = future.copy()
    future.loc[last_of_b, "promo" if what == "value" else "holiday"] = None
    return future


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("table", "'promo', 'holiday' must be given for the 4 steps after the data, got none"),
        ("series", "of series 'b' must be given for every step from 2024-01-10 to 2024-01-13, got"),
        ("last row", "of series 'b' .* got no row for 2024-01-13"),
        ("first row", "of series 'b' .* got no row for 2024-01-10"),
        ("value", "'promo' of series 'b' must have a value at every step .* none at 2024-01-13"),
        ("category", "'holiday' of series 'b' must have a value .* none at 2024-01-13"),
    ],
)
def test_a_future_that_lacks_something_is_refused(what, message):
    frame = table()
    panel = to_panel(frame, COLUMNS)
    encoder = PanelEncoder.fit(panel)
    future = lacking(future_of(frame, 4), what)
    ahead = None if future is None else to_panel(future, COLUMNS, "D", target_required=False)
    with pytest.raises(DataError, match=message):
        encoder.encode_future(ahead, encoder.encode(panel), 4)


def test_a_future_value_may_be_missing_where_training_had_missing_ones():
    frame = table()
    frame.loc[2, ["promo", "holiday"]] = None
    panel = to_panel(frame, COLUMNS)
    encoder = PanelEncoder.fit(panel)
    future = lacking(lacking(future_of(frame, 4), "value"), "category")
    ahead = to_panel(future, COLUMNS, "D", target_required=False)
    got = encoder.encode_future(ahead, encoder.encode(panel), 4)
    assert got[7].tolist() == [0, 1, 0, 0, 0]


def test_the_encoder_survives_json():
    frame = table()
    frame.loc[2, "wind"] = None
    panel = to_panel(frame, COLUMNS)
    encoder = PanelEncoder.fit(panel)
    again = PanelEncoder.from_config(json.loads(json.dumps(encoder.to_config())))
    assert again == replace(encoder, calendar=again.calendar)
    assert again.calendar.freq == encoder.calendar.freq


@pytest.mark.parametrize(
    "damage",
    [
        {"freq": "often"},
        {"freq": None},
        {"past": None},
        {"past": [{"name": "wind"}]},
        {"scales": []},
        {"scales": {"a": [1.0]}},
        {"scales": {"a": ["x", "y"]}},
    ],
)
def test_a_damaged_config_is_an_error(damage):
    config = PanelEncoder.fit(to_panel(table(), COLUMNS)).to_config()
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        PanelEncoder.from_config(config | damage)
