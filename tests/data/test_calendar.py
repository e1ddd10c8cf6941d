import datetime
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.calendar import Calendar, as_time

FREQS = ["10us", "s", "15min", "h", "6h", "36h", "D", "2D", "B", "2B", "W-SUN", "W-WED", "SMS"]
FREQS += [
    "MS",
    "ME",
    "2MS",
    "BME",
    "QS",
    "QE",
    "QS-FEB",
    "QE-OCT",
    "YS",
    "YE",
    "YS-JUL",
    "WOM-3FRI",
]
INFERRED = [freq for freq in FREQS if freq not in ("2B", "SMS", "BME", "WOM-3FRI")]


def grid(freq, count, start="2019-12-30"):
    times = pd.date_range(start, periods=count, freq=freq, unit="us")
    return times.to_numpy().astype("datetime64[us]")


def some(times, seed, keep):
    """The first, the last and a share `keep` of the times between."""
    chosen = np.random.default_rng(seed).random(len(times)) < keep
    chosen[[0, -1]] = True
    return times[chosen], np.flatnonzero(chosen)


@pytest.mark.parametrize("freq", FREQS)
def test_grid_is_that_of_pandas(freq):
    expected = grid(freq, 300)
    calendar = Calendar(freq)
    np.testing.assert_array_equal(calendar.times(expected[0], 300), expected)
    np.testing.assert_array_equal(calendar.after(expected[9], 290), expected[10:])
    np.testing.assert_array_equal(calendar.positions(expected, expected[0]), np.arange(300))
    assert calendar.after(expected[0], 0).shape == (0,)


@pytest.mark.parametrize("freq", ["h", "B"])
def test_positions_go_back_before_the_origin(freq):
    times = grid(freq, 20)
    np.testing.assert_array_equal(Calendar(freq).positions(times, times[5]), np.arange(20) - 5)


@settings(max_examples=60, deadline=None)
@given(
    freq=st.sampled_from(INFERRED),
    seed=st.integers(0, 2**32 - 1),
    keep=st.floats(0.6, 1.0),
    year=st.integers(1700, 2200),
)
def test_infers_the_frequency_and_the_positions_under_gaps(freq, seed, keep, year):
    full = grid(freq, 60, f"{year}-01-01")
    times, positions = some(full, seed, keep)
    if np.bincount(np.diff(positions)).argmax() != 1:
        return
    calendar = Calendar.infer([times])
    np.testing.assert_array_equal(calendar.positions(times, times[0]), positions)
    np.testing.assert_array_equal(calendar.after(full[0], 59), full[1:])


@pytest.mark.parametrize(
    "freq",
    ["15min", "h", "D", "2D", "B", "W-WED", "MS", "ME", "2MS", "QS", "QE", "YS", "YE", "QS-FEB"],
)
def test_names_the_frequency_as_people_do(freq):
    assert Calendar.infer([grid(freq, 40)]) == Calendar(freq)


def test_infers_from_all_series_together():
    hours = grid("h", 50)
    sparse = hours[[0, 2, 6]]
    shifted = hours + np.timedelta64(30, "m")
    assert Calendar.infer([sparse, hours, shifted, hours[:1], hours[:0]]).freq == "h"


def test_two_months_are_months_not_31_days():
    assert Calendar.infer([np.array(["2024-01-01", "2024-02-01"], "M8[us]")]).freq == "MS"
    assert Calendar.infer([np.array(["2021-01-31", "2021-02-28"], "M8[us]")]).freq == "ME"


def test_business_days_need_two_weeks_without_a_weekend():
    assert Calendar.infer([grid("B", 5)]).freq == "D"
    assert Calendar.infer([grid("B", 10)]).freq == "D"
    assert Calendar.infer([grid("B", 11)]).freq == "B"
    assert Calendar.infer([grid("B", 11), grid("D", 6)]).freq == "D"


def test_weeks_that_start_on_different_days_are_seven_days():
    assert Calendar.infer([grid("W-SUN", 9), grid("W-MON", 9)]).freq == "7D"


def test_irregular_steps_name_the_pair():
    times = grid("h", 20).copy()
    times[7] += np.timedelta64(3, "m")
    with pytest.raises(DataError, match=r"'a'.*2019-12-30 06:00:00.*2019-12-30 07:03:00.*resample"):
        Calendar.infer([grid("h", 30), times], ["b", "a"])


def test_single_rows_have_no_frequency():
    with pytest.raises(DataError, match="freq must be given"):
        Calendar.infer([grid("h", 1), grid("h", 1)])


@pytest.mark.parametrize(
    ("freq", "time"),
    [
        ("h", "2020-01-01 00:30"),
        ("2h", "2020-01-01 01:00"),
        ("B", "2020-01-04"),
        ("B", "2020-01-03 12:00"),
        ("2B", "2020-01-02"),
        ("MS", "2020-02-02"),
        ("2MS", "2020-02-01"),
    ],
)
def test_off_the_grid(freq, time):
    origin = np.datetime64("2020-01-01", "us")
    times = np.array([origin, np.datetime64(time, "us")])
    assert Calendar(freq).locate(times, origin)[1].tolist() == [True, False]
    with pytest.raises(DataError, match=rf"of series 'north'.*{freq}.*2020-01-01.*{time}"):
        Calendar(freq).positions(times, origin, "north")


def test_an_origin_off_the_grid_is_named():
    sunday = np.datetime64("2024-01-07", "us")
    with pytest.raises(DataError, match=r"'B', got 2024-01-07"):
        Calendar("B").positions(np.array([sunday, sunday + np.timedelta64(1, "D")]), sunday)
    with pytest.raises(DataError, match=r"'B', got 2024-01-07"):
        Calendar("B").after(sunday, 3)
    with pytest.raises(DataError, match=r"'B', got 2024-01-07"):
        Calendar("B").positions(np.array(["2024-01-08"], "M8[us]"), sunday)


def test_origins_may_differ_from_time_to_time():
    times, origins = grid("MS", 12)[[3, 5, 11]], grid("MS", 12)[[0, 5, 1]]
    positions, on_grid = Calendar("MS").locate(times, origins)
    assert positions.tolist() == [3, 0, 10]
    assert on_grid.all()
    np.testing.assert_array_equal(Calendar("MS").at(origins, positions), times)


def test_keeps_the_time_of_day_of_the_origin():
    close = np.datetime64("2024-03-28T17:30", "us")
    assert str(Calendar("B").after(close, 2)[1]) == "2024-04-01T17:30:00.000000"


def test_the_calendar_ends_with_the_year_9999():
    with pytest.raises(DataError, match="before the year 10000"):
        Calendar("YS").after(np.datetime64("9990-01-01"), 20)


@pytest.mark.parametrize("freq", ["", "xx", "-1h", "0h", "bh", "10ns", None, 3])
def test_refuses_what_is_no_frequency(freq):
    with pytest.raises(ParameterError, match="freq must be a pandas frequency"):
        Calendar(freq)


@pytest.mark.parametrize(("freq", "advice"), [("H", "mean h"), ("M", "use 'ME'")])
def test_old_aliases_get_the_new_one(freq, advice):
    with pytest.raises(ParameterError, match=advice):
        Calendar(freq)


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        ("h", 24), ("15min", 96), ("min", 1440), ("6h", 4), ("7h", 1), ("10s", 360), ("10ms", 6000),
        ("D", 7), ("24h", 7), ("2D", 1), ("7D", 52), ("B", 5), ("W", 52), ("W-WED", 52), ("2W", 26),
        ("MS", 12), ("ME", 12), ("2MS", 6), ("QS", 4), ("QE-FEB", 4), ("YS", 1), ("YE", 1),
        ("SMS", 24),
    ],
)  # fmt: skip
def test_season(freq, season):
    assert Calendar(freq).season == season


@pytest.mark.parametrize(
    ("freq", "cycles"),
    [
        ("15min", ["hour_of_day", "day_of_week", "day_of_year", "day_of_year_2"]),
        ("D", ["day_of_week", "day_of_year", "day_of_year_2"]),
        ("B", ["day_of_week", "day_of_year", "day_of_year_2"]),
        ("W", ["day_of_year", "day_of_year_2"]),
        ("MS", ["month_of_year"]),
        ("QE", ["month_of_year"]),
        ("YS", []),
        ("12MS", []),
        ("365D", ["day_of_week"]),
    ],
)
def test_features_are_the_cycles_that_the_frequency_sees(freq, cycles):
    calendar = Calendar(freq)
    assert calendar.feature_names == tuple(f"{c}_{f}" for c in cycles for f in ("sin", "cos"))
    features = calendar.features(grid(freq, 50, "1901-01-01"))
    assert features.shape == (50, 2 * len(cycles))
    assert features.dtype == np.float32
    squares = (features.astype(np.float64) ** 2).reshape(50, -1, 2).sum(2)
    np.testing.assert_allclose(squares, 1, atol=1e-6)


def test_feature_values():
    calendar = Calendar("h")

    def at(time):
        values = calendar.features(np.array([time], "M8[us]"))[0].tolist()
        return dict(zip(calendar.feature_names, values, strict=True))

    assert at("2024-01-01T06:00")["hour_of_day_sin"] == pytest.approx(1)
    assert at("2024-01-01T18:00")["hour_of_day_sin"] == pytest.approx(-1)
    monday, sunday, before_1970 = at("2024-01-01"), at("2024-01-07"), at("1969-12-29")
    assert monday["day_of_week_sin"] == before_1970["day_of_week_sin"] == 0
    assert sunday["day_of_week_sin"] == pytest.approx(np.sin(2 * np.pi * 6 / 7))
    assert at("2023-07-02T12:00")["day_of_year_cos"] == pytest.approx(-1)
    assert at("2023-07-02T12:00")["day_of_year_2_cos"] == pytest.approx(1)
    months = Calendar("MS").features(np.array(["2024-04-01", "1969-10-01"], "M8[us]"))
    np.testing.assert_allclose(months[:, 0], [1, -1], atol=1e-6)


def test_features_are_smooth_over_new_year():
    times = np.array(["2023-12-31T23:59", "2024-01-01T00:00"], "M8[us]")
    yearly = Calendar("min").features(times)[:, 4:]
    assert np.abs(yearly[1] - yearly[0]).max() < 1e-4


@pytest.mark.parametrize(
    "value",
    [
        "2014-01-01 06:00:00",
        "2014-01-01T06",
        np.datetime64("2014-01-01T06:00"),
        datetime.datetime(2014, 1, 1, 6),
        pd.Timestamp("2014-01-01 06:00"),
    ],
)
def test_a_time_given_by_a_user(value):
    assert as_time(value, "start") == np.datetime64("2014-01-01T06:00")


def test_a_day_month_or_year_given_by_a_user_is_its_beginning():
    for text in ("2014-01-01", "2014-01", "2014", datetime.date(2014, 1, 1)):
        assert as_time(text, "start") == np.datetime64("2014-01-01")


@pytest.mark.parametrize(
    "value",
    [
        *("now", "today", "1", "-5", "20140101", "2014-13-01", "01.07.2014", "2014-01-01T06Z", ""),
        *(None, 20140101, 3.5, True, np.int64(7)),
    ],
)
def test_what_is_no_time(value):
    with pytest.raises(
        ParameterError, match=f"start must be a time such as .*, got {re.escape(repr(value))}"
    ):
        as_time(value, "start")


def test_a_time_with_a_zone_is_refused():
    zoned = pd.Timestamp("2014-01-01", tz="Europe/Berlin")
    for value in (zoned, zoned.to_pydatetime()):
        with pytest.raises(ParameterError, match="without zone, got"):
            as_time(value, "start")


@pytest.mark.parametrize(
    ("days", "cycles"),
    [
        (1.9, set()),
        (2, {"hour_of_day"}),
        (14, {"hour_of_day", "day_of_week"}),
        (729, {"hour_of_day", "day_of_week"}),
        (730, {"hour_of_day", "day_of_week", "day_of_year", "day_of_year_2"}),
    ],
)
def test_features_are_of_cycles_that_training_held_twice(days, cycles):
    calendar, start = Calendar("h"), np.datetime64("2024-01-01", "us")
    ends = np.array([start, start + np.timedelta64(round(24 * days), "h")])
    spanning = calendar.spanning(ends)
    names = {f"{cycle}_{function}" for cycle in cycles for function in ("sin", "cos")}
    assert set(spanning.feature_names) == names
    everything = dict(zip(calendar.feature_names, calendar.features(ends).T, strict=True))
    kept = dict(zip(spanning.feature_names, spanning.features(ends).T, strict=True))
    assert kept.keys() == names
    for name, column in kept.items():
        np.testing.assert_array_equal(column, everything[name])
