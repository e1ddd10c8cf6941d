"""The picture of where in a text a translator looked."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.style import BLUE, GREY, INK, left_out, render, save
from grukit.results.translation import Translation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# So many pieces of each text are drawn, each so many inches, or pixels of a page, wide and high.
_MOST_PIECES = 80
_INCHES, _PIXELS = 0.26, 26
_COLORS = ("#ffffff", BLUE)


class AttentionDisplay:
    """A row for each piece of a translation, a column for each of its source: where it looked.

    The darker, the more. Spaces are drawn as ␣; of long texts the first 80 pieces are drawn.

    Args:
        translation: what to draw.
        title: line above the picture.

    Raises:
        ParameterError: nothing was translated, as in an empty text.
    """

    def __init__(self, translation: Translation, title: str | None = None) -> None:
        if not translation.tokens:
            raise ParameterError(
                must_be("translation", "of a text that says something", translation.source)
            )
        self.translation = translation
        self.title = "Where it looked" if title is None else title
        self._rows, self._columns = (
            [_visible(piece) for piece in pieces[:_MOST_PIECES]]
            for pieces in (translation.tokens, translation.source_tokens)
        )
        self._weights = translation.attention[:_MOST_PIECES, :_MOST_PIECES]

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib.

        What the font lacks is an empty box; a page (.html) has every script.
        """
        size = (2.6 + _INCHES * len(self._columns), 1.6 + _INCHES * len(self._rows))
        figure = require("matplotlib.figure").Figure(size, layout="constrained")
        ax = figure.subplots()
        shades = require("matplotlib.colors").LinearSegmentedColormap.from_list("", _COLORS)
        image = ax.imshow(self._weights, cmap=shades, vmin=0, vmax=1)
        plain = {"fontsize": 9, "color": INK, "parse_math": False}
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.set_xticks(range(len(self._columns)), self._columns, rotation=self._turned, **plain)
        ax.set_yticks(range(len(self._rows)), self._rows, **plain)
        ax.tick_params(length=0)
        ax.spines[:].set_color(GREY)
        ax.set_xlabel("source", color=GREY)
        ax.set_ylabel("translation", color=GREY)
        bar = figure.colorbar(image, shrink=0.5, ticks=(0, 0.5, 1))
        bar.set_label("attention", color=GREY)
        bar.ax.tick_params(color=GREY, labelcolor=INK, labelsize=9)
        bar.outline.set_visible(False)
        heading = {"fontsize": 13, "fontweight": "bold", "color": INK, "parse_math": False}
        figure.suptitle(self.title, x=0.02, ha="left", **heading)
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
        require("plotly")
        graphs = require("plotly.graph_objects")
        rows, columns = ([html.escape(p) for p in side] for side in (self._rows, self._columns))
        heat = graphs.Heatmap(
            z=self._weights,
            text=[[f"{row} from {column}" for column in columns] for row in rows],
            hovertemplate="%{text}: %{z:.2f}<extra></extra>",
            colorscale=list(enumerate(_COLORS)),
            zmin=0,
            zmax=1,
            colorbar={"title": "attention", "thickness": 12, "tickvals": [0, 0.5, 1]},
        )
        figure = graphs.Figure(heat)
        note = f"<br><sub>{self._note}</sub>" if self._note else ""
        figure.update_layout(
            title={"text": f"<b>{html.escape(self.title)}</b>{note}", "x": 0.01},
            width=300 + _PIXELS * len(columns),
            height=240 + _PIXELS * len(rows),
            template="plotly_white",
            font_color=INK,
        )
        line = {"showgrid": False, "showline": True, "mirror": True, "linecolor": GREY}
        x = {"tickvals": list(range(len(columns))), "ticktext": columns, "side": "top"}
        y = {"tickvals": list(range(len(rows))), "ticktext": rows, "autorange": "reversed"}
        figure.update_xaxes(title_text="source", tickangle=-self._turned, **x, **line)
        figure.update_yaxes(title_text="translation", **y, **line)
        return figure.to_html(include_plotlyjs=True, full_html=True, div_id="grukit")

    @property
    def _turned(self) -> int:
        """The angle of the words above, in degrees: single letters stand upright."""
        return 90 if any(len(piece) > 2 for piece in self._columns[:-1]) else 0

    @property
    def _note(self) -> str:
        own = self.translation
        sides = (
            left_out(len(self._columns), len(own.source_tokens), "pieces of the source"),
            left_out(len(self._rows), len(own.tokens), "of the translation"),
        )
        return "; ".join(filter(None, sides))


def _visible(piece: str) -> str:
    """A piece on one line, with its spaces."""
    shown = ("␣" if sign == " " else sign for sign in piece)
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in shown)
