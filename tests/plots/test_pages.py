"""Interactive pages: the numbers are in them, and nothing else is needed to read them."""

from __future__ import annotations

import base64
import json
import re
import sys

import numpy as np
import pytest

from grukit.core.errors import MissingExtra
from grukit.plots.anomaly import AnomalyDisplay
from grukit.plots.forecast import ForecastDisplay
from grukit.results import AnomalyReport, Columns, Forecast

pytest.importorskip("plotly")


def forecast_display(name="JFK", **changes) -> ForecastDisplay:
    times = np.datetime64("2013-12-01T00", "us") + np.arange(40) * np.timedelta64(1, "h")
    values = np.arange(40.0)
    forecast = Forecast(
        series=(name, "LGA"),
        times=np.repeat(times[None, 36:], 2, axis=0),
        levels=(0.025, 0.1, 0.5, 0.9, 0.975),
        values=np.broadcast_to(values[36:, None] + [-2, -1, 0, 1, 2], (2, 4, 5)),
        columns=Columns("station", "hour", "temperature"),
    )
    history = dict.fromkeys(forecast.series, (times[:36], values[:36]))
    return ForecastDisplay(forecast, history, **changes)


def anomaly_display(name="flow") -> AnomalyDisplay:
    scores = np.where(np.arange(60) == 30, 9.0, 1.0)
    report = AnomalyReport(
        np.arange(60), (name, "p"), scores, 5.0, scores > 5, np.tile([0.75, 0.25], (60, 1))
    )
    return AnomalyDisplay(report, np.random.default_rng(0).random((60, 2)), scores > 5)


def traces(path):
    """What the page draws, by name: the x and y of each, and its row."""
    text = path.read_text(encoding="utf-8")
    data = re.search(r"Plotly\.newPlot\(\s*\"grukit\",\s*(\[.*?\])\s*,\s*\{\"", text, re.S)[1]
    found = {}
    for trace in json.loads(data):
        axis = trace.get("yaxis", "y")
        found[trace["name"], axis] = (array(trace["x"]), array(trace["y"]))
    return found


def array(values):
    if not isinstance(values, dict):
        return np.asarray(values)
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])


def test_a_forecast_is_in_its_page(tmp_path):
    display = forecast_display(truth=np.full((2, 4), 7.0))
    display.save(tmp_path / "forecast.html")
    found = traces(tmp_path / "forecast.html")
    names = {name for name, _ in found}
    assert {"history", "median forecast", "truth", "80 % interval", "95 % interval"} <= names
    for row, axis in enumerate(("y", "y2")):
        times, median = found["median forecast", axis]
        np.testing.assert_array_equal(median, [35, *display.forecast.median[row]])
        assert str(times[0]).startswith("2013-12-02T11:00")
        np.testing.assert_array_equal(found["truth", axis][1], [35, 7, 7, 7, 7])
        np.testing.assert_array_equal(found["80 % interval", axis][1][1:], [37, 38, 39, 40])
        np.testing.assert_array_equal(found["80 % interval, from", axis][1][1:], [35, 36, 37, 38])


def test_a_single_series_can_be_chosen(tmp_path):
    forecast_display().save(tmp_path / "forecast.html", series="LGA")
    assert {axis for _, axis in traces(tmp_path / "forecast.html")} == {"y"}


def test_a_report_is_in_its_page(tmp_path):
    display = anomaly_display()
    display.save(tmp_path / "anomalies.html")
    found = traces(tmp_path / "anomalies.html")
    np.testing.assert_array_equal(found["flow", "y"][1], display.values[:, 0])
    np.testing.assert_array_equal(found["p", "y2"][1], display.values[:, 1])
    np.testing.assert_array_equal(found["score", "y3"][1], display.report.scores)
    assert found["alarm", "y3"][0].tolist() == [30]
    assert "alarm: flow, 75 %" in (tmp_path / "anomalies.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [forecast_display, anomaly_display])
def test_a_page_needs_no_network_and_is_the_same_again(tmp_path, make):
    for name in ("one.html", "two.html"):
        make().save(tmp_path / name)
    text = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", text)
    assert len(text) > 1_000_000  # plotly's own script
    assert text == (tmp_path / "two.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [forecast_display, anomaly_display])
def test_names_stay_words(tmp_path, make):
    make("</script><b onclick=x>").save(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<b onclick" not in text
    assert "\\u003cb onclick" not in text


def test_without_plotly_the_cure_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.delitem(sys.modules, "plotly.subplots", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'grukit\[plots\]'"):
        forecast_display().save(tmp_path / "forecast.html")
    assert not list(tmp_path.iterdir())
