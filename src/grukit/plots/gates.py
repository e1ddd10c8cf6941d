"""The picture of the gates of a layer, above the text, series or sound that it read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.gate_page import WRITTEN, gate_page, labels_of, notable
from grukit.plots.style import BLUE, GREY, INK, VERMILLION, left_out, render, save
from grukit.results.gate_report import GateReport
from grukit.results.gates import GateRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_UNITS, _MOST_STEPS = 40, 160
# Of one unit, and of one step; inches.
_ROW, _COLUMN = 0.09, 0.085
_GATES_WITH_SIGN = ("hidden", "memory", "cell")
_SPECTRUM = 6
"""A picture of more numbers at a step than this is drawn as a map, of fewer as lines."""


class GatesDisplay:
    """A map for each gate, a row for each unit and a column for each step; below, the input.

    What lies between 0 and 1 is white to blue; what has a sign is orange below 0. Of many units
    the 40 most worth looking at are drawn, of many steps the first 160; a page (.html) has more,
    and shows the equations with the numbers of each step.

    Args:
        records: of `read_gates`; for the equations of a page with what is inside the gates.
        report: of `inspect_gates`.
        layer: the name of the one to draw, by default the first; a page has all.
        title: line above the picture.

    Raises:
        ParameterError: no record, or none of that layer.
    """

    def __init__(
        self,
        records: Sequence[GateRecord],
        report: GateReport,
        layer: str | None = None,
        title: str = "What the gates did",
    ) -> None:
        names = [record.layer for record in records]
        if not names or (layer is not None and layer not in names):
            raise ParameterError(must_be("layer", f"one of {names}", layer))
        self.records, self.report, self.title = list(records), report, title
        self._record = self.records[0 if layer is None else names.index(layer)]

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib."""
        record = self._record
        drawn, steps = notable(record, self.report, _MOST_UNITS), min(len(record), _MOST_STEPS)
        gates = {k: v for k, v in record.gates.items() if v.shape == record.hidden.shape}
        heights = [max(0.5, _ROW * len(drawn))] * len(gates)
        if record.picture is not None:
            heights.append(0.9)
        width = 2.0 + _width(steps)
        figures = require("matplotlib.figure")
        figure = figures.Figure(
            (width, 1.2 + 0.25 * len(gates) + sum(heights)), layout="constrained"
        )
        axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
        for ax, (name, values) in zip(axes[:, 0], gates.items(), strict=False):
            self._draw(figure, ax, name, values[:steps, drawn].T, drawn)
        last = axes[-1, 0]
        if record.picture is not None:
            self._draw_picture(last, record.picture[:steps])
        self._label(last, steps)
        heading = {"fontsize": 13, "fontweight": "bold", "color": INK, "parse_math": False}
        figure.suptitle(f"{self.title}: {record.layer}", x=0.02, ha="left", **heading)
        notes = (
            left_out(len(drawn), len(record.units), "units"),
            left_out(steps, len(record), f"{record.step}s"),
        )
        figure.supxlabel("; ".join(filter(None, notes)), fontsize=9, color=GREY)
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        Raises MissingExtra without matplotlib, which a page does not need.
        """
        save(path, self.plot, lambda: gate_page(self.records, self.report, self.title))

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _draw(
        self, figure: Figure, ax: Axes, name: str, values: np.ndarray, units: np.ndarray
    ) -> None:
        colors = require("matplotlib.colors").LinearSegmentedColormap
        with_sign = name in _GATES_WITH_SIGN
        most = float(np.abs(values).max()) or 1.0 if with_sign else 1.0
        shades = [VERMILLION, "#ffffff", BLUE] if with_sign else ["#ffffff", BLUE]
        image = ax.imshow(
            values,
            aspect="auto",
            cmap=colors.from_list("", shades),
            vmin=-most if with_sign else 0.0,
            vmax=most,
            interpolation="nearest",
        )
        ax.set_title(name, loc="left", fontsize=10, color=INK)
        every = -(-len(units) // 12)
        places = range(0, len(units), every)
        ax.set_yticks(list(places), [self._record.units[units[at]] for at in places])
        ax.set_ylabel("unit", color=GREY, fontsize=9)
        self._dress(ax)
        bar = figure.colorbar(image, shrink=0.8, pad=0.01, format="%.2g")
        bar.set_ticks([-most, 0, most] if with_sign else [0, 1])
        bar.ax.tick_params(color=GREY, labelcolor=INK, labelsize=8)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]

    def _draw_picture(self, ax: Axes, picture: np.ndarray) -> None:
        if picture.shape[1] > _SPECTRUM:
            low, high = np.nanpercentile(picture, (1, 99))
            ax.imshow(
                picture.T,
                aspect="auto",
                origin="lower",
                cmap="Greys",
                vmin=low,
                vmax=max(high, low + 1e-6),
            )
            ax.set_yticks([])
        else:
            ax.plot(
                np.arange(len(picture)), picture, color=INK, linewidth=1.0, marker=".", markersize=2
            )
            ax.margins(x=0)
        ax.set_ylabel("input", color=GREY, fontsize=9)
        self._dress(ax)

    def _label(self, ax: Axes, steps: int) -> None:
        """The steps: every sign of a text; of times a few."""
        record, labels = self._record, labels_of(self._record)[:steps]
        written = record.step in WRITTEN
        # About 0.08 inches for a sign.
        widest = max(map(len, labels)) + 2
        every = 1 if written else max(1, -(-round(0.08 * widest * steps) // round(_width(steps))))
        places = range(0, steps, every)
        labels = [_visible(labels[at]) if written else labels[at] for at in places]
        turned = written and record.step != "character"
        ax.set_xticks(
            list(places),
            labels,
            fontsize=7 if written else 8,
            rotation=90 if turned else 0,
            parse_math=False,
        )
        ax.set_xlabel(record.step, color=GREY, fontsize=9)

    @staticmethod
    def _dress(ax: Axes) -> None:
        ax.tick_params(length=0, labelcolor=INK, labelsize=8)
        ax.spines[:].set_color(GREY)


def _width(steps: int) -> float:
    """Of the maps, in inches."""
    return max(4.0, _COLUMN * steps)


def _visible(label: str) -> str:
    return "".join({" ": "␣", "\n": "⏎"}.get(sign, sign) for sign in label)
