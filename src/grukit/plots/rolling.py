"""The picture of forecasts made one after the other, each for the step that follows."""

from __future__ import annotations

from collections.abc import Mapping
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEEN = "#b3b3b3"


class RollingDisplay:
    """What was measured, and what was forecast of it a step before, in a row for each series.

    Args:
        times: datetime64 [T], the moments forecast.
        series: for each series what was measured and what was forecast, [T] with NaN for unknown.
            The first six are drawn.
        ylabel: what is forecast, with its unit.
        title: line above the picture.

    Raises:
        ParameterError: there is no series, or one is not as long as `times`.
    """

    def __init__(
        self,
        times: np.ndarray,
        series: Mapping[str, tuple[np.ndarray, np.ndarray]],
        ylabel: str,
        title: str,
    ) -> None:
        self.times = np.asarray(times, "datetime64[us]")
        if not series:
            raise ParameterError(must_be("series", "at least one", dict(series)))
        for name, pair in series.items():
            shapes = tuple(np.shape(values) for values in pair)
            if shapes != (self.times.shape,) * 2:
                wanted = f"two arrays of shape {self.times.shape}"
                raise ParameterError(must_be(f"series {name!r}", wanted, shapes))
        self.series = dict(series)
        self.ylabel = ylabel
        self.title = title

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib."""
        shown = self._shown()
        figure = require("matplotlib.figure").Figure(
            (9.0, 1.0 + 2.1 * len(shown)), layout="constrained"
        )
        axes = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
        for ax, (name, (measured, forecast)) in zip(axes, shown.items(), strict=True):
            draw_line(ax, self.times, measured, color=_SEEN, linewidth=1.0, label="measured")
            draw_line(ax, self.times, forecast, color=BLUE, linewidth=1.6, label="forecast")
            dress(ax, "", self.ylabel, name)
            ax.label_outer()
        figure.align_ylabels(axes)
        add_legend(figure, self.title, *axes[0].get_legend_handles_labels())
        if words := left_out(len(shown), len(self.series), "series"):
            figure.supxlabel(words, fontsize=9, color=GREY)
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or a page (.html), whole or not at all."""
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _shown(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return dict(list(self.series.items())[:MOST_ROWS])

    def _page(self) -> str:
        shown = self._shown()
        note = left_out(len(shown), len(self.series), "series")
        page = Page([self.ylabel] * len(shown), list(shown), self.title, "", note)
        for row, (measured, forecast) in enumerate(shown.values(), start=1):
            page.line(row, self.times, measured, "measured", _SEEN)
            page.line(row, self.times, forecast, "forecast", BLUE)
        return page.to_html()
