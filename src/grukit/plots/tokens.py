"""The picture of a text whose tokens are coloured by a weight each."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.style import BLUE, DPI, GREY, INK, VERMILLION, left_out, render, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grukit.results.classification import TextExplanation

_COLUMNS, _MOST_LINES = 100, 80
_FONT_SIZE, _LINE_HEIGHT = 10, 0.25  # points, inches
_ABOVE, _BELOW, _BESIDE = 0.55, 0.75, 0.3  # inches
_STRONGEST = 0.7  # of a colour, mixed with white, so that black letters stand out
_NO_GLYPH = "\N{WHITE VERTICAL RECTANGLE}"
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.7 ui-monospace, monospace; color: {ink}; margin: 2em; max-width: 60em; }}
h1 {{ font: bold 20px sans-serif; }}
p {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
span {{ border-radius: 3px; unicode-bidi: isolate; }}
footer {{ font: 13px sans-serif; color: {grey}; }}
i {{ display: inline-block; width: 20em; height: 1em; vertical-align: middle; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{tokens}</p>
<footer>{low} <i style="background: linear-gradient(to right, {scale})"></i> {high} {label}</footer>
</body>
</html>
"""


class _Piece(NamedTuple):
    """What of a token stands in one line."""

    token: int
    line: int
    column: int
    width: int
    text: str


class TokensDisplay:
    """A text, each token of which is coloured by its weight, with a scale below.

    >>> display = TokensDisplay(["not", "good"], [-1.5, -0.5], "added to the log-odds")
    >>> display.plot().axes[0].texts[0].get_text()
    'not'

    Line breaks and tabs are shown as signs. Tokens none of which has a space, as words, are drawn
    apart; others as they follow each other.

    Args:
        tokens: T of them, as text.
        weights: float [T], finite.
        label: what a weight is, with its unit.
        title: line above the picture.
        signed: two colours, about zero; otherwise one, for weights from zero up.
        full: the weight from which on a colour is full; by default the largest there is.

    Raises:
        ParameterError: for weights of another number, or that are not finite, or below zero where
            they are not `signed`.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        weights: Sequence[float] | np.ndarray,
        label: str = "",
        title: str = "",
        signed: bool = True,
        full: float | None = None,
    ) -> None:
        self.tokens, self.weights = tuple(tokens), np.asarray(weights, np.float64)
        if self.weights.shape != (len(self.tokens),):
            wanted = f"one for each of {len(self.tokens):,} tokens"
            raise ParameterError(must_be("weights", wanted, f"shape {self.weights.shape}"))
        fitting = np.isfinite(self.weights) & (signed | (self.weights >= 0))
        if not fitting.all():
            wanted = "finite numbers" if signed else "finite numbers of at least 0"
            raise ParameterError(must_be("weights", wanted, float(self.weights[~fitting][0])))
        self.label, self.title, self.signed = label, title, signed
        self._most = full or float(np.abs(self.weights).max(initial=0.0)) or 1.0

    @classmethod
    def from_explanation(cls, explanation: TextExplanation, title: str | None = None) -> Self:
        """What each token added to the log-odds of a class: blue for it, vermillion against it."""
        own = explanation
        if title is None:
            title = f"{own.label}: log-odds {own.log_odds:+.2f}, from {own.start:+.2f}"
        return cls(own.tokens, own.weights, f"added to the log-odds of {own.label}", title)

    def plot(self) -> Figure:
        """Draw the text, of a long one the first lines, and return the figure.

        The figure is independent of pyplot. Characters that matplotlib's font ("monospace" of its
        settings) does not have are drawn as empty boxes. Raises MissingExtra without matplotlib.
        """
        fonts = require("matplotlib.font_manager")
        font = fonts.get_font(fonts.findfont(fonts.FontProperties(family="monospace")))
        font.set_size(_FONT_SIZE, DPI)
        pixels = font.load_char(ord("0")).linearHoriAdvance / 65536
        # Letters are drawn at whole pixels: so large that boxes and letters go together.
        advance, size = round(pixels) / DPI, _FONT_SIZE * round(pixels) / pixels
        pieces, drawn = self._laid_out()
        lines = max((piece.line for piece in pieces), default=0) + 1

        width, height = _COLUMNS * advance + 2 * _BESIDE, lines * _LINE_HEIGHT + _ABOVE + _BELOW
        figure = require("matplotlib.figure").Figure((width, height))
        inner = 1 - 2 * _BESIDE / width
        ax = figure.add_axes(
            (_BESIDE / width, _BELOW / height, inner, lines * _LINE_HEIGHT / height)
        )
        ax.set(xlim=(0, _COLUMNS), ylim=(lines, 0))
        ax.set_axis_off()
        boxes = [
            [(x, y + 0.06), (x + w, y + 0.06), (x + w, y + 0.94), (x, y + 0.94)]
            for _, y, x, w, _ in pieces
        ]
        colours = [self._colour(self.weights[piece.token]) for piece in pieces]
        ax.add_collection(require("matplotlib.collections").PolyCollection(boxes, fc=colours))
        known = font.get_charmap()
        for piece in pieces:
            ax.text(
                piece.column,
                piece.line + 0.5,
                "".join(
                    sign if ord(sign) in known else _NO_GLYPH * _columns_of(sign)
                    for sign in piece.text
                ),
                family="monospace",
                fontsize=size,
                va="center_baseline",
                color=INK,
                parse_math=False,
            )

        figure.text(
            _BESIDE / width,
            1 - 0.15 / height,
            self.title,
            va="top",
            fontsize=13,
            weight="bold",
            color=INK,
            parse_math=False,
        )
        scale = figure.add_axes((_BESIDE / width, 0.42 / height, 0.3, 0.12 / height))
        low = -self._most if self.signed else 0.0
        steps = np.linspace(low, self._most, 256)
        palette = require("matplotlib.colors").ListedColormap([self._colour(own) for own in steps])
        scale.imshow(steps[None], cmap=palette, aspect="auto", extent=(low, self._most, 0, 1))
        scale.set_yticks([])
        scale.spines[:].set_visible(False)
        scale.tick_params(color=GREY, labelcolor=INK, labelsize=9)
        note = left_out(drawn, len(self.tokens), "tokens")
        figure.text(
            _BESIDE / width + 0.32,
            0.48 / height,
            "; ".join(filter(None, [self.label, note])),
            va="center",
            fontsize=9,
            color=GREY,
            parse_math=False,
        )
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf), or a page (.html) with the whole text and weights.

        Written whole or not at all. Raises MissingExtra for a picture without matplotlib.
        """
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _page(self) -> str:
        spans = (
            f'<span style="background:{self._colour(weight)}" title="{weight:.3g}">'
            f"{html.escape(_visible(token))}</span>"
            for token, weight in zip(self.tokens, self.weights, strict=True)
        )
        low = -self._most if self.signed else 0.0
        return _PAGE.format(
            title=html.escape(self.title),
            tokens=(" " * self._gap).join(spans),
            low=f"{low:.3g}",
            high=f"{self._most:.3g}",
            scale=", ".join(self._colour(own) for own in np.linspace(low, self._most, 9)),
            label=html.escape(self.label),
            ink=INK,
            grey=GREY,
        )

    def _colour(self, weight: float) -> str:
        end = BLUE if weight > 0 and self.signed else VERMILLION
        share = _STRONGEST * min(1.0, abs(weight) / self._most)
        parts = (int(end[at : at + 2], 16) for at in (1, 3, 5))
        return "#" + "".join(f"{round(255 + share * (own - 255)):02x}" for own in parts)

    @property
    def _gap(self) -> int:
        """Columns between two tokens."""
        return int(not any(sign.isspace() for token in self.tokens for sign in token))

    def _laid_out(self) -> tuple[list[_Piece], int]:
        """Where each token stands, in the lines that are drawn; and how many tokens those hold."""
        pieces: list[_Piece] = []
        line, column = 0, 0
        for group in self._words():
            visible = {at: _visible(self.tokens[at]) for at in group}
            if column and column + sum(map(_width, visible.values())) > _COLUMNS:
                line, column = line + 1, 0
            for at, text in visible.items():
                for part in _broken(text, column):
                    if part is None:
                        line, column = line + 1, 0
                        continue
                    if line == _MOST_LINES:
                        return pieces, at
                    pieces.append(_Piece(at, line, column, width := _width(part), part))
                    column += width
                column += self._gap
        return pieces, len(self.tokens)

    def _words(self) -> list[list[int]]:
        """The places of tokens that stand in one line, if they fit."""
        if self._gap:
            return [[at] for at in range(len(self.tokens))]
        number, numbers = 0, []
        for at, token in enumerate(self.tokens):
            after_space = at > 0 and self.tokens[at - 1][-1:].isspace()
            number += token[:1].isspace() or after_space
            numbers.append(number)
        places = groupby(range(len(numbers)), key=numbers.__getitem__)
        return [list(group) for _, group in places]


def _visible(token: str) -> str:
    """The token with signs for what cannot be seen; a line break stays after its sign."""
    signs = {"\n": "↵\n", "\t": "→   "}
    return "".join(
        signs.get(sign, chr(0x2400 + ord(sign)) if ord(sign) < 0x20 else sign) for sign in token
    )


def _width(text: str) -> int:
    """How many columns a text takes, up to a line break."""
    return sum(map(_columns_of, text.partition("\n")[0]))


def _columns_of(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def _broken(text: str, column: int) -> list[str | None]:
    """The parts of a text that fit into lines, the first from a column on; None breaks a line."""
    parts: list[str | None] = []
    start = 0
    for at, sign in enumerate(text):
        over = sign != "\n" and column + _columns_of(sign) > _COLUMNS
        if sign == "\n" or over:
            parts += [text[start:at], None]
            start, column = (at, 0) if over else (at + 1, 0)
        column += 0 if sign == "\n" else _columns_of(sign)
    return [part for part in [*parts, text[start:]] if part != ""]
