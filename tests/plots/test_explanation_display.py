from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.explanation import ExplanationDisplay
from grukit.results import Explanation

HOURS = np.datetime64("2024-01-01", "us") + np.arange(8).astype("timedelta64[h]")


@pytest.fixture
def explanation():
    rng = np.random.default_rng(0)
    names = ["y", "wind", *"abcde"]
    return Explanation(
        series=("JFK", "LGA"),
        step=None,
        level=0.5,
        forecast=np.array([4.0, 5.0]),
        start=np.array([3.0, 2.0]),
        past_times=np.stack([HOURS[:5]] * 2),
        future_times=np.stack([HOURS[5:]] * 2),
        past={name: size * rng.random((2, 5)) for size, name in enumerate(names, start=1)},
        future={"wind": 100 * np.ones((2, 3))},
        static={"kind": np.array([0.25, -0.5])},
        unexplained=np.zeros(2),
    )


def test_rows_are_the_largest_columns_in_order(explanation):
    figure = ExplanationDisplay(explanation, series="LGA").plot()
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert len(titles) == 6
    totals = explanation.totals()
    wanted = sorted((name for name in totals if name != "kind"), key=lambda n: -totals[n][1])
    assert [title.split()[0] for title in titles] == wanted[:6]
    assert titles[0] == f"wind {totals['wind'][1]:+.3g}"


def test_a_line_runs_through_the_past_and_ahead(explanation):
    figure = ExplanationDisplay(explanation).plot()
    wind, other = figure.axes[0].lines[0], figure.axes[1].lines[0]
    assert len(wind.get_xdata()) == 8
    np.testing.assert_allclose(wind.get_ydata()[5:], 100)
    assert len(other.get_xdata()) == 5


def test_the_words_around_it(explanation):
    figure = ExplanationDisplay(explanation, unit="°C").plot()
    heading = figure.legends[0].get_title().get_text()
    assert heading == "Forecast of JFK, mean of all steps: 4, from 3"
    assert figure.get_supxlabel() == "kind +0.25; 6 of 7 columns shown, 1 left out"
    assert figure.axes[0].get_ylabel() == "°C"


@pytest.mark.parametrize("name", ["why.png", "why.svg", "why.html"])
def test_it_is_saved(explanation, tmp_path, name):
    path = tmp_path / name
    ExplanationDisplay(explanation).save(path)
    assert path.stat().st_size > 5000
    if name.endswith("html"):
        assert "wind" in path.read_text(encoding="utf-8")


def test_an_unknown_series_is_refused(explanation):
    with pytest.raises(ParameterError, match=r"series must be among .*, got 'EWR'"):
        ExplanationDisplay(explanation, series="EWR")
