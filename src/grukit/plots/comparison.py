"""The learning curves of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from grukit.core.errors import ParameterError, must_be
from grukit.core.extras import require
from grukit.plots.pages import Page
from grukit.plots.style import BLUE, GREY, VERMILLION, add_legend, dress, render, save
from grukit.results.cells import NAMES
from grukit.results.comparison import Comparison, Question

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe & Ito, which every kind of colour blindness tells apart.
_COLORS = {
    "rnn": GREY,
    "lstm": VERMILLION,
    "gru": BLUE,
    "gru_before": "#56B4E9",
    "mingru": "#009E73",
    "gru_d": "#CC79A7",
}


class ComparisonDisplay:
    """For each problem the validation loss against the epoch, by cell, on a log scale.

    A line is the median over seeds at the learning rate that was chosen, with a band from the
    lowest to the highest seed. The dotted line is the loss at which the problem counts as learned.

    comparison: what to draw. problems: names of those to draw, by default all.

    Raises ParameterError where there is nothing to draw.
    """

    def __init__(self, comparison: Comparison, problems: list[str] | None = None) -> None:
        names = [question.name for question in comparison.questions]
        wanted = names if problems is None else problems
        if not wanted or not set(wanted) <= set(names):
            raise ParameterError(must_be("problems", f"of {', '.join(names)}", problems))
        self.comparison = comparison
        self.questions = [comparison.question(name) for name in wanted]

    def plot(self) -> Figure:
        """Draw a panel for each problem and return the figure, independent of pyplot.

        Raises MissingExtra without matplotlib.
        """
        rows = -(-len(self.questions) // 2)
        columns = min(2, len(self.questions))
        size = (4.8 * columns + 0.4, 2.9 * rows + 0.9)
        figure = require("matplotlib.figure").Figure(size, layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        shown = {}
        for ax, question in zip(axes, self.questions, strict=False):
            self._draw(ax, question)
            handles, labels = ax.get_legend_handles_labels()
            shown |= dict(zip(labels, handles, strict=True))
        for ax in axes[len(self.questions) :]:
            ax.set_visible(False)
        add_legend(figure, "Validation loss", list(shown.values()), list(shown))
        return figure

    def save(self, path: str | Path) -> None:
        """Write a picture (.png, .svg, .pdf) or an interactive page (.html), whole or not at all.

        A page needs no network. Raises MissingExtra without matplotlib, or for a page plotly.
        """
        save(path, self.plot, lambda: self.page().to_html())

    def page(self) -> Page:
        """The same lines to read values from; MissingExtra without plotly."""
        titles = [question.title for question in self.questions]
        labels = ["validation loss"] * len(titles)
        page = Page(labels, titles, "Validation loss", "epoch", log=True)
        for row, question in enumerate(self.questions, start=1):
            for cell in self._cells(question):
                epochs, _, middle, _ = self._curve(question, cell)
                page.line(row, epochs, middle, NAMES.get(cell, cell), _COLORS.get(cell, GREY))
            if question.goal is not None:
                page.level(row, question.goal)
        return page

    def _repr_png_(self) -> bytes:
        return render(self.plot(), "png")

    def _draw(self, ax: Axes, question: Question) -> None:
        for cell in self._cells(question):
            epochs, low, middle, high = self._curve(question, cell)
            color = _COLORS.get(cell, GREY)
            ax.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
            marker = "o" if len(epochs) == 1 else None
            name = NAMES.get(cell, cell)
            ax.plot(epochs, middle, color=color, linewidth=1.4, marker=marker, label=name)
        if question.goal is not None:
            ax.axhline(question.goal, color=GREY, linestyle=":", linewidth=1)
        ax.set_yscale("log")
        dress(ax, "epoch", "", question.title, dates=False)

    def _cells(self, question: Question) -> list[str]:
        cells = [row.cell for row in self.comparison.rows(question.name)]
        return [cell for cell in cells if len(self._curve(question, cell)[0])]

    def _curve(self, question: Question, cell: str) -> tuple[np.ndarray, ...]:
        """Epochs, and of all seeds the lowest, median and highest loss; a run that has ended stays.

        A seed that stopped early keeps its best loss, whose weights it has.
        """
        losses = [run.validation_losses for run in self.comparison.chosen(question.name, cell)]
        losses = [own for own in losses if own]
        steps = max(map(len, losses), default=0)
        filled = np.array([[*own, *[min(own)] * (steps - len(own))] for own in losses])
        filled = filled.reshape(len(losses), steps)
        if not steps:
            return (np.zeros(0),) * 4
        levels = filled.min(0), np.median(filled, axis=0), filled.max(0)
        return np.arange(1, steps + 1), *levels
