import datetime
import decimal
import gzip
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.frames import Columns, read_frame, to_panel
from grukit.data.synthetic import seasonal_series

# Without the time, which would give the tests another name in every process.
ZIPPED = gzip.compress(b"ds,y\n" + b"2024-01-01,1\n" * 999, mtime=0)
ROLES = Columns(past=("wind",), future=("promo", "sky"), static=("kind", "height"))


def table():
    """Two stations, one with a gap and missing values, of every type of column."""
    frame = pd.DataFrame(seasonal_series(count=2, length=30))
    frame["wind"] = np.arange(60)
    frame["sky"] = np.tile(["clear", "cloudy", "rain"], 20)
    frame["height"] = frame["unique_id"].map({"series_0": 12.5, "series_1": 300.0})
    frame.loc[3, ["y", "wind"]] = np.nan
    frame.loc[[7, 8], "sky"] = None
    frame["promo"] = frame["promo"] > 0
    return frame.drop(index=[40, 41, 45]).reset_index(drop=True)


def hourly(count=4, **columns):
    times = pd.date_range("2024-01-01", periods=count, freq="h")
    return pd.DataFrame({"ds": times, "y": np.arange(count) * 1.0} | columns)


def daily(*texts, **columns):
    return pd.DataFrame({"ds": list(texts), "y": np.arange(len(texts)) * 1.0} | columns)


def assert_same(first, second):
    assert (first.calendar, first.columns, first.ids) == (
        second.calendar,
        second.columns,
        second.ids,
    )
    assert first.report == second.report
    for name in ("offsets", "times", "target"):
        left, right = getattr(first, name), getattr(second, name)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
    for name in ("covariates", "static"):
        left, right = getattr(first, name), getattr(second, name)
        assert list(left) == list(right)
        for column in left:
            assert left[column].dtype == right[column].dtype
            np.testing.assert_array_equal(left[column], right[column])


def test_lays_series_on_the_grid():
    panel = to_panel(table(), ROLES)
    assert panel.calendar.freq == "h"
    assert panel.ids == ("series_0", "series_1")
    assert panel.offsets.tolist() == [0, 30, 60]
    hours = np.arange("2024-01-01T00", "2024-01-02T06", dtype="M8[h]").astype("M8[us]")
    np.testing.assert_array_equal(panel.times, np.tile(hours, 2))
    whole = seasonal_series(count=2, length=30)
    gaps = [40, 41, 45]
    known = np.delete(np.arange(60), [3, *gaps])
    np.testing.assert_array_equal(panel.target[known], whole["y"][known])
    assert np.isnan(panel.target[[3, *gaps]]).all()
    assert set(panel.covariates) == {"wind", "promo", "sky"}
    assert panel.covariates["promo"].dtype == np.float64
    assert panel.covariates["sky"][6:10].tolist() == ["clear", None, None, "clear"]
    assert panel.covariates["sky"][gaps].tolist() == [None] * 3
    assert panel.static["kind"].tolist() == ["calm", "lively"]
    assert panel.static["height"].tolist() == [12.5, 300.0]


def test_report_counts_what_was_missing():
    report = to_panel(table(), ROLES).report
    assert (report.rows, report.added) == (57, 3)
    assert report.missing == {"y": 4, "wind": 4, "promo": 3, "sky": 5}
    assert str(report) == ("57 rows, 3 added for gaps; missing values: y 4, wind 4, promo 3, sky 5")
    assert str(to_panel(hourly()).report) == "4 rows, no gaps; missing values: none"


@pytest.mark.parametrize("order", ["shuffled", "reversed"])
def test_the_order_of_rows_makes_no_difference(order):
    frame = table()
    rows = np.arange(len(frame))[::-1]
    if order == "shuffled":
        rows = np.random.default_rng(0).permutation(len(frame))
    assert_same(to_panel(frame.iloc[rows], ROLES), to_panel(frame, ROLES))


def pandas_nullable(frame):
    return frame.convert_dtypes()


def pandas_categories(frame):
    return frame.astype({"sky": "category", "kind": "category", "unique_id": "category"})


def pandas_arrow(frame):
    return frame.convert_dtypes(dtype_backend="pyarrow")


def pandas_objects(frame):
    return frame.astype(object)


def pandas_seconds(frame):
    return frame.astype({"ds": "datetime64[s]"})


def pandas_text_times(frame):
    return frame.assign(ds=frame["ds"].dt.strftime("%Y-%m-%d %H:%M"))


def polars(frame):
    return pl.from_pandas(frame)


def polars_enum(frame):
    return polars(frame).with_columns(pl.col("sky").cast(pl.Enum(["rain", "cloudy", "clear"])))


def arrow(frame):
    return pa.Table.from_pandas(frame, preserve_index=False)


def arrow_dictionary(frame):
    table = arrow(frame)
    at = table.column_names.index("sky")
    return table.set_column(at, "sky", table["sky"].combine_chunks().dictionary_encode())


@pytest.mark.parametrize(
    "convert",
    [
        pandas_nullable,
        pandas_categories,
        pandas_arrow,
        pandas_objects,
        pandas_seconds,
        pandas_text_times,
        polars,
        polars_enum,
        arrow,
        arrow_dictionary,
        read_frame,
    ],
)
def test_every_kind_of_frame_gives_the_same_panel(convert):
    assert_same(to_panel(convert(table()), ROLES), to_panel(table(), ROLES))


def test_the_comparison_of_panels_can_fail():
    wrong = table()
    wrong.loc[20, "wind"] += 1
    with pytest.raises(AssertionError):
        assert_same(to_panel(wrong, ROLES), to_panel(table(), ROLES))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.parquet", "A.CSV"])
def test_every_kind_of_file_gives_the_same_panel(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        table().to_parquet(path)
    else:
        table().to_csv(path, index=False, sep="\t" if "tsv" in name else ",")
    assert_same(to_panel(path, ROLES), to_panel(table(), ROLES))
    assert_same(to_panel(str(path), ROLES), to_panel(table(), ROLES))


@pytest.mark.parametrize("convert", [pd.DataFrame.copy, polars, arrow, pandas_objects])
def test_the_users_frame_stays_as_it_is(convert):
    frame, before = convert(table()), convert(table())
    panel = to_panel(frame, ROLES)
    panel.target[:] = -1
    panel.covariates["wind"][:] = -1
    panel.static["height"][:] = -1
    assert frame.equals(before)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=4),
    freq=st.sampled_from(["15min", "D", "B", "MS", "QE"]),
)
def test_removed_rows_come_back_as_missing(seed, lengths, freq):
    random = np.random.default_rng(seed)
    parts, kept = [], []
    for s, length in enumerate(lengths):
        times = pd.date_range(f"20{random.integers(10, 30)}-02-01", periods=length, freq=freq)
        stay = random.random(length) < 0.7
        stay[[0, -1]] = True
        y = random.standard_normal(length)
        parts.append(pd.DataFrame({"unique_id": s, "ds": times, "y": y})[stay])
        kept.append((times.to_numpy(), np.where(stay, y, np.nan)))
    panel = to_panel(pd.concat(parts).sample(frac=1, random_state=seed), freq=freq)
    assert panel.lengths.tolist() == lengths
    for s, (times, y) in enumerate(kept):
        np.testing.assert_array_equal(panel.times[panel.rows(s)], times)
        np.testing.assert_array_equal(panel.target[panel.rows(s)], y)
    removed = sum(lengths) - sum(map(len, parts))
    assert (panel.report.added, panel.report.missing) == (removed, {"y": removed})


def test_series_keep_their_own_start_and_phase():
    late = hourly().assign(unique_id="b", ds=lambda f: f["ds"] + pd.Timedelta("5h30min"))
    panel = to_panel(pd.concat([hourly().assign(unique_id="a"), late]))
    assert panel.times[panel.offsets[:-1]].astype(str).tolist() == [
        "2024-01-01T00:00:00.000000",
        "2024-01-01T05:30:00.000000",
    ]


def test_ids_are_text_in_the_order_of_text(tmp_path):
    frame = pd.concat([hourly().assign(unique_id=number) for number in (10, 9, 200)])
    assert to_panel(frame).ids == ("10", "200", "9")
    frame["unique_id"] = frame["unique_id"].map({10: "007", 9: "NA", 200: " x"})
    frame.to_csv(tmp_path / "ids.csv", index=False)
    assert to_panel(tmp_path / "ids.csv").ids == to_panel(frame).ids == (" x", "007", "NA")


def test_a_table_without_ids_is_one_series():
    for columns in (None, Columns(series=None)):
        panel = to_panel(hourly(), columns)
        assert panel.ids == ("",)
        assert panel.columns.series is None
    named = hourly().assign(unique_id=["a", "a", "b", "b"])
    assert to_panel(named, Columns(series=None)).ids == ("",)


def test_columns_of_any_name():
    frame = hourly().rename(columns={"ds": "time_hour", "y": "temp"}).assign(origin="JFK")
    panel = to_panel(frame, Columns("time_hour", "temp", "origin"))
    assert panel.ids == ("JFK",)
    assert panel.report.missing == {"temp": 0}


def test_constant_series_and_integers_work():
    assert to_panel(hourly(y=np.full(4, 7, np.int16))).target.tolist() == [7.0] * 4


def test_known_future_tables_need_no_target():
    frame = table()[["unique_id", "ds", "promo", "sky"]]
    panel = to_panel(frame, ROLES, freq="h", target_required=False)
    assert panel.columns.covariates == ("promo", "sky")
    assert panel.columns.static == ()
    assert np.isnan(panel.target).all()
    assert panel.report.missing == {"promo": 3, "sky": 5}
    with pytest.raises(DataError, match="must have a column 'y'"):
        to_panel(frame, ROLES)
    with pytest.raises(DataError, match="must have a column 'promo'"):
        to_panel(frame.drop(columns="promo"), ROLES, target_required=False)


def test_a_column_that_is_missing_may_have_another_name():
    frame = hourly().rename(columns={"ds": "When"})
    with pytest.raises(DataError, match=r"if the time has another name, give it as time$"):
        to_panel(frame)
    with pytest.raises(DataError, match=r"if the series has another name, give it as series$"):
        to_panel(hourly(), Columns(series="station"))
    with pytest.raises(DataError, match=r"column 'Y', got 'ds', 'y'; did you mean 'y'.$"):
        to_panel(hourly(), Columns(target="Y"))
    with pytest.raises(DataError, match=r"column 'wind', got 'ds', 'y'$"):
        to_panel(hourly(), Columns(past=("wind",)))


def test_cuts():
    panel = to_panel(table(), ROLES)
    cut = panel.before("2024-01-01T10")
    assert cut.lengths.tolist() == [10, 10]
    np.testing.assert_array_equal(cut.target, np.r_[panel.target[:10], panel.target[30:40]])
    np.testing.assert_array_equal(cut.covariates["sky"][:10], panel.covariates["sky"][:10])
    for start in (np.datetime64("2024-01-01T10"), pd.Timestamp("2024-01-01 10:00")):
        assert panel.before(start).lengths.tolist() == [10, 10]
    one = panel.series("series_1")
    assert (one.ids, len(one), one.static["height"].tolist()) == (("series_1",), 1, [300.0])
    np.testing.assert_array_equal(one.target, panel.target[30:])


def test_a_cut_leaves_out_series_without_rows():
    late = hourly().assign(unique_id="b", ds=lambda f: f["ds"] + pd.Timedelta("2D"), kind="k")
    both = pd.concat([hourly().assign(unique_id="a", kind="j"), late])
    panel = to_panel(both, Columns(static=("kind",)))
    cut = panel.before("2024-01-02")
    assert (cut.ids, cut.static["kind"].tolist(), cut.offsets.tolist()) == (("a",), ["j"], [0, 4])
    with pytest.raises(DataError, match="before 2023-01-01, got 2024-01-01 to 2024-01-03 03:00:00"):
        panel.before("2023-01-01")
    with pytest.raises(ParameterError, match=r"got 'A'; did you mean 'a'"):
        panel.series("A")


class TestTimes:
    @pytest.mark.parametrize(
        ("texts", "freq", "first"),
        [
            (["2024-01-31", "2024-02-01"], "D", "2024-01-31"),
            (["20240131", "20240201"], "D", "2024-01-31"),
            (["2024-01", "2024-02"], "MS", "2024-01-01"),
            (["31.01.2024 10:00", "31.01.2024 11:00"], "h", "2024-01-31 10:00"),
            (["01/30/2024", "01/31/2024"], "D", "2024-01-30"),
            (["30/01/2024", "31/01/2024"], "D", "2024-01-30"),
            (["12/01/2024", "13/01/2024"], "D", "2024-01-12"),
            (["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"], "h", "2024-01-01"),
            (
                ["2024-01-01 10:00:00.5+01", "2024-01-01 11:00:00.5+01"],
                "h",
                "2024-01-01 09:00:00.5",
            ),
        ],
    )
    def test_text(self, texts, freq, first):
        panel = to_panel(daily(*texts))
        assert panel.calendar.freq == freq
        assert panel.times[0] == np.datetime64(first)

    def test_dates_of_python_and_of_frames(self):
        dates = [datetime.date(2024, 1, day) for day in (1, 2, 3)]
        for frame in (pd.DataFrame, pl.DataFrame, pa.table):
            panel = to_panel(frame({"ds": dates, "y": [1.0, 2.0, 3.0]}))
            assert panel.times.astype("M8[D]").tolist() == dates

    @pytest.mark.parametrize("convert", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
    def test_zones_become_utc_within_days_and_local_dates_above(self, convert):
        """Berlin put its clocks forward on 2024-03-31 at 01:00 UTC."""
        hours = pd.date_range("2024-03-31", periods=5, freq="h", tz="Europe/Berlin")
        days = pd.date_range("2024-03-30", periods=4, freq="D", tz="Europe/Berlin")
        within = to_panel(convert(pd.DataFrame({"ds": hours, "y": 1.0})))
        assert within.times.astype("M8[h]").astype(str)[[0, -1]].tolist() == [
            "2024-03-30T23",
            "2024-03-31T03",
        ]
        above = to_panel(convert(pd.DataFrame({"ds": days, "y": 1.0})))
        assert above.times.astype("M8[D]").astype(str).tolist() == [
            "2024-03-30",
            "2024-03-31",
            "2024-04-01",
            "2024-04-02",
        ]
        nine = days.tz_localize(None) + pd.Timedelta("9h")
        nine = convert(pd.DataFrame({"ds": nine.tz_localize("Europe/Berlin"), "y": 1.0}))
        assert to_panel(nine, freq="D").times[0] == np.datetime64("2024-03-30T09")
        midnight = convert(pd.DataFrame({"ds": hours[:1], "y": 1.0}))
        assert to_panel(midnight, freq="h").times[0] == np.datetime64("2024-03-30T23")

    @pytest.mark.parametrize("zone", ["America/New_York", "Etc/GMT+5", "America/Port-au-Prince"])
    @pytest.mark.parametrize("convert", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas])
    def test_a_zone_of_any_name_is_read(self, zone, convert):
        hours = pd.date_range("2024-03-01", periods=3, freq="h", tz=zone)
        panel = to_panel(convert(pd.DataFrame({"ds": hours, "y": 1.0})))
        np.testing.assert_array_equal(panel.times, hours.tz_convert(None).to_numpy())
        days = pd.date_range("2024-03-01", periods=3, freq="D", tz=zone)
        panel = to_panel(convert(pd.DataFrame({"ds": days, "y": 1.0})))
        np.testing.assert_array_equal(panel.times, days.tz_localize(None).to_numpy())

    def test_zones_written_as_text_are_the_same(self):
        for freq in ("h", "D"):
            times = pd.date_range("2024-03-30", periods=50, freq=freq, tz="Europe/Berlin")
            frame = pd.DataFrame({"ds": times, "y": 1.0})
            assert_same(to_panel(frame.assign(ds=frame["ds"].astype(str))), to_panel(frame))

    @pytest.mark.parametrize(
        ("texts", "message"),
        [
            (["2024-01-01", "tomorrow"], r"'ds' must be dates .*'tomorrow' in row 2"),
            (["2024-01-01", "2024-01-01x", None], "'2024-01-01x' in row 2"),
            (["2024-01-12", "2024-13-01"], "'2024-13-01' in row 2"),
            (["30/01/2024", "31/01/2024", "32/01/2024"], "'32/01/2024' in row 3"),
            (["10", "11"], "'10' in row 1"),
            (["10:00", "11:00"], "'10:00' in row 1"),
            (["2024-01-01", "today"], "'today' in row 2"),
            (["01/02/2024", "02/02/2024"], "one meaning, got '01/02/2024'.*2024-01-02.*2024-02-01"),
            (["2024-01-01 00:00+01:00", "2024-01-02 00:00"], "time zone or all none"),
            (["2024-01-01", None, None], r"must not be missing, got none in rows 2, 3 of"),
            ([None, None], r"must not be missing, got none in rows 1, 2 of"),
        ],
    )
    def test_refused_text(self, texts, message):
        with pytest.raises(DataError, match=message):
            to_panel(daily(*texts))

    @pytest.mark.parametrize("times", [[1, 2], [2023, 2024], [1.5, 2.5], [True, False]])
    @pytest.mark.parametrize("kind", [None, object])
    def test_refused_numbers(self, times, kind):
        with pytest.raises(DataError, match=r"'ds' must be dates.*convert them first"):
            to_panel(pd.DataFrame({"ds": pd.Series(times, dtype=kind), "y": [1, 2]}))

    def test_refused_periods_and_missing_times(self):
        with pytest.raises(DataError, match=r"got period\[M\]"):
            to_panel(daily(*pd.period_range("2024-01", periods=3, freq="M")))
        frame = hourly(10)
        frame.loc[[1, 2, 3, 4, 5, 6], "ds"] = pd.NaT
        with pytest.raises(DataError, match="got none in rows 2, 3, 4, 5, 6 and 1 more"):
            to_panel(frame)

    def test_years_out_of_reach(self):
        times = np.array(["12000-01-01", "12000-01-02"], "M8[s]")
        with pytest.raises(DataError, match=r"years 1 to 9999, got 12000-01-01.*rows 1, 2"):
            to_panel(pd.DataFrame({"ds": times, "y": [1, 2]}))


class TestRefused:
    def test_duplicate_times(self):
        frame = table()
        with pytest.raises(
            DataError, match=r"of series 'series_0'.* once, got 2024-01-01 05:00:00"
        ):
            to_panel(pd.concat([frame, frame.iloc[[5]]]), ROLES)
        with pytest.raises(DataError, match=r"got 2024-01-01 in 3 rows, and 6 more rows like it"):
            to_panel(pd.concat([hourly()] * 3))

    def test_missing_column(self):
        with pytest.raises(DataError, match=r"a column 'y', got 'ds', 'Y'; did you mean 'Y'\?"):
            to_panel(hourly().rename(columns={"y": "Y"}))
        with pytest.raises(DataError, match="a column 'station'"):
            to_panel(hourly(), Columns(series="station"))

    @pytest.mark.parametrize("bad", [np.inf, -np.inf])
    @pytest.mark.parametrize("column", ["y", "wind", "height"])
    def test_infinite_values(self, column, bad):
        frame = table()
        frame.loc[len(frame) - 2, column] = bad
        message = (
            f"{column!r} must be finite.*got {bad} at 2024-01-02 04:00:00 of series 'series_1'"
        )
        with pytest.raises(DataError, match=message):
            to_panel(frame, ROLES)

    def test_text_as_target(self):
        message = "'y' must be numbers, got '2,5' in row 2 of the data; write decimals with a point"
        with pytest.raises(DataError, match=message):
            to_panel(hourly(y=["1", "2,5", "3", "4"]))
        with pytest.raises(DataError, match=r"got 'n\.d\.' in row 2 of the data$"):
            to_panel(hourly(y=["1", "n.d.", "3", "4"]))
        with pytest.raises(DataError, match=r"'y' must be numbers, .*got Datetime"):
            to_panel(hourly(y=pd.date_range("2024", periods=4)))
        assert to_panel(hourly(y=["1", "2.5", None, "4"])).report.missing == {"y": 1}

    def test_mixed_covariates(self):
        for value in ("a", datetime.date(2024, 1, 1), [1]):
            mixed = pd.Series([1, None, value, 2], dtype=object)
            with pytest.raises(DataError, match=r"'x' must be numbers, text or.*in row 3 of"):
                to_panel(hourly(x=mixed), Columns(past=("x",)))
        with pytest.raises(DataError, match="'x' must be numbers, text or"):
            to_panel(hourly(x=pd.date_range("2024", periods=4)), Columns(past=("x",)))

    def test_series_without_a_target(self):
        frame = table()
        frame.loc[frame["unique_id"] == "series_1", "y"] = np.nan
        with pytest.raises(
            DataError, match="'y' of series 'series_1' must have at least one value"
        ):
            to_panel(frame, ROLES)

    def test_no_rows(self):
        with pytest.raises(DataError, match="at least one row"):
            to_panel(hourly().head(0))

    @pytest.mark.parametrize("empty", [None, ""])
    def test_missing_ids(self, empty):
        with pytest.raises(DataError, match="must not be missing or empty, got none in row 2"):
            to_panel(hourly(unique_id=["a", empty, "a", "b"]))

    def test_static_columns_that_vary(self):
        frame = table()
        frame.loc[50, "kind"] = "calm"
        with pytest.raises(DataError, match=r"'kind' of series 'series_1'.*'lively', 'calm'"):
            to_panel(frame, ROLES)
        frame = table()
        frame.loc[2, "height"] = 13.0
        with pytest.raises(DataError, match=r"'height' of series 'series_0'.*12\.5, 13\.0"):
            to_panel(frame, ROLES)

    def test_irregular_steps(self):
        frame = hourly(20)
        frame.loc[9, "ds"] += pd.Timedelta("7min")
        with pytest.raises(DataError, match=r"got 2024-01-01 08:00:00 followed by .*09:07:00"):
            to_panel(frame)
        message = r"of series 'a'.*'h' that starts at 2024-01-01, got 2024-01-01 09:07:00"
        with pytest.raises(DataError, match=message):
            to_panel(frame.assign(unique_id="a"), freq="h")

    def test_one_wrong_year(self):
        frame = hourly(10)
        frame.loc[9, "ds"] = pd.Timestamp("2240-01-01")
        message = r"10 rows over 1,893,\d+ steps of 'h'.*2024-01-01 08:00:00 to 2240-01-01"
        with pytest.raises(DataError, match=message):
            to_panel(frame)
        frame.loc[9, "ds"] = pd.Timestamp("2024-03-01")
        assert to_panel(frame).report.added == 60 * 24 + 1 - 10

    def test_one_wrong_year_in_each_of_many_series(self):
        times = pd.to_datetime(["2024-01-01 00:00", "2024-01-01 01:00", "2104-01-01 00:00"])
        frames = [pd.DataFrame({"unique_id": s, "ds": times, "y": 1.0}) for s in range(50)]
        with pytest.raises(DataError, match="3 rows over 701,257 steps"):
            to_panel(pd.concat(frames))


def test_values_of_rare_types():
    exact = [decimal.Decimal("1.5"), None, decimal.Decimal(2)]
    flags = pd.Series([True, None, False], dtype=object)
    frame = hourly(3, y=pd.Series(exact, dtype=object), flag=flags, empty=[None] * 3)
    panel = to_panel(frame, Columns(past=("flag", "empty")))
    np.testing.assert_array_equal(panel.target, [1.5, np.nan, 2])
    np.testing.assert_array_equal(panel.covariates["flag"], [1, np.nan, 0])
    np.testing.assert_array_equal(panel.covariates["empty"], [np.nan] * 3)
    for library in (pl.DataFrame, pa.table):
        columns = {"ds": frame["ds"].tolist(), "y": exact, "empty": [None] * 3}
        panel = to_panel(library(columns), Columns(past=("empty",)))
        np.testing.assert_array_equal(panel.target, [1.5, np.nan, 2])
        np.testing.assert_array_equal(panel.covariates["empty"], [np.nan] * 3)


def test_static_values_may_be_known_in_some_rows_only():
    columns = Columns(static=("k", "z"))
    panel = to_panel(hourly(k=[None, "a", None, "a"], z=[np.nan, np.nan, 3, 3]), columns)
    assert (panel.static["k"].tolist(), panel.static["z"].tolist()) == (["a"], [3.0])
    panel = to_panel(hourly(k=[None, "a", None, "a"], z=[np.nan] * 4), columns)
    assert np.isnan(panel.static["z"]).all()


class TestColumns:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"past": ("y",)}, r"column 'y' must be one only, got \['target', 'past'\]"),
            ({"past": ("x", "x")}, r"got \['past', 'past'\]"),
            ({"series": "ds"}, r"got \['time', 'series'\]"),
            ({"past": "wind"}, "past must be a list or tuple"),
            ({"static": ("",)}, "static must be"),
            ({"time": ""}, "time must be a non-empty string"),
            ({"target": None}, "target must be a non-empty string"),
        ],
    )
    def test_refused(self, wrong, message):
        with pytest.raises(ParameterError, match=message):
            Columns(**wrong)

    def test_lists_become_tuples(self):
        assert Columns(future=["a", "b"]) == Columns(future=("a", "b"))


class TestFiles:
    def test_missing_file_names_its_neighbours(self, tmp_path):
        (tmp_path / "weather.csv").write_text("ds,y\n")
        message = rf"must exist, got {tmp_path}/weathr.csv; did you mean 'weather.csv'\?"
        with pytest.raises(DataError, match=message):
            read_frame(tmp_path / "weathr.csv")
        with pytest.raises(DataError, match=r"the folder .* does not exist"):
            read_frame(tmp_path / "nowhere" / "weather.csv")

    def test_relative_paths_are_shown_whole(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(DataError, match=f"got {tmp_path}/a.csv"):
            read_frame("a.csv")

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.xlsx", b"PK", r"must end in one of \.csv, .*\.parquet"),
            ("a.csv", b"", "empty file"),
            ("a.csv", b"\n\n", "No columns"),
            ("a.csv", b"ds,y,y\n2024-01-01,1,2\n", "name every column once, got 'y' more"),
            ("a.csv", b'"ds","a,b","a,b"\n2024-01-01,1,2\n', "got 'a,b' more"),
            ("a.tsv", b"ds\ty\ty\n", "got 'y' more"),
            ("a.csv", b"ds,y\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
            ("a.csv", b"ds,y\n1,2,3\n1,2,3\n", "rows longer than the header"),
            ("a.csv", b'ds,y\n"1,2\n', "EOF inside string"),
            ("a.csv", b"ds;y\n2024-01-01;1,5\n", r"by ',', got ';' .*'ds;y'.*sep=';'.*decimal=','"),
            ("a.csv", b"ds\ty\n2024-01-01\t1\n", r"must separate its columns by ',', got '\\t'"),
            ("a.tsv", b"ds,y\n2024-01-01,1\n", r"must separate its columns by '\\t', got ','"),
            ("a.csv", bytes(range(256)), "UTF-8"),
            ("a.csv.gz", b"no gzip", "Not a gzipped file"),
            ("a.csv.gz", ZIPPED[:50], "ended before"),
            ("a.csv.gz", ZIPPED[:10] + b"\xff" * 40, "must be a delimited"),
            ("a.parquet", b"PAR1", "must be a Parquet file"),
        ],
    )
    def test_files_that_cannot_be_used(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=message):
            to_panel(tmp_path / name)

    def test_a_byte_order_mark_is_no_part_of_the_first_name(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfy,ds\nNA,2024-01-01\n2,2024-01-02\n")
        panel = to_panel(tmp_path / "a.csv")
        np.testing.assert_array_equal(panel.target, [np.nan, 2])

    def test_what_is_no_frame(self):
        with pytest.raises(DataError, match=r"got builtins\.dict"):
            read_frame({"ds": [1]})
        with pytest.raises(DataError, match="LazyFrame; collect"):
            read_frame(pl.LazyFrame({"ds": [1]}))

    def test_frames_with_a_column_twice(self):
        with pytest.raises(DataError, match="got 'a' more than once"):
            read_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
        with pytest.raises(DataError, match="got 'a' more than once"):
            read_frame(pa.table([[1], [2]], names=["a", "a"]))


def instructions_of(rows: int) -> int:
    """How many instructions Python runs to read two series of so many rows, out of order."""
    times = pd.date_range("2000-01-03", periods=rows, freq="B")
    ids = np.repeat(["a", "b"], rows)
    frame = pd.DataFrame({"unique_id": ids, "ds": np.tile(times, 2), "y": np.ones(2 * rows)})
    frame = frame.sample(frac=0.9, random_state=0)
    count = 0

    def trace(code, event, argument):
        nonlocal count
        code.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        to_panel(frame)
    finally:
        sys.settrace(before)
    return count


def test_no_loop_goes_over_rows():
    instructions_of(10)  # imports what it needs
    few, many = instructions_of(500), instructions_of(5000)
    assert many - few < 5000


@pytest.mark.parametrize(
    ("times", "utc"),
    [
        (["2024-01-30T04:00+01:00", "2024-01-30T05:00+01:00"], True),
        (["2024-01-30T04:00Z", "2024-01-30T05:00Z"], True),
        (["2024-01-30T04:00", "2024-01-30T05:00"], False),
        (["2024-01-30", "2024-01-31"], False),
        (["2024-01-30T00:00+01:00", "2024-01-31T00:00+01:00"], False),
        (pd.date_range("2024-01-30", periods=2, freq="h", tz="Europe/Berlin"), True),
        (pd.date_range("2024-01-30", periods=2, freq="h", tz="America/New_York"), True),
        (pd.date_range("2024-01-30", periods=2, freq="D", tz="Europe/Berlin"), False),
    ],
)
def test_the_report_says_when_times_became_utc(times, utc):
    report = to_panel(pd.DataFrame({"ds": times, "y": [1.0, 2.0]})).report
    assert report.utc is utc
    assert str(report).endswith("times are now UTC") is utc


@pytest.mark.parametrize("stray", ["n.d.", "?", "12,5"])
def test_numbers_with_a_few_strays_are_no_categories(stray):
    values = [str(number) for number in range(40)]
    values[6] = stray
    days = pd.date_range("2024-01-01", periods=40)
    frame = pd.DataFrame({"ds": days, "y": 1.0, "wind": values})
    columns = Columns(past=("wind",))
    with pytest.raises(DataError, match=r"nearly all numbers, such as .* in row 7") as refused:
        to_panel(frame, columns)
    assert repr(stray) in str(refused.value)
    for fine in (frame.wind.astype("category"), [f"kind {v}" for v in values], ["a", "1"] * 20):
        assert to_panel(frame.assign(wind=fine), columns).covariates["wind"].dtype == object
    frame.loc[6, "wind"] = None
    assert to_panel(frame, columns).covariates["wind"][6] is None
