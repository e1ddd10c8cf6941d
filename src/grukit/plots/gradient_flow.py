"""The picture of how far back gradients reach."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.pages import fragment
from grukit.plots.style import BLUE, GREY, INK, VERMILLION, add_legend, dress, render, save
from grukit.results.gradient_flow import GradientFlow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's, for up to eight lines.
_COLORS = (VERMILLION, "#009E73", BLUE, "#E69F00", "#56B4E9", "#CC79A7", INK, GREY)
# What is smaller is drawn as this, a power of ten: a float of 32 bits holds no less.
_FLOOR = -45.0


class GradientFlowDisplay:
    """The norm of d h_T / d s_t against the lag, a line for each flow, on a scale of powers of ten.

    Lines end where the norm is below 1e-45, which no float of 32 bits holds.

    Args:
        flows: by name; or several panels by title, each with its flows by name.
        title: line above the picture.

    Raises:
        ParameterError: no flow.
    """

    def __init__(
        self,
        flows: Mapping[str, GradientFlow] | Mapping[str, Mapping[str, GradientFlow]],
        title: str = "What is left of a gradient",
    ) -> None:
        panels = {k: v for k, v in flows.items() if isinstance(v, Mapping)}
        own = {k: v for k, v in flows.items() if isinstance(v, GradientFlow)}
        self.panels: dict[str, Mapping[str, GradientFlow]] = panels or {"": own}
        if not all(self.panels.values()):
            raise ParameterError(must_be("flows", "one GradientFlow or more", flows))
        self.title = title
        names = dict.fromkeys(name for panel in self.panels.values() for name in panel)
        self._colors = {name: _COLORS[at % len(_COLORS)] for at, name in enumerate(names)}

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib."""
        figures = require("matplotlib.figure")
        size = (1.2 + 4.2 * len(self.panels), 4.0)
        figure = figures.Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(self.panels), sharey=True, squeeze=False)[0]
        handles = {}
        for ax, (title, panel) in zip(axes, self.panels.items(), strict=True):
            for name, flow in panel.items():
                (handles[name],) = ax.plot(
                    flow.lags, _powers(flow), color=self._colors[name], linewidth=1.6
                )
            label = "norm of d h(T) / d s(t)" if ax is axes[0] else ""
            dress(ax, "lag, steps", label, title or None, dates=False)
            ax.yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:g}}}$")
        add_legend(figure, self.title, list(handles.values()), list(handles))
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        Raises MissingExtra without matplotlib, or for a page plotly.
        """
        save(path, self.plot, self._page)

    def to_fragment(self, name: str) -> str:
        """The interactive figure alone; see `grukit.plots.pages.fragment`."""
        return fragment(self._figure(), name)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _page(self) -> str:
        return self._figure().to_html(include_plotlyjs=True, full_html=True, div_id="grukit")

    def _figure(self) -> Any:
        require("plotly")
        figure = require("plotly.subplots").make_subplots(
            1,
            len(self.panels),
            shared_yaxes=True,
            subplot_titles=[html.escape(title) for title in self.panels],
        )
        for column, panel in enumerate(self.panels.values(), start=1):
            for name, flow in panel.items():
                figure.add_scatter(
                    x=flow.lags,
                    y=np.exp(np.maximum(flow.log_norm, -700.0)),
                    name=html.escape(name),
                    legendgroup=name,
                    showlegend=column == 1,
                    mode="lines",
                    line={"color": self._colors[name]},
                    row=1,
                    col=column,
                )
        figure.update_yaxes(type="log", exponentformat="power", row=1)
        figure.update_xaxes(title_text="lag, steps")
        figure.update_layout(
            title={"text": f"<b>{html.escape(self.title)}</b>", "x": 0.01},
            template="plotly_white",
            font_color=INK,
            hovermode="x unified",
        )
        return figure


def _powers(flow: GradientFlow) -> np.ndarray:
    """The powers of ten, NaN below the smallest that is drawn."""
    powers = flow.log_norm / np.log(10)
    return np.where(powers >= _FLOOR, powers, np.nan)
