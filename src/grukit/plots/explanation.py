"""The picture of an explanation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.pages import Page
from grukit.plots.style import (
    BLUE,
    GREY,
    MOST_ROWS,
    add_legend,
    draw_line,
    dress,
    left_out,
    render,
    save,
)
from grukit.results import Explanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABEL = "contribution of each time"


class ExplanationDisplay:
    """What each column added to the forecast of one series, time by time, the largest first.

    Args:
        explanation: what to draw.
        series: which of its series; by default the first.
        unit: unit of the target, for the axes.
        title: line above the picture.

    Raises:
        ParameterError: the explanation has no such series.
    """

    def __init__(
        self,
        explanation: Explanation,
        series: str | None = None,
        unit: str | None = None,
        title: str | None = None,
    ) -> None:
        series = explanation.series[0] if series is None else series
        if series not in explanation.series:
            raise ParameterError(must_be("series", f"among {explanation.series}", series))
        self.explanation = explanation
        self.unit = unit
        self.title = title
        self._at = explanation.series.index(series)

    def plot(self) -> Figure:
        """Draw a row for each column that varies in time, at most six, and return the figure.

        The figure is independent of pyplot. Raises MissingExtra without matplotlib.
        """
        names = self._names[:MOST_ROWS]
        figure = require("matplotlib.figure").Figure(
            (9.0, 1.4 + 1.7 * len(names)), layout="constrained"
        )
        axes = figure.subplots(len(names), sharex=True, squeeze=False)[:, 0]
        for ax, name in zip(axes, names, strict=True):
            draw_line(ax, *self._line(name), color=BLUE, linewidth=1.6, label=_LABEL)
            ax.axhline(0.0, color=GREY, linewidth=0.8)
            ax.axvline(self._origin, color=GREY, linewidth=1, linestyle=(0, (2, 2)), label="origin")
            dress(ax, "", self.unit or "", self._words(name))
        add_legend(figure, self._heading, *axes[0].get_legend_handles_labels())
        figure.supxlabel(self._note, fontsize=9, color=GREY)
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        Raises MissingExtra without matplotlib, or for a page plotly.
        """
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _page(self) -> str:
        names = self._names[:MOST_ROWS]
        page = Page(
            [self.unit or ""] * len(names),
            [self._words(name) for name in names],
            self._heading,
            "",
            self._note,
        )
        for row, name in enumerate(names, start=1):
            page.line(row, *self._line(name), _LABEL, BLUE)
            page.upright(row, self._origin)
        return page.to_html()

    @property
    def _names(self) -> list[str]:
        totals = self.explanation.totals()
        varying = [name for name in totals if name not in self.explanation.static]
        return sorted(varying, key=lambda name: -abs(totals[name][self._at]))

    @property
    def _origin(self) -> np.datetime64:
        return self.explanation.past_times[self._at, -1]

    @property
    def _heading(self) -> str:
        if self.title is not None:
            return self.title
        own, at = self.explanation, self._at
        which = "mean of all steps" if own.step is None else f"step {own.step}"
        name = f" of {own.series[at]}" if own.series[at] else ""
        return f"Forecast{name}, {which}: {own.forecast[at]:.4g}, from {own.start[at]:.4g}"

    @property
    def _note(self) -> str:
        still = [f"{name} {own[self._at]:+.3g}" for name, own in self.explanation.static.items()]
        count = len(self._names)
        return "; ".join(
            filter(None, [", ".join(still), left_out(min(count, MOST_ROWS), count, "columns")])
        )

    def _words(self, name: str) -> str:
        return f"{name} {self.explanation.totals()[name][self._at]:+.3g}"

    def _line(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Times and contributions of a column, in the past, ahead, or both."""
        own, at = self.explanation, self._at
        parts = [(own.past, own.past_times), (own.future, own.future_times)]
        held = [(times[at], part[name][at]) for part, times in parts if name in part]
        times, values = zip(*held, strict=True)
        return np.concatenate(times), np.concatenate(values)
