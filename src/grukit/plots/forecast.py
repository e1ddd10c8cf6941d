"""The picture of a forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
from grukit.results import Forecast, central_coverages
from grukit.results.distributions import Bernoulli

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grukit.data.encoding import Encoded
    from grukit.data.frames import Panel

_HORIZONS_OF_HISTORY = 3
_FEWEST_HISTORY_STEPS = 24

BANDS = (("#9ccbe6", 0.9), ("#d3e8f4", 0.8))
"""Colour and depth of the inner and the outer band."""


class Lines(NamedTuple):
    """What is drawn of one series; [T] up to the origin, [H + 1] from it on."""

    past: np.ndarray
    observed: np.ndarray
    times: np.ndarray
    label: str
    middle: np.ndarray
    """The median, or the probability of an event."""
    intervals: dict[float, tuple[np.ndarray, np.ndarray]]
    """Lower and upper end by coverage, narrowest first."""
    truth: np.ndarray | None


class ForecastDisplay:
    """History, median, the two widest central intervals and, where known, the truth; of events
    their probability.

    Args:
        forecast: what to draw.
        history: for each series its times, datetime64 [T], and values, [T] with NaN for missing
            ones, up to the origin of the forecast. The end of it is drawn, three horizons or 24
            steps.
        truth: what happened, [S, H] with NaN where it is unknown.
        unit: unit of the target, for the axis.
        title: line above the picture.

    Raises:
        ParameterError: history or truth do not belong to the forecast.
    """

    def __init__(
        self,
        forecast: Forecast,
        history: Mapping[str, tuple[np.ndarray, np.ndarray]],
        truth: np.ndarray | None = None,
        unit: str | None = None,
        title: str | None = None,
    ) -> None:
        for name in forecast.series:
            if name not in history:
                raise ParameterError(
                    must_be("history", f"given for series {name!r}", sorted(history))
                )
            times, values = history[name]
            if np.ndim(values) != 1 or not len(values) or np.shape(times) != np.shape(values):
                raise ParameterError(
                    must_be(
                        f"history of series {name!r}",
                        "times and values of the same length of at least 1",
                        (np.shape(times), np.shape(values)),
                    )
                )
        if truth is not None and np.shape(truth) != forecast.times.shape:
            raise ParameterError(
                must_be("truth", f"of shape {forecast.times.shape}", np.shape(truth))
            )
        self.forecast = forecast
        self.history = history
        self.truth = None if truth is None else np.asarray(truth, np.float64)
        self.unit = unit
        self.title = title

    @classmethod
    def from_rows(
        cls,
        forecast: Forecast,
        rows: Panel | Encoded,
        unit: str | None = None,
        title: str | None = None,
    ) -> ForecastDisplay:
        """With the history before the forecast and, where `rows` hold it, the truth.

        Raises ParameterError if they hold nothing from before the forecast of a series.
        """
        history, truth = {}, np.full(forecast.times.shape, np.nan)
        for row, name in enumerate(forecast.series):
            if name not in rows.ids:
                continue
            at = rows.ids.index(name)
            own = slice(int(rows.offsets[at]), int(rows.offsets[at + 1]))
            times, target = rows.times[own], rows.target[own]
            before = times < forecast.times[row, 0]
            history[name] = (times[before], target[before])
            place = np.searchsorted(times, forecast.times[row]).clip(max=len(times) - 1)
            truth[row] = np.where(times[place] == forecast.times[row], target[place], np.nan)
        return cls(forecast, history, None if np.isnan(truth).all() else truth, unit, title)

    def plot(self, series: str | Sequence[str] | None = None, ax: Axes | None = None) -> Figure:
        """Draw one row per series, at most six, and return the figure.

        `series` names those to draw, by default the first ones; `ax` is an axes of your own for a
        single series. The figure is independent of pyplot: `save` it, or show it in a notebook.
        Raises MissingExtra without matplotlib.
        """
        require("matplotlib")
        names = self._names(series)
        if ax is not None:
            if len(names) != 1:
                raise ParameterError(must_be("series", "a single name to draw on ax", names))
            self._draw(ax, names[0])
            ax.legend(frameon=False, fontsize="small")
            return ax.figure.figure  # pyright: ignore[reportReturnType]
        return self._figure(names)

    def save(self, path: str | Path, series: str | Sequence[str] | None = None) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        A page needs no network. Raises MissingExtra without matplotlib, or for a page plotly.
        """
        names = self._names(series)
        save(path, lambda: self.plot(names), lambda: self._page(names))

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _names(self, series: str | Sequence[str] | None) -> tuple[str, ...]:
        names = self.forecast.series if series is None else series
        names = (names,) if isinstance(names, str) else tuple(names)
        for name in names:
            if name not in self.forecast.series:
                raise ParameterError(must_be("series", f"among {self.forecast.series}", name))
        if not names:
            raise ParameterError(must_be("series", "at least one name", names))
        return names

    @property
    def _heading(self) -> str:
        steps, target = self.forecast.times.shape[1], self.forecast.columns.target
        return self.title or f"{steps}-step forecast of {target}"

    @property
    def _ylabel(self) -> str:
        target = self.forecast.columns.target
        return f"{target} ({self.unit})" if self.unit else target

    def _lines(self, name: str) -> Lines:
        """What is drawn of a series; the forecast begins at its origin."""
        row = self.forecast.series.index(name)
        kept = max(_HORIZONS_OF_HISTORY * self.forecast.times.shape[1], _FEWEST_HISTORY_STEPS)
        past = np.asarray(self.history[name][0], "datetime64[us]")[-kept:]
        observed = np.asarray(self.history[name][1], np.float64)[-kept:]

        def from_origin(values: np.ndarray) -> np.ndarray:
            return np.append(observed[-1], values[row])

        intervals = {}
        if isinstance(self.forecast.distribution, Bernoulli):
            # Of 0 or 1 an interval shows nothing.
            label = "probability"
            middle = np.append(np.nan, self.forecast.distribution.probability[row])
        else:
            label, middle = "median forecast", from_origin(self.forecast.median)
            for coverage in central_coverages(self.forecast.levels)[-2:]:
                lower, upper = self.forecast.interval(coverage)
                intervals[coverage] = (from_origin(lower), from_origin(upper))
        return Lines(
            past,
            observed,
            np.append(past[-1], self.forecast.times[row]),
            label,
            middle,
            intervals,
            None if self.truth is None else from_origin(self.truth),
        )

    def _figure(self, names: tuple[str, ...]) -> Figure:
        shown = names[:MOST_ROWS]
        height = 3.9 if len(shown) == 1 else 1.0 + 2.1 * len(shown)
        figure = require("matplotlib.figure").Figure((9.0, height), layout="constrained")
        rows = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
        for row, name in zip(rows, shown, strict=True):
            self._draw(row, name)
            row.label_outer()
        figure.align_ylabels(rows)
        add_legend(figure, self._heading, *rows[0].get_legend_handles_labels())
        if words := left_out(len(shown), len(names), "series"):
            figure.supxlabel(words, fontsize=9, color=GREY)
        return figure

    def _draw(self, ax: Axes, name: str) -> None:
        lines = self._lines(name)
        draw_line(ax, lines.past, lines.observed, color=INK, linewidth=1.3, label="history")
        draw_line(ax, lines.times, lines.middle, color=BLUE, linewidth=2.2, label=lines.label)
        for (coverage, ends), (colour, depth) in zip(lines.intervals.items(), BANDS, strict=False):
            ax.fill_between(
                lines.times,
                *ends,
                color=colour,
                linewidth=0.8,
                zorder=depth,
                label=f"{100 * coverage:g} % interval",
            )
        if lines.truth is not None:
            draw_line(ax, lines.times, lines.truth, color=VERMILLION, linewidth=1.3, label="truth")
        ax.axvline(lines.past[-1], color=GREY, linewidth=1, linestyle=(0, (2, 2)), label="origin")
        columns = self.forecast.columns
        dress(ax, columns.time, self._ylabel, None if columns.series is None else name)

    def _page(self, names: tuple[str, ...]) -> str:
        shown, columns = names[:MOST_ROWS], self.forecast.columns
        page = Page(
            [self._ylabel] * len(shown),
            None if columns.series is None else shown,
            self._heading,
            columns.time,
            left_out(len(shown), len(names), "series"),
        )
        for row, name in enumerate(shown, start=1):
            lines = self._lines(name)
            for (coverage, ends), (colour, _) in reversed(
                [*zip(lines.intervals.items(), BANDS, strict=False)]
            ):
                page.band(row, lines.times, *ends, f"{100 * coverage:g} % interval", colour)
            page.line(row, lines.past, lines.observed, "history", INK)
            page.line(row, lines.times, lines.middle, lines.label, BLUE, width=2.2)
            if lines.truth is not None:
                page.line(row, lines.times, lines.truth, "truth", VERMILLION)
            page.upright(row, lines.past[-1])
        return page.to_html()
