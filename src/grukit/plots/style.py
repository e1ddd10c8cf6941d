"""What the pictures have in common: colours, axes of time, lines with gaps, and saving."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.core.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 6
SUFFIXES = (".png", ".svg", ".pdf", ".html")
DPI = 160

INK, GREY, PALE = "#222222", "#767676", "#e4e4e4"
# Okabe & Ito's blue and vermillion, which every kind of colour blindness tells apart.
BLUE, VERMILLION = "#0072B2", "#D55E00"

_DATES = {
    "formats": ["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
    "zero_formats": ["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
    "offset_formats": ["", "", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y %H:%M"],
}


def draw_line(ax: Axes, x: np.ndarray, values: np.ndarray, **style) -> None:
    """A line that breaks at missing values; a value between two of them is a dot."""
    missing = np.concatenate([[True], np.isnan(values), [True]])
    alone = missing[:-2] & ~missing[1:-1] & missing[2:]
    if alone.any():
        style |= {"marker": ".", "markevery": alone}
    ax.plot(x, values, **style)  # pyright: ignore[reportArgumentType]


def dress(ax: Axes, xlabel: str, ylabel: str, title: str | None = None, dates: bool = True) -> None:
    """Labels, grid and an axis of dates, or of the numbers of rows."""
    if dates:
        module = require("matplotlib.dates")
        locator = module.AutoDateLocator(minticks=4, maxticks=9)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(module.ConciseDateFormatter(locator, **_DATES))
    ax.margins(x=0.01)
    ax.set_xlabel(xlabel, color=INK)
    ax.set_ylabel(ylabel, color=INK)
    if title is not None:
        ax.set_title(title, loc="left", fontsize=10, color=INK)
    ax.set_axisbelow(True)
    ax.grid(axis="y", color=PALE, linewidth=0.8)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=9)
    ax.tick_params(axis="y", length=0)


def add_legend(figure: Figure, title: str, handles: list[Any], labels: list[str]) -> None:
    """The title and one legend for all rows, above them."""
    legend = figure.legend(
        handles,
        labels,
        title=title,
        title_fontproperties={"size": 13, "weight": "bold"},
        loc="outside upper left",
        alignment="left",
        ncols=len(labels),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        columnspacing=1.6,
    )
    legend.get_title().set_color(INK)


def left_out(shown: int, count: int, what: str) -> str:
    """Words for what is not drawn; none where all is."""
    return f"{shown} of {count} {what} shown, {count - shown} left out" if shown < count else ""


def render(figure: Figure, kind: str) -> bytes:
    """The figure as "png", "svg" or "pdf"; a sign that its font lacks is a box."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format=kind, dpi=DPI, facecolor="white")
    return buffer.getvalue()


def save(path: str | Path, picture: Callable[[], Figure], page: Callable[[], str]) -> None:
    """Write a picture as .png, .svg or .pdf, or a page as .html, whole or not at all."""
    kind = Path(path).suffix.lower()
    if kind not in SUFFIXES:
        wanted = "a file name ending in .png, .svg, .pdf or .html"
        raise ParameterError(must_be("path", wanted, str(path)))
    write_atomically(path, page() if kind == ".html" else render(picture(), kind[1:]))
