"""The picture of a report of anomalies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.pages import Page
from grukit.plots.style import (
    BLUE,
    GREY,
    INK,
    MOST_ROWS,
    VERMILLION,
    add_legend,
    draw_line,
    dress,
    left_out,
    render,
    save,
)
from grukit.results import AnomalyReport, runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EVENT, _LABELLED = "#f8d9c4", "#ededed"


class AnomalyDisplay:
    """Each channel, and below them the scores with their threshold and the alarms.

    An event is shaded in the channel with the largest share of it, a labelled window in every
    row. At most six channels are drawn: those to blame for the most events come first.

    Args:
        report: what to draw.
        values: what the detector saw, [T, C], or [T] of a single channel, NaN where missing.
        labels: bool [T], True in the rows of events that are known, if any are.
        title: line above the picture.

    Raises:
        ParameterError: values or labels do not belong to the report.
    """

    def __init__(
        self,
        report: AnomalyReport,
        values: np.ndarray,
        labels: np.ndarray | None = None,
        title: str | None = None,
    ) -> None:
        rows, channels = report.contributions.shape
        values = np.asarray(values, np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.shape != (rows, channels):
            raise ParameterError(must_be("values", f"of shape {(rows, channels)}", values.shape))
        if labels is not None and np.shape(labels) != (rows,):
            raise ParameterError(must_be("labels", f"of shape {(rows,)}", np.shape(labels)))
        if not rows:
            raise ParameterError(must_be("report", "of at least one row", rows))
        self.report = report
        self.values = values
        self.labels = np.zeros(rows, bool) if labels is None else np.asarray(labels, bool)
        self.title = title

    def plot(self) -> Figure:
        """Draw a row for each channel and one for the scores, and return the figure.

        The figure is independent of pyplot: `save` it, or show it in a notebook. Raises
        MissingExtra without matplotlib.
        """
        channels = self._channels()
        height = 1.4 + 1.7 * (len(channels) + 1)
        figure = require("matplotlib.figure").Figure((9.0, height), layout="constrained")
        axes = figure.subplots(len(channels) + 1, sharex=True, squeeze=False)[:, 0]
        for ax, channel in zip(axes, channels, strict=False):
            self._draw_channel(ax, channel)
            ax.label_outer()
        self._draw_scores(axes[-1])
        figure.align_ylabels(axes)
        found = {}
        for ax in axes:
            handles, labels = ax.get_legend_handles_labels()
            found |= dict(zip(labels, handles, strict=True))
        add_legend(figure, self._heading, list(found.values()), list(found))
        if words := left_out(len(channels), len(self.report.channels), "channels"):
            figure.supxlabel(words, fontsize=9, color=GREY)
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        A page needs no network. Raises MissingExtra without matplotlib, or for a page plotly.
        """
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    @property
    def _heading(self) -> str:
        count = len(self.report.events())
        return self.title or f"{count} event{'' if count == 1 else 's'}"

    def _channels(self) -> list[int]:
        names = self.report.channels
        blamed = [names.index(event.channel) for event in self.report.events()]
        order = sorted(range(len(names)), key=lambda channel: (-blamed.count(channel), channel))
        return sorted(order[:MOST_ROWS])

    def _span(self, first: Any, last: Any) -> tuple[Any, Any]:
        """From half a step before to half a step after."""
        times = self.report.times
        half = (times[1] - times[0]) / 2 if len(times) > 1 else times[0] - times[0]
        return first - half, last + half

    def _labelled(self) -> list[tuple[Any, Any]]:
        times = self.report.times
        return [self._span(times[first], times[last]) for first, last in runs(self.labels)]

    def _events_of(self, channel: int) -> list[tuple[Any, Any]]:
        name = self.report.channels[channel]
        return [
            self._span(event.start, event.end)
            for event in self.report.events()
            if event.channel == name
        ]

    def _draw_channel(self, ax: Axes, channel: int) -> None:
        self._shade(ax, self._labelled(), _LABELLED, "labelled window", 0.5)
        self._shade(ax, self._events_of(channel), _EVENT, "event, in the channel to blame", 0.6)
        draw_line(ax, self.report.times, self.values[:, channel], color=INK, linewidth=0.9)
        self._dress(ax, self.report.channels[channel])

    def _draw_scores(self, ax: Axes) -> None:
        report = self.report
        self._shade(ax, self._labelled(), _LABELLED, "labelled window", 0.5)
        draw_line(ax, report.times, report.scores, color=BLUE, linewidth=0.9, label="score")
        level = np.where(np.isfinite(report.threshold), report.threshold, np.nan)
        draw_line(
            ax, report.times, level, color=GREY, linewidth=1, linestyle="--", label="threshold"
        )
        ax.plot(
            report.times[report.alarms],
            report.scores[report.alarms],
            color=VERMILLION,
            linestyle="none",
            marker="v",
            markersize=6,
            label="alarm",
        )
        self._dress(ax, "score")

    def _shade(self, ax: Axes, spans: list[tuple[Any, Any]], color: str, label: str, depth) -> None:
        for first, last in spans:
            ax.axvspan(first, last, color=color, linewidth=0.8, zorder=depth, label=label)

    def _dress(self, ax: Axes, ylabel: str) -> None:
        dress(ax, self.report.time, ylabel, dates=self.report.times.dtype.kind == "M")

    def _page(self) -> str:
        report, channels = self.report, self._channels()
        notes = [
            "orange: an event, in the channel to blame",
            "grey: a labelled window" if self.labels.any() else "",
            left_out(len(channels), len(report.channels), "channels"),
        ]
        page = Page(
            [*(report.channels[channel] for channel in channels), "score"],
            None,
            self._heading,
            report.time,
            "; ".join(filter(None, notes)),
        )
        below = len(channels) + 1
        for row, channel in enumerate(channels, start=1):
            name = report.channels[channel]
            page.line(row, report.times, self.values[:, channel], name, INK, in_legend=False)
        page.line(below, report.times, report.scores, "score", BLUE)
        page.line(below, report.times, report.threshold, "threshold", GREY)
        blame = [report.channels[index] for index in report.contributions.argmax(axis=1)]
        rows = np.flatnonzero(report.alarms)
        page.dots(
            below,
            report.times[rows],
            report.scores[rows],
            "alarm",
            VERMILLION,
            [f"alarm: {blame[row]}, {100 * report.contributions[row].max():.0f} %" for row in rows],
        )
        for row in range(1, below + 1):
            for first, last in self._labelled():
                page.shade(row, first, last, _LABELLED)
        for row, channel in enumerate(channels, start=1):
            for first, last in self._events_of(channel):
                page.shade(row, first, last, _EVENT)
        return page.to_html()
