from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.rolling import RollingDisplay

pytest.importorskip("matplotlib")
from matplotlib.image import imread

TIMES = np.datetime64("2024-01-01") + np.arange(50)


def make_display(count=2, **changes) -> RollingDisplay:
    random = np.random.default_rng(0)
    series = {f"stock {index}": tuple(random.random((2, 50))) for index in range(count)}
    parts = {"times": TIMES, "series": series, "ylabel": "volatility (%)", "title": "Next day"}
    return RollingDisplay(**{**parts, **changes})


def test_every_series_is_drawn_at_its_values():
    display = make_display()
    axes = display.plot().axes
    assert [ax.get_title(loc="left") for ax in axes] == ["stock 0", "stock 1"]
    for ax, pair in zip(axes, display.series.values(), strict=True):
        assert [line.get_label() for line in ax.lines] == ["measured", "forecast"]
        for line, values in zip(ax.lines, pair, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), values)


def test_at_most_six_are_drawn_and_the_others_counted():
    figure = make_display(count=8).plot()
    assert len(figure.axes) == 6
    assert figure.get_supxlabel() == "6 of 8 series shown, 2 left out"


def test_it_is_saved_as_picture_and_page(tmp_path):
    pytest.importorskip("plotly")
    display = make_display()
    display.save(tmp_path / "next.png")
    assert imread(tmp_path / "next.png").std() > 0.05
    display.save(tmp_path / "next.html")
    text = (tmp_path / "next.html").read_text()
    assert "stock 1" in text
    assert "volatility (%)" in text


@pytest.mark.parametrize("series", [{}, {"a": (np.ones(50), np.ones(49))}])
def test_series_must_fit(series):
    with pytest.raises(ParameterError, match="series"):
        make_display(series=series)
