"""Pictures of recognized speech: what was heard when, and what was taken for what."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.core.rules import check, number
from grukit.plots.style import BLUE, GREY, INK, left_out, render, save
from grukit.results.speech_evaluation import WordsEvaluation
from grukit.results.transcript import TimedWord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# So many seconds of a recording are drawn, each so many inches, or pixels of a page, wide.
_MOST_SECONDS, _INCHES, _PIXELS = 30.0, 1.1, 110
_LEAST_INCHES = 6.0
_MOST_TOKENS, _MOST_CLASSES = 40, 40
_WHITE = "#ffffff"
# A token is drawn where it ever has this chance.
_LEAST_CHANCE = 0.05
# Widths of a letter and heights of a row, in inches at 9 points.
_LETTER, _ROW = 0.09, 0.2


class SpectrogramDisplay:
    """Features over time, and above them the words, the darker the surer.

    Of long recordings the first 30 seconds are drawn.

    Args:
        features: float [T, F], such as log-mel energies, the lowest frequency first.
        hop: seconds from one frame to the next.
        words: what was said, with times from the first frame on.
        title: line above the picture.

    Raises:
        ParameterError: features of another shape or that are not finite, or no frame.
    """

    def __init__(
        self,
        features: np.ndarray,
        hop: float,
        words: Sequence[TimedWord] = (),
        title: str = "What was said",
    ) -> None:
        self.features = _matrix("features", features, "float [T, F] of at least one frame")
        if not np.isfinite(self.features).all():
            raise ParameterError(must_be("features", "finite", "others"))
        self.hop, self.title = _hop(hop), title
        self._shown = self.features[: _frames(hop)]
        self._seconds = len(self._shown) * hop
        self.words = tuple(words)
        self._words = tuple(word for word in self.words if word.start < self._seconds)

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib.

        What the font lacks is an empty box; a page (.html) has every script.
        """
        turned = any(
            len(word.text) * _LETTER > (word.end - word.start) * _INCHES for word in self._words
        )
        longest = max((len(word.text) for word in self._words), default=1)
        above = 0.2 + (longest * _LETTER if turned else _ROW) if self._words else 0.0
        width = _width(self._seconds)
        figure = _figure((width, 3.6 + above))
        if self._words:
            axes = figure.subplots(2, 1, sharex=True, height_ratios=(above, 2.6))
            self._draw_words(axes[0], turned)
            ax = axes[1]
        else:
            ax = figure.subplots()
        low, high = np.percentile(self._shown, (1, 99))
        ax.imshow(
            self._shown.T,
            origin="lower",
            aspect="auto",
            cmap=_shades(INK),
            vmin=low,
            vmax=max(high, low + 1e-6),
            extent=(0, self._seconds, -0.5, self._shown.shape[1] - 0.5),
        )
        for word in self._words:
            for edge in (word.start, word.end):
                ax.axvline(edge, color=BLUE, linewidth=0.6)
        ax.set_xlim(0, self._seconds)
        _dress(ax, "seconds", "feature")
        _headed(figure, self.title, self._note)
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        Raises MissingExtra without matplotlib, or for a page plotly.
        """
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _draw_words(self, ax: Axes, turned: bool) -> None:
        shades = _shades(BLUE)
        for word in self._words:
            end = min(word.end, self._seconds)
            # At most 0.7 of the colour, so that black letters stand out.
            shade = shades(0.7 * float(np.clip(word.confidence, 0, 1)))
            ax.axvspan(word.start, end, facecolor=shade, edgecolor=GREY, linewidth=0.6)
            ax.text(
                (word.start + end) / 2,
                0.5,
                word.text,
                rotation=90 if turned else 0,
                ha="center",
                va="center",
                fontsize=9,
                color=INK,
                parse_math=False,
                clip_on=True,
            )
        ax.set_ylim(0, 1)
        ax.set_yticks([])
        ax.tick_params(bottom=False, labelbottom=False)
        ax.spines[:].set_visible(False)

    def _page(self) -> str:
        page = _Page(self._shown.T, "feature", INK, "value", self._seconds, self.hop)
        for word in self._words:
            page.word(word)
        return page.to_html(self.title, self._note)

    @property
    def _note(self) -> str:
        darker = "the darker a word, the surer" if self._words else ""
        return "; ".join(filter(None, (darker, _cut(self.features, self._shown, self.hop))))


class PosteriorsDisplay:
    """The chance of each token over time, the darker the higher.

    Drawn are the tokens that ever have a chance of 0.05, at most 40, those with the highest first
    choice; of long recordings the first 30 seconds.

    Args:
        log_probs: float [T, V], natural logarithms of chances.
        tokens: V names; the first is the blank of CTC.
        hop: seconds from one row to the next.
        title: line above the picture.

    Raises:
        ParameterError: another number of tokens, what are no logarithms of chances, or no row.
    """

    def __init__(
        self,
        log_probs: np.ndarray,
        tokens: Sequence[str],
        hop: float,
        title: str = "What was heard",
    ) -> None:
        self.log_probs = _matrix("log_probs", log_probs, "float [T, V] of at least one row")
        if self.log_probs.shape[1] != len(tokens):
            wanted = f"one for each column of log_probs ({self.log_probs.shape[1]:,})"
            raise ParameterError(must_be("tokens", wanted, len(tokens)))
        if not (self.log_probs <= 1e-3).all():
            worst = float(self.log_probs.max())
            raise ParameterError(must_be("log_probs", "at most 0", worst))
        self.hop, self.title = _hop(hop), title
        self._shown = np.exp(self.log_probs[: _frames(hop)])
        self._seconds = len(self._shown) * hop
        highest = self._shown.max(axis=0)
        drawn = np.flatnonzero(highest >= _LEAST_CHANCE)
        self._heard = len(drawn)
        most = drawn[np.argsort(-highest[drawn], kind="stable")[:_MOST_TOKENS]]
        self._drawn = np.sort(most)
        names = ["(blank)", *(_visible(token) for token in tokens[1:])]
        self._names = [names[at] for at in self._drawn]

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib.

        What the font lacks is an empty box; a page (.html) has every script.
        """
        figure = _figure((_width(self._seconds), 1.6 + _ROW * len(self._drawn)))
        ax = figure.subplots()
        image = ax.imshow(
            self._shown[:, self._drawn].T,
            aspect="auto",
            cmap=_shades(BLUE),
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(0, self._seconds, len(self._drawn) - 0.5, -0.5),
        )
        _dress(ax, "seconds", "")
        ax.set_yticks(range(len(self._names)), self._names, parse_math=False)
        _bar(figure, image, "chance")
        _headed(figure, self.title, self._note)
        return figure

    def save(self, path: str | Path) -> None:
        """As `SpectrogramDisplay.save`."""
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _page(self) -> str:
        heat = self._shown[:, self._drawn].T
        page = _Page(heat, "token", BLUE, "chance", self._seconds, self.hop, self._names)
        return page.to_html(self.title, self._note)

    @property
    def _note(self) -> str:
        shown = left_out(len(self._drawn), self._heard, "tokens that were heard")
        return "; ".join(filter(None, (_cut(self.log_probs, self._shown, self.hop), shown)))


class ConfusionDisplay:
    """Which word was taken for which: rows are said, columns are heard.

    A colour is the share of its row, a number how often it was so. What is none of the words, or
    was rejected, is "(unknown)", where it comes up. Of more than 40 words those that are said most
    often are drawn.

    Args:
        evaluation: what `SpeechRecognizer.evaluate` tells of single words.
        title: line above the picture.
    """

    def __init__(self, evaluation: WordsEvaluation, title: str = "What was taken for what") -> None:
        self.evaluation, self.title = evaluation, title
        counts = evaluation.confusion
        names = [*evaluation.classes, "(unknown)"]
        if not counts[-1].any() and not counts[:, -1].any():
            counts, names = counts[:-1, :-1], names[:-1]
        order = np.argsort(-counts.sum(axis=1), kind="stable")[:_MOST_CLASSES]
        drawn = np.sort(order)
        self._counts = counts[np.ix_(drawn, drawn)]
        self._names = [names[at] for at in drawn]
        self._shares = self._counts / np.maximum(counts[drawn].sum(axis=1, keepdims=True), 1)
        self._note = left_out(len(drawn), len(names), "words")

    def plot(self) -> Figure:
        """Draw and return the figure, independent of pyplot; MissingExtra without matplotlib."""
        size, longest = len(self._names), max(map(len, self._names))
        side = 0.36 * size + _LETTER * longest
        figure = _figure((side + 2.0, side + 1.2))
        ax = figure.subplots()
        image = ax.imshow(self._shares, cmap=_shades(BLUE), vmin=0, vmax=1)
        for row, column in np.argwhere(self._counts):
            ax.text(
                column,
                row,
                f"{self._counts[row, column]}",
                ha="center",
                va="center",
                fontsize=7,
                color=_WHITE if self._shares[row, column] > 0.6 else INK,
            )
        _dress(ax, "heard", "said")
        ax.set_yticks(range(size), self._names, parse_math=False)
        turned = 90 if longest > 3 else 0
        ax.set_xticks(range(size), self._names, rotation=turned, parse_math=False)
        _bar(figure, image, "share of the row")
        _headed(figure, self.title, self._note)
        return figure

    def save(self, path: str | Path) -> None:
        """As `SpectrogramDisplay.save`."""
        save(path, self.plot, self._page)

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _page(self) -> str:
        page = _Page(self._shares, "said", BLUE, "share of the row", names=self._names)
        return page.to_html(self.title, self._note, self._counts)


class _Page:
    """A heat map to zoom and to read values from; time, or the names of the rows, go across."""

    def __init__(
        self,
        heat: np.ndarray,
        ylabel: str,
        color: str,
        label: str,
        seconds: float | None = None,
        hop: float = 1.0,
        names: Sequence[str] | None = None,
    ) -> None:
        require("plotly")
        self._rows, self._columns = heat.shape
        self._label, self._seconds = label, seconds
        given: dict[str, Any] = {"zmin": 0, "zmax": 1} if color == BLUE else {}
        if seconds is not None:
            given |= {"x0": hop / 2, "dx": hop}
        graphs = require("plotly.graph_objects")
        self._heat = graphs.Heatmap(
            z=heat.astype(np.float32),
            colorscale=[[0, _WHITE], [1, color]],
            colorbar={"title": label, "thickness": 12},
            **given,
        )
        self._figure = graphs.Figure(self._heat)
        self._y: dict[str, Any] = {"title_text": ylabel}
        self._x: dict[str, Any] = {"title_text": "heard" if seconds is None else "seconds"}
        if names is not None:
            escaped = [html.escape(name) for name in names]
            ticks = {"tickvals": list(range(len(names))), "ticktext": escaped}
            self._y |= {**ticks, "autorange": "reversed"}
            if seconds is None:
                self._x |= ticks

    def word(self, word: TimedWord) -> None:
        """A word above its stretch of time."""
        for at in (word.start, word.end):
            self._figure.add_vline(x=at, line={"color": BLUE, "width": 1})
        self._figure.add_annotation(
            x=(word.start + word.end) / 2,
            y=1,
            yref="paper",
            yanchor="bottom",
            text=html.escape(word.text),
            hovertext=f"{html.escape(word.text)}: {word.confidence:.2f}",
            showarrow=False,
            textangle=-60,
        )

    def to_html(self, title: str, note: str, counts: np.ndarray | None = None) -> str:
        """The whole page with plotly's own script in it, so that it needs no network."""
        if counts is not None:
            self._figure.update_traces(text=counts, texttemplate="%{text}")
        under = f"<br><sub>{html.escape(note)}</sub>" if note else ""
        wide = self._columns * 32 if self._seconds is None else _PIXELS * self._seconds
        self._figure.update_layout(
            title={"text": f"<b>{html.escape(title)}</b>{under}", "x": 0.01},
            width=260 + max(int(wide), 500),
            height=320 + (32 if self._seconds is None else 14) * self._rows,
            template="plotly_white",
            font_color=INK,
            margin={"t": 170},
        )
        self._figure.update_xaxes(showgrid=False, **self._x)
        self._figure.update_yaxes(showgrid=False, **self._y)
        return self._figure.to_html(include_plotlyjs=True, full_html=True, div_id="grukit")


def _matrix(name: str, given: Any, wanted: str) -> np.ndarray:
    values = np.asarray(given, np.float32)
    if values.ndim != 2 or not values.size:
        raise ParameterError(must_be(name, wanted, f"shape {values.shape}"))
    return values


def _hop(hop: float) -> float:
    check({"hop": hop}, {"hop": number(above=0)})
    return float(hop)


def _frames(hop: float) -> int:
    return max(1, round(_MOST_SECONDS / hop))


def _cut(whole: np.ndarray, shown: np.ndarray, hop: float) -> str:
    if len(shown) == len(whole):
        return ""
    return f"the first {len(shown) * hop:g} of {len(whole) * hop:.1f} seconds"


def _width(seconds: float) -> float:
    return max(_LEAST_INCHES, 1.5 + _INCHES * seconds)


def _visible(token: str) -> str:
    """A token on one line, with its spaces."""
    shown = ("␣" if sign == " " else sign for sign in token)
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in shown)


def _figure(size: tuple[float, float]) -> Figure:
    return require("matplotlib.figure").Figure(size, layout="constrained")


def _shades(color: str) -> Any:
    return require("matplotlib.colors").LinearSegmentedColormap.from_list("", (_WHITE, color))


def _bar(figure: Figure, image: Any, label: str) -> None:
    bar = figure.colorbar(image, shrink=0.6, ticks=(0, 0.5, 1))
    bar.set_label(label, color=GREY)
    bar.ax.tick_params(color=GREY, labelcolor=INK, labelsize=9)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def _dress(ax: Axes, xlabel: str, ylabel: str) -> None:
    ax.set_xlabel(xlabel, color=GREY)
    ax.set_ylabel(ylabel, color=GREY)
    ax.spines[:].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor=INK, labelsize=9)


def _headed(figure: Figure, title: str, note: str) -> None:
    heading = {"fontsize": 13, "fontweight": "bold", "color": INK, "parse_math": False}
    figure.suptitle(title, x=0.02, ha="left", **heading)
    figure.supxlabel(note, fontsize=9, color=GREY)
