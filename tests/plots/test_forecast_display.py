from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from grukit.core.errors import MissingExtra, ParameterError
from grukit.plots.forecast import ForecastDisplay
from grukit.results import Columns, Forecast
from grukit.results.distributions import Bernoulli

pytest.importorskip("matplotlib")
from matplotlib import colors, dates
from matplotlib.figure import Figure
from matplotlib.image import imread

STEPS = 12
OFFSETS = np.array([-4.0, -2.0, 0.0, 2.0, 5.0])


def make_display(series=("JFK", "LGA"), with_truth=True, **changes) -> ForecastDisplay:
    times = np.datetime64("2013-12-01T00", "us") + np.arange(100) * np.timedelta64(1, "h")
    signal = np.sin(np.arange(100) / 4) * 5 + 10 * np.arange(1, len(series) + 1)[:, None]
    past, future = times[:-STEPS], times[-STEPS:]
    forecast = Forecast(
        series=series,
        times=np.repeat(future[None], len(series), axis=0),
        levels=(0.025, 0.1, 0.5, 0.9, 0.975),
        values=signal[:, -STEPS:, None] + OFFSETS,
        columns=Columns("station", "hour", "temperature"),
    )
    history = {
        name: (past, values[:-STEPS].copy()) for name, values in zip(series, signal, strict=True)
    }
    known = signal[:, -STEPS:] + 0.5 if with_truth else None
    return ForecastDisplay(**{"forecast": forecast, "history": history, "truth": known, **changes})


def line(ax, label: str) -> np.ndarray:
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(found.get_ydata(), np.float64)


def band(ax, label: str):
    (found,) = [band for band in ax.collections if band.get_label() == label]
    return found


def test_every_part_is_drawn_at_its_values():
    display = make_display()
    figure = display.plot()
    assert len(figure.axes) == 2
    for row, ax in enumerate(figure.axes):
        past = display.history[display.forecast.series[row]][1]
        median = display.forecast.median[row]
        np.testing.assert_array_equal(line(ax, "history"), past[-3 * STEPS :])
        np.testing.assert_array_equal(line(ax, "median forecast"), [past[-1], *median])
        np.testing.assert_array_equal(line(ax, "truth"), [past[-1], *(median + 0.5)])
        for label, low, high in (("80 % interval", -2, 2), ("95 % interval", -4, 5)):
            drawn = set(np.round(band(ax, label).get_paths()[0].vertices[:, 1], 9))
            assert {*np.round(median + low, 9), *np.round(median + high, 9)} <= drawn
        origin = ax.lines[-1]
        assert origin.get_label() == "origin"
        at = dates.date2num(np.datetime64("2013-12-01T00") + np.timedelta64(87, "h"))
        assert dates.date2num(origin.get_xdata()[0]) == at


def test_the_wider_band_lies_behind_and_is_paler():
    (ax,) = make_display(("JFK",)).plot().axes
    inner, outer = band(ax, "80 % interval"), band(ax, "95 % interval")
    assert outer.get_zorder() < inner.get_zorder()
    assert sum(colors.to_rgb(outer.get_facecolor()[0])) > sum(
        colors.to_rgb(inner.get_facecolor()[0])
    )


def test_labels_say_what_is_seen():
    figure = make_display(unit="°C", title="Two airports").plot()
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["JFK", "LGA"]
    assert figure.axes[0].get_ylabel() == "temperature (°C)"
    assert figure.axes[1].get_xlabel() == "hour"
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "Two airports"
    assert [text.get_text() for text in legend.get_texts()] == [
        *("history", "median forecast", "80 % interval", "95 % interval", "truth", "origin")
    ]


def test_of_events_the_probability_is_drawn():
    known = make_display(series=("JFK",)).forecast
    probability = np.linspace(0.1, 0.9, STEPS)[None]
    events = Bernoulli(probability)
    forecast = replace(known, values=events.quantile(known.levels), distribution=events)
    (ax,) = make_display(series=("JFK",), forecast=forecast).plot().axes
    drawn = line(ax, "probability")
    assert np.isnan(drawn[0])
    np.testing.assert_array_equal(drawn[1:], probability[0])
    labels = {each.get_label() for each in (*ax.lines, *ax.collections)}
    assert "median forecast" not in labels
    assert not any("interval" in str(label) for label in labels)


def test_without_truth_unit_or_title():
    figure = make_display(with_truth=False).plot()
    assert "truth" not in [text.get_text() for text in figure.legends[0].get_texts()]
    assert figure.axes[0].get_ylabel() == "temperature"
    assert figure.legends[0].get_title().get_text() == "12-step forecast of temperature"


def test_a_shuffled_truth_is_another_picture(tmp_path):
    right = make_display()
    wrong = make_display(with_truth=False)
    wrong.truth = right.truth[:, ::-1]
    for name, display in (("right", right), ("wrong", wrong), ("again", make_display())):
        display.save(tmp_path / f"{name}.png")
    assert not np.array_equal(
        line(right.plot().axes[0], "truth"), line(wrong.plot().axes[0], "truth")
    )
    right_bytes = (tmp_path / "right.png").read_bytes()
    assert right_bytes == (tmp_path / "again.png").read_bytes()
    assert right_bytes != (tmp_path / "wrong.png").read_bytes()


def test_gaps_stay_gaps_and_a_lone_value_is_a_dot():
    display = make_display(("JFK",))
    display.history["JFK"][1][-10:-3] = np.nan
    display.history["JFK"][1][-6] = 7.0
    (ax,) = display.plot().axes
    history = next(line for line in ax.lines if line.get_label() == "history")
    assert np.isnan(history.get_ydata()).sum() == 6
    assert history.get_marker() == "."
    assert np.flatnonzero(history.get_markevery()).tolist() == [3 * STEPS - 6]


def test_one_step_after_a_missing_origin_is_still_seen():
    display = make_display(("JFK",), with_truth=False)
    whole = display.forecast
    display.forecast = Forecast(
        whole.series, whole.times[:, :1], whole.levels, whole.values[:, :1], whole.columns
    )
    display.history["JFK"][1][-1] = np.nan
    (ax,) = display.plot().axes
    median = next(line for line in ax.lines if line.get_label() == "median forecast")
    assert median.get_marker() == "."
    assert np.isfinite(band(ax, "95 % interval").get_paths()[0].vertices).all()
    assert band(ax, "95 % interval").get_linewidth()[0] > 0


def test_many_series_are_cut_and_counted():
    display = make_display(tuple(f"shop {number}" for number in range(8)))
    figure = display.plot()
    assert len(figure.axes) == 6
    assert figure.get_supxlabel() == "6 of 8 series shown, 2 left out"
    (ax,) = display.plot("shop 7").axes
    assert ax.get_title(loc="left") == "shop 7"
    assert len(display.plot(["shop 2", "shop 7"]).axes) == 2


def test_it_draws_on_an_axes_of_ones_own():
    display = make_display()
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert display.plot("LGA", ax=right) is figure
    assert not left.lines
    assert line(right, "median forecast")[-1] == display.forecast.median[1, -1]
    assert right.get_legend() is not None
    with pytest.raises(ParameterError, match="a single name to draw on ax"):
        display.plot(ax=left)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_saved_files_are_pictures(tmp_path, kind):
    path = tmp_path / f"forecast.{kind}"
    make_display().save(path)
    if kind == "png":
        picture = imread(path)
        assert picture.shape[1] == 1440
        assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 20
    else:
        assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "forecast.png"
    path.write_bytes(b"old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        make_display().save(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_notebook_shows_it():
    assert make_display()._repr_png_().startswith(b"\x89PNG")


def test_pyplot_is_not_loaded():
    program = (
        "import sys, grukit.plots.forecast\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from grukit.core.extras import require\n"
        "require('matplotlib.figure').Figure().subplots()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    make_display().plot()
    assert not (pyplot := sys.modules.get("matplotlib.pyplot")) or not pyplot.get_fignums()


def test_without_matplotlib_the_cure_is_named(monkeypatch, tmp_path):
    display = make_display()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'grukit\[plots\]'"):
        display.plot()
    with pytest.raises(MissingExtra):
        display.save(tmp_path / "forecast.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history": {"JFK": (np.zeros(2, "datetime64[us]"), np.zeros(2))}}, "series 'LGA'"),
        ({"history": {"JFK": ([], []), "LGA": ([], [])}}, "same length of at least 1"),
        ({"truth": np.zeros((2, 3))}, r"truth must be of shape \(2, 12\), got \(2, 3\)"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        make_display(**changes)


def test_bad_wishes_are_refused(tmp_path):
    display = make_display()
    with pytest.raises(ParameterError, match=r"series must be among .* got 'EWR'"):
        display.plot("EWR")
    with pytest.raises(ParameterError, match="at least one name"):
        display.plot([])
    with pytest.raises(ParameterError, match=r"\.pdf or \.html, got .*forecast\.pickle"):
        display.save(tmp_path / "forecast.pickle")
