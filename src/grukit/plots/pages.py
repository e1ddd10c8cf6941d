"""Interactive pages: rows of lines over one axis of time, to zoom, drag and read values from."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from grukit.core.extras import require
from grukit.plots.style import GREY, INK, PALE

_PIXELS_OF_A_ROW = 220
_MARGINS = (110, 60)
"""Pixels above and below the rows."""


class Page:
    """One plotly figure with a row for each label.

    Args:
        ylabels: what each row shows.
        titles: a line above each row, or nothing.
        title: of the page. xlabel: of the axis below.
        note: small words below, such as what was left out.
        log: whether the rows' own axes are logarithmic.
    """

    def __init__(
        self,
        ylabels: Sequence[str],
        titles: Sequence[str] | None,
        title: str,
        xlabel: str,
        note: str = "",
        log: bool = False,
    ) -> None:
        require("plotly")
        rows = len(ylabels)
        heads = [html.escape(name) for name in titles] if titles else None
        self._figure = require("plotly.subplots").make_subplots(
            rows, 1, shared_xaxes=True, vertical_spacing=0.12 / rows, subplot_titles=heads
        )
        self._named: set[str] = set()
        below = html.escape(xlabel) + (f"<br><sub>{html.escape(note)}</sub>" if note else "")
        height = max(_PIXELS_OF_A_ROW * rows, 300) + sum(_MARGINS)
        above = 24 if titles else 4
        self._figure.update_layout(
            title={"text": f"<b>{html.escape(title)}</b>", "x": 0.01},
            height=height,
            template="plotly_white",
            font_color=INK,
            hovermode="x unified",
            legend={"orientation": "h", "y": 1 + above / (height - sum(_MARGINS)), "x": 0},
            legend_yanchor="bottom",
            margin={"l": 70, "r": 30, "t": _MARGINS[0], "b": _MARGINS[1]},
        )
        self._figure.update_annotations(font_size=13, x=0, xanchor="left")
        self._figure.update_xaxes(gridcolor=PALE, linecolor=GREY, showgrid=False)
        self._figure.update_xaxes(title_text=below, row=rows, col=1)
        if log:
            self._figure.update_yaxes(type="log")
        for row, label in enumerate(ylabels, start=1):
            self._figure.update_yaxes(
                title_text=html.escape(label), gridcolor=PALE, zeroline=False, row=row, col=1
            )

    def line(
        self,
        row: int,
        x: np.ndarray,
        y: np.ndarray,
        label: str,
        color: str,
        width: float = 1.3,
        in_legend: bool = True,
    ) -> None:
        """A line that breaks at NaN."""
        mode = "lines+markers" if len(x) == 1 else "lines"
        self._add(row, label, in_legend, x=x, y=y, mode=mode, line={"color": color, "width": width})

    def band(
        self, row: int, x: np.ndarray, low: np.ndarray, high: np.ndarray, label: str, color: str
    ) -> None:
        """What lies between two lines, one colour, with both ends where the pointer is."""
        edge = {"color": color, "width": 0.8}
        self._add(row, f"{label}, from", False, x=x, y=low, mode="lines", line=edge)
        filled: dict[str, Any] = {"fill": "tonexty", "fillcolor": color}
        self._add(row, label, x=x, y=high, mode="lines", line=edge, **filled)

    def dots(
        self, row: int, x: np.ndarray, y: np.ndarray, label: str, color: str, words: Sequence[str]
    ) -> None:
        """Dots, each with words of its own."""
        self._add(
            row,
            label,
            x=x,
            y=y,
            mode="markers",
            marker={"color": color, "size": 9, "symbol": "triangle-down"},
            text=[html.escape(word) for word in words],
            hovertemplate="%{text}<extra></extra>",
        )

    def upright(self, row: int, x: Any) -> None:
        """A dashed line across a row."""
        self._figure.add_vline(x=x, line={"color": GREY, "dash": "dot", "width": 1}, row=row, col=1)

    def level(self, row: int, y: float) -> None:
        """A dotted line along a row."""
        self._figure.add_hline(y=y, line={"color": GREY, "dash": "dot", "width": 1}, row=row, col=1)

    def shade(self, row: int, first: Any, last: Any, color: str) -> None:
        """A stretch of time behind the lines of a row, which must have been drawn."""
        style = {"fillcolor": color, "line_width": 0, "layer": "below"}
        self._figure.add_vrect(x0=first, x1=last, **style, row=row, col=1)

    def to_html(self) -> str:
        """The whole page with plotly's own script in it, so that it needs no network."""
        return self._figure.to_html(include_plotlyjs=True, full_html=True, div_id="grukit")

    def to_fragment(self, name: str) -> str:
        """The figure alone, without its title; see `fragment`."""
        self._figure.update_layout(title=None)
        return fragment(self._figure, name)

    def _add(self, row: int, label: str, in_legend: bool = True, **trace: Any) -> None:
        """A trace; its label stands in the legend once, for all rows."""
        first = in_legend and label not in self._named
        self._named.add(label)
        name = html.escape(label)
        scatter = require("plotly.graph_objects").Scatter
        self._figure.add_trace(
            scatter(name=name, legendgroup=name, showlegend=first, **trace), row=row, col=1
        )


def fragment(figure: Any, name: str) -> str:
    """A plotly figure alone, as wide as there is room, for a page that has `plotly_script`.

    name: an id of its own on that page.
    """
    return figure.to_html(
        include_plotlyjs=False, full_html=False, div_id=name, config={"responsive": True}
    )


def plotly_script() -> str:
    """plotly's own script, as an element of a page."""
    return f"<script>{require('plotly.offline').get_plotlyjs()}</script>"
