"""Forecasts: their parts fit, and come out under the user's names."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import MissingExtra, ParameterError
from grukit.results import Columns, Forecast

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
COLUMNS = Columns(series="station", time="hour", target="celsius")


def make_forecast(**changes) -> Forecast:
    start = np.array(["2013-12-30T00", "2013-12-30T06"], "datetime64[us]")
    centre = np.array([[1.0, 2.0, 3.0], [-5.0, 0.0, 5.0]])
    parts = {
        "series": ("JFK", "LGA"),
        "times": start[:, None] + np.arange(3) * np.timedelta64(1, "h"),
        "levels": LEVELS,
        "values": centre[:, :, None] + np.array([-2.0, -1.0, 0.0, 1.0, 3.0]),
        "columns": COLUMNS,
    }
    return Forecast(**{**parts, **changes})


def test_median_quantile_and_interval_take_their_own_level():
    forecast = make_forecast()
    np.testing.assert_array_equal(forecast.median, [[1, 2, 3], [-5, 0, 5]])
    np.testing.assert_array_equal(forecast.quantile(0.9), forecast.median + 1)
    lower, upper = forecast.interval(0.95)
    np.testing.assert_array_equal(lower, forecast.median - 2)
    np.testing.assert_array_equal(upper, forecast.median + 3)
    lower, upper = forecast.interval(0.8)
    np.testing.assert_array_equal(upper - lower, np.full((2, 3), 2.0))


def test_an_unknown_interval_names_those_there_are():
    with pytest.raises(ParameterError, match=r"one of \(0\.8, 0\.95\), got 0\.5"):
        make_forecast().interval(0.5)
    with pytest.raises(ParameterError, match=r"levels must have 0\.3 among them"):
        make_forecast().quantile(0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series": ("JFK",)}, "times must be of shape"),
        ({"series": ("JFK", "JFK")}, "names that differ"),
        ({"columns": Columns(None, "hour", "celsius")}, "with 2 series"),
        ({"columns": Columns("q0.5", "hour", "celsius")}, "different names"),
        ({"columns": Columns("hour", "hour", "celsius")}, "different names"),
        ({"levels": (0.1, 0.2, 0.3, 0.4, 0.6)}, "0.5 among them"),
        ({"values": np.zeros((2, 3, 4))}, r"of shape \(2, 3, 5\), got \(2, 3, 4\)"),
        ({"values": np.full((2, 3, 5), np.nan)}, "finite, got nan"),
        ({"values": np.broadcast_to([0.0, 1.0, 0.5, 2.0, 3.0], (2, 3, 5))}, "rising along"),
        ({"times": np.full((2, 3), np.datetime64("NaT", "us"))}, "moments"),
        ({"times": np.zeros(2, "datetime64[us]")}, "times must be of shape"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        make_forecast(**changes)


def test_rounding_of_float32_is_no_crossing():
    values = np.broadcast_to(np.float32([1.0, 1.0, 1.0 - 1e-7, 1.0, 1.0]), (2, 3, 5))
    assert make_forecast(values=values).values.dtype == np.float64


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_frames_are_long_with_the_users_names(backend):
    narwhals = pytest.importorskip("narwhals")
    pytest.importorskip(backend)
    frame = narwhals.from_native(make_forecast().to_frame(backend))
    assert frame.columns == [
        *("station", "hour", "celsius"),
        *("q0.025", "q0.1", "q0.5", "q0.9", "q0.975"),
    ]
    assert frame["station"].to_list() == ["JFK"] * 3 + ["LGA"] * 3
    assert frame["hour"].to_numpy().astype("datetime64[h]")[3] == np.datetime64("2013-12-30T06")
    assert frame["celsius"].to_list() == [1, 2, 3, -5, 0, 5]
    assert frame["q0.975"].to_list() == [4, 5, 6, -2, 3, 8]


def test_a_single_series_without_name_has_no_series_column():
    whole = make_forecast()
    single = make_forecast(
        series=("",),
        times=whole.times[:1],
        values=whole.values[:1],
        columns=Columns(None, "hour", "celsius"),
    )
    assert list(single.to_frame().columns)[:2] == ["hour", "celsius"]
    assert single.to_dict()["series"][0]["name"] is None


def test_frames_need_narwhals_and_a_known_backend(monkeypatch):
    with pytest.raises(ParameterError, match="'polars', 'pyarrow', got 'dask'"):
        make_forecast().to_frame("dask")
    monkeypatch.setitem(__import__("sys").modules, "narwhals", None)
    with pytest.raises(MissingExtra, match="forecast"):
        make_forecast().to_frame()


def test_a_forecast_survives_json():
    answer = json.loads(json.dumps(make_forecast().to_dict(), allow_nan=False))
    assert answer["columns"] == {"series": "station", "time": "hour", "target": "celsius"}
    second = answer["series"][1]
    assert second["name"] == "LGA"
    assert second["times"][0] == "2013-12-30T06:00:00"
    assert second["median"] == [-5.0, 0.0, 5.0]
    assert second["quantiles"]["q0.1"] == [-6.0, -1.0, 4.0]
