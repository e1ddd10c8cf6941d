"""The picture of a forecast."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.core.files import write_atomically
from grukit.results import Forecast, central_coverages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from grukit.data.encoding import Encoded
    from grukit.data.frames import Panel

_MOST_ROWS = 6
_HORIZONS_OF_HISTORY = 3
_FEWEST_HISTORY_STEPS = 24

_INK, _GREY, _PALE = "#222222", "#767676", "#e4e4e4"
# Okabe & Ito's blue and vermillion, which every kind of colour blindness tells apart.
_BLUE, _VERMILLION = "#0072B2", "#D55E00"
_BANDS = (("#9ccbe6", 0.9), ("#d3e8f4", 0.8))
"""Colour and depth of the inner and the outer band."""

_DATES = {
    "formats": ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
    "zero_formats": ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
    "offset_formats": ["", "", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y %H:%M"],
}


class ForecastDisplay:
    """History, median, the two widest central intervals and, where known, the truth.

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
        names = self.forecast.series if series is None else series
        names = (names,) if isinstance(names, str) else tuple(names)
        for name in names:
            if name not in self.forecast.series:
                raise ParameterError(must_be("series", f"among {self.forecast.series}", name))
        if not names:
            raise ParameterError(must_be("series", "at least one name", names))
        if ax is not None:
            if len(names) != 1:
                raise ParameterError(must_be("series", "a single name to draw on ax", names))
            self._draw(ax, names[0])
            ax.legend(frameon=False, fontsize="small")
            return ax.figure.figure  # pyright: ignore[reportReturnType]
        return self._figure(names)

    def save(self, path: str | Path, series: str | Sequence[str] | None = None) -> None:
        """Write the picture as .png or .svg, whole or not at all."""
        kind = Path(path).suffix.lower()
        if kind not in (".png", ".svg"):
            raise ParameterError(must_be("path", "a file name ending in .png or .svg", str(path)))
        write_atomically(path, self._render(kind[1:], series))

    def _repr_png_(self) -> bytes:
        return self._render("png")

    def _render(self, kind: str, series: str | Sequence[str] | None = None) -> bytes:
        buffer = io.BytesIO()
        self.plot(series).savefig(buffer, format=kind, dpi=160, facecolor="white")
        return buffer.getvalue()

    def _figure(self, names: tuple[str, ...]) -> Figure:
        shown = names[:_MOST_ROWS]
        height = 3.9 if len(shown) == 1 else 1.0 + 2.1 * len(shown)
        figure = require("matplotlib.figure").Figure((9.0, height), layout="constrained")
        rows = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
        for row, name in zip(rows, shown, strict=True):
            self._draw(row, name)
            row.label_outer()
        figure.align_ylabels(rows)
        target = self.forecast.columns.target
        handles, labels = rows[0].get_legend_handles_labels()
        legend = figure.legend(
            handles,
            labels,
            title=self.title or f"{self.forecast.times.shape[1]}-step forecast of {target}",
            title_fontproperties={"size": 13, "weight": "bold"},
            loc="outside upper left",
            alignment="left",
            ncols=len(labels),
            frameon=False,
            fontsize=9,
            labelcolor=_INK,
            columnspacing=1.6,
        )
        legend.get_title().set_color(_INK)
        if left_out := len(names) - len(shown):
            figure.supxlabel(
                f"{len(shown)} of {len(names)} series shown, {left_out} left out",
                fontsize=9,
                color=_GREY,
            )
        return figure

    def _draw(self, ax: Axes, name: str) -> None:
        row = self.forecast.series.index(name)
        steps = self.forecast.times.shape[1]
        kept = max(_HORIZONS_OF_HISTORY * steps, _FEWEST_HISTORY_STEPS)
        past = np.asarray(self.history[name][0], "datetime64[us]")[-kept:]
        observed = np.asarray(self.history[name][1], np.float64)[-kept:]
        origin, now = past[-1], observed[-1]
        times = np.append(origin, self.forecast.times[row])

        def from_origin(values: np.ndarray) -> np.ndarray:
            return np.append(now, values[row])

        _line(ax, past, observed, color=_INK, linewidth=1.3, label="history")
        median = from_origin(self.forecast.median)
        _line(ax, times, median, color=_BLUE, linewidth=2.2, label="median forecast")
        coverages = central_coverages(self.forecast.levels)[-2:]
        for coverage, (colour, depth) in zip(coverages, _BANDS, strict=False):
            lower, upper = map(from_origin, self.forecast.interval(coverage))
            ax.fill_between(
                times,
                lower,
                upper,
                color=colour,
                linewidth=0.8,
                zorder=depth,
                label=f"{100 * coverage:g} % interval",
            )
        if self.truth is not None:
            truth = from_origin(self.truth)
            _line(ax, times, truth, color=_VERMILLION, linewidth=1.3, label="truth")
        ax.axvline(origin, color=_GREY, linewidth=1, linestyle=(0, (2, 2)), label="origin")
        self._dress(ax, name)

    def _dress(self, ax: Axes, name: str) -> None:
        dates = require("matplotlib.dates")
        locator = dates.AutoDateLocator(minticks=4, maxticks=9)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, **_DATES))
        ax.margins(x=0.01)
        columns = self.forecast.columns
        ax.set_xlabel(columns.time, color=_INK)
        ax.set_ylabel(
            f"{columns.target} ({self.unit})" if self.unit else columns.target, color=_INK
        )
        if columns.series is not None:
            ax.set_title(name, loc="left", fontsize=10, color=_INK)
        ax.set_axisbelow(True)
        ax.grid(axis="y", color=_PALE, linewidth=0.8)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines["bottom"].set_color(_GREY)
        ax.tick_params(color=_GREY, labelcolor=_INK, labelsize=9)
        ax.tick_params(axis="y", length=0)


def _line(ax: Axes, times: np.ndarray, values: np.ndarray, **style) -> None:
    """A line that breaks at missing values; a value between two of them is a dot."""
    missing = np.concatenate([[True], np.isnan(values), [True]])
    alone = missing[:-2] & ~missing[1:-1] & missing[2:]
    if alone.any():
        style |= {"marker": ".", "markevery": alone}
    ax.plot(times, values, **style)  # pyright: ignore[reportArgumentType]
