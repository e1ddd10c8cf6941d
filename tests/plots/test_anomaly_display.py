from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.anomaly import AnomalyDisplay
from grukit.results import AnomalyReport

pytest.importorskip("matplotlib")
from matplotlib import dates
from matplotlib.image import imread

ROWS = 200


def make_display(channels=2, whole_rows=False, **changes) -> AnomalyDisplay:
    """An event of rows 50 to 59 in the last channel, alarmed in its first row."""
    random = np.random.default_rng(0)
    scores = random.random(ROWS)
    scores[50:60] = 5.0
    shares = np.zeros((ROWS, channels))
    shares[:, -1] = 1.0
    times = np.arange(ROWS)
    report = AnomalyReport(
        times=times if whole_rows else np.datetime64("2024-01-01T00", "us") + times * _HOUR,
        channels=tuple(f"pump {index}" for index in range(channels)),
        scores=scores,
        threshold=2.0,
        alarms=times == 50,
        contributions=shares,
        time="hour",
    )
    labels = (times >= 45) & (times < 65)
    parts = {"report": report, "values": random.random((ROWS, channels)), "labels": labels}
    return AnomalyDisplay(**{**parts, **changes})


_HOUR = np.timedelta64(1, "h")


def lines(ax):
    return {line.get_label(): line for line in ax.lines}


def shaded(ax):
    """Where each stretch begins and ends, in hours from the first row, by label."""
    start = dates.date2num(np.datetime64("2024-01-01"))
    found = {}
    for patch in ax.patches:
        first, last = patch.get_x(), patch.get_x() + patch.get_width()
        found[patch.get_label()] = tuple(np.round([(x - start) * 24 for x in (first, last)], 6))
    return found


def test_every_part_is_drawn_at_its_values():
    display = make_display()
    first, second, below = display.plot().axes
    for channel, ax in enumerate((first, second)):
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), display.values[:, channel])
        assert ax.get_ylabel() == f"pump {channel}"
    drawn = lines(below)
    np.testing.assert_array_equal(drawn["score"].get_ydata(), display.report.scores)
    np.testing.assert_array_equal(drawn["threshold"].get_ydata(), 2.0)
    assert list(drawn["alarm"].get_xdata()) == [display.report.times[50]]
    assert list(drawn["alarm"].get_ydata()) == [5.0]
    assert below.get_xlabel() == "hour"


def test_an_event_is_shaded_in_the_channel_to_blame_and_a_window_everywhere():
    first, second, below = make_display().plot().axes
    window = {"labelled window": (44.5, 64.5)}
    assert shaded(first) == window
    assert shaded(second) == window | {"event, in the channel to blame": (49.5, 59.5)}
    assert shaded(below) == window


def test_the_legend_names_each_part_once():
    (legend,) = make_display().plot().legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "labelled window",
        "event, in the channel to blame",
        "score",
        "threshold",
        "alarm",
    ]
    assert legend.get_title().get_text() == "1 event"
    (legend,) = make_display(labels=None, title="Pumps").plot().legends
    assert "labelled window" not in [text.get_text() for text in legend.get_texts()]
    assert legend.get_title().get_text() == "Pumps"


def test_of_many_channels_those_to_blame_are_drawn():
    figure = make_display(channels=9).plot()
    assert [ax.get_ylabel() for ax in figure.axes] == [
        *(f"pump {index}" for index in (0, 1, 2, 3, 4, 8)),
        "score",
    ]
    assert figure.get_supxlabel() == "6 of 9 channels shown, 3 left out"


def test_rows_without_moments_and_a_single_channel():
    display = make_display(channels=1, whole_rows=True, values=np.arange(ROWS))
    channel, _ = display.plot().axes
    np.testing.assert_array_equal(channel.lines[0].get_xdata(), np.arange(ROWS))
    event = next(p for p in channel.patches if p.get_label().startswith("event"))
    assert (event.get_x(), event.get_width()) == (49.5, 10)


def test_missing_values_and_scores_are_gaps():
    display = make_display()
    display.values[10:20] = np.nan
    display.report.scores[10:20] = np.nan
    first, _, below = display.plot().axes
    assert np.isnan(first.lines[0].get_ydata()).sum() == 10
    assert np.isnan(lines(below)["score"].get_ydata()).sum() == 10


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_saved_files_are_pictures(tmp_path, kind):
    path = tmp_path / f"anomalies.{kind}"
    make_display().save(path)
    if kind == "png":
        assert imread(path).shape[1] == 1440
    else:
        assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert make_display()._repr_png_().startswith(b"\x89PNG")


def test_parts_that_do_not_belong_together_are_refused():
    with pytest.raises(ParameterError, match=r"values must be of shape \(200, 2\), got \(200, 3\)"):
        make_display(values=np.zeros((ROWS, 3)))
    with pytest.raises(ParameterError, match=r"labels must be of shape \(200,\)"):
        make_display(labels=np.zeros(3, bool))
    empty = AnomalyReport(np.zeros(0, int), ("y",), np.zeros(0), 1.0, [], np.zeros((0, 1)))
    with pytest.raises(ParameterError, match="at least one row"):
        AnomalyDisplay(empty, np.zeros((0, 1)))
