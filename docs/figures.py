"""The figures of the pages, drawn as the documentation is built."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from grukit.nn.by_name import LAYER_OF
from grukit.plots.comparison import ComparisonDisplay
from grukit.results.cells import NAMES
from grukit.results.comparison import Comparison
from grukit.results.verdict import differ

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
INK, GREY = "#222222", "#767676"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"


def draw(folder: Path) -> None:
    """All of them, as .svg files, and the table of scores, as scores.md."""
    folder.mkdir(exist_ok=True)
    figures: dict[str, Callable[[], Figure]] = {
        "cell": cell,
        "gradients": gradients,
        "curves": curves,
    }
    for name, figure in figures.items():
        # Without a date the same figure is the same file.
        figure().savefig(folder / f"{name}.svg", metadata={"Date": None})
    (folder / "scores.md").write_text(scores(), encoding="utf-8")


def cell() -> Figure:
    """One step of a GRU: what was known comes from the left, what is read from below."""
    figure = Figure(figsize=(8.6, 4.7))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 86), ylim=(0, 47), aspect="equal")
    ax.axis("off")
    figure.patch.set_facecolor("white")
    frame = FancyBboxPatch((11, 6), 64, 40, "round,pad=0,rounding_size=2", fc="#f7f7f5", ec="none")
    ax.add_patch(frame)

    # The state, carried on along the top.
    _arrow(ax, [(2, 39), (55.2, 39)])
    _arrow(ax, [(58.8, 39), (65.2, 39)])
    _arrow(ax, [(68.8, 39), (84, 39)])
    # The state and the input, to each gate.
    _line(ax, [(15, 39), (15, 15), (56, 15)], INK)
    _arrow(ax, [(45, 1), (45, 18)], GREY)
    _arrow(ax, [(45, 9), (24, 9), (24, 18)], GREY)
    _arrow(ax, [(45, 9), (70, 9), (70, 20)], GREY)
    _arrow(ax, [(20, 15), (20, 18)])
    _arrow(ax, [(41, 15), (41, 18)])
    _arrow(ax, [(56, 15), (62.2, 15)])
    _arrow(ax, [(64, 16.8), (64, 20)])

    _box(ax, 22, 21, "reset\ngate  $r$", "σ", BLUE)
    _box(ax, 43, 21, "update\ngate  $z$", "σ", VERMILLION)
    _box(ax, 67, 23, "memory\ncontent  $n$", "tanh", GREEN)

    # What the gates do.
    _arrow(ax, [(22, 24), (22, 28), (31, 28), (31, 12), (64, 12), (64, 13.2)], BLUE)
    _arrow(ax, [(43, 24), (43, 31), (57, 31), (57, 37.2)], VERMILLION)
    _arrow(ax, [(57, 31), (65.2, 31)], VERMILLION)
    ax.text(61, 31.8, "1 - $z$", color=VERMILLION, fontsize=10, ha="center")
    ax.text(55.9, 33.5, "$z$", color=VERMILLION, fontsize=10, ha="right")
    _arrow(ax, [(67, 26), (67, 29.2)], GREEN)
    _arrow(ax, [(67, 32.8), (67, 37.2)], GREEN)
    for x, y, sign in ((57, 39, "×"), (67, 31, "×"), (67, 39, "+"), (64, 15, "×")):
        ax.add_patch(Circle((x, y), 1.8, fc="white", ec=INK, lw=1.3, zorder=3))
        ax.text(x, y, sign, ha="center", va="center", fontsize=13, color=INK, zorder=4)

    ax.text(2, 40.3, "what was known\n$h_{t-1}$", color=INK, fontsize=11)
    ax.text(84, 40.3, "final hidden state\n$h_t$", color=INK, fontsize=11, ha="right")
    ax.text(46.5, 2.5, "what is read  $x_t$", color=GREY, fontsize=11)
    return figure


def gradients() -> Figure:
    """What is left of a gradient after so many steps, from benchmarks/gradient_flow.py."""
    rows = _saved("gradient_flow")
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    styles = {
        "rnn": ("RNN", GREY, "-"),
        "lstm": ("LSTM", VERMILLION, "-"),
        "gru": ("GRU", BLUE, "-"),
        "lstm chrono": ("LSTM, biases for 600 steps", VERMILLION, "--"),
        "gru chrono": ("GRU, biases for 600 steps", BLUE, "--"),
    }
    axes = figure.subplots(1, 2, sharey=True)
    for ax, when, title in zip(
        axes, ("before", "after"), ("new", "after 1,000 updates"), strict=True
    ):
        for name, (label, colour, dashes) in styles.items():
            own = rows[name][when]
            powers = [value / math.log(10) for value in own["log_norm"]]
            ax.plot(own["lags"], powers, color=colour, linestyle=dashes, label=label)
        ax.set(xlim=(0, 200), ylim=(-30, 1), xlabel="steps back")
        ax.set_title(title, loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("norm of d h(T) / d h(t)")
    axes[0].yaxis.set_major_formatter(lambda power, _: f"$10^{{{power:g}}}$")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    return figure


def curves() -> Figure:
    """How the cells learn four of the problems, from benchmarks/compare.py."""
    shown = ["adding", "mnist1d", "anbn", "parity"]
    return ComparisonDisplay(compared(), shown).plot()


def scores() -> str:
    """A table of the score of each cell on each problem, from benchmarks/compare.py.

    Bold: the best, and those whose interval overlaps the best one's.
    """
    found = compared()
    lines = [
        f"| | {' | '.join(NAMES[cell] for cell in LAYER_OF)} | knowing nothing |",
        "| --- |" + " ---: |" * (len(LAYER_OF) + 1),
    ]
    for question in found.questions:
        rows = {row.cell: row for row in found.rows(question.name)}
        pick = max if question.higher_is_better else min
        best = pick(rows.values(), key=lambda row: row.score)
        cells = []
        for name in LAYER_OF:
            score = _score(question.metric, rows[name].score)
            cells.append(score if differ(best, rows[name]) else f"**{score}**")
        nothing = _score(question.metric, question.blank)
        title = f"{question.title} ({_UNITS[question.metric]})"
        lines.append(f"| {title} | {' | '.join(cells)} | {nothing} |")
    return "\n".join(lines) + "\n"


_UNITS = {
    "mse": "squared error",
    "nats": "nats",
    "nll": "nats a chord",
    "accuracy": "right, %",
    "longest": "longest n",
}


def _score(metric: str, value: float) -> str:
    return f"{100 * value:.1f}" if metric == "accuracy" else f"{value:.3g}"


def compared() -> Comparison:
    """All problems of the short form together."""
    experiments = _saved("compare_short")["experiments"].values()
    parts = [Comparison.from_dict(own["comparison"]) for own in experiments]
    questions = tuple(question for part in parts for question in part.questions)
    runs = tuple(run for part in parts for run in part.runs)
    return Comparison(questions, runs, "parameters")


def _saved(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _line(ax: Axes, points: list[tuple[float, float]], colour: str = INK) -> None:
    ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.5, solid_joinstyle="round")


def _arrow(ax: Axes, points: list[tuple[float, float]], colour: str = INK) -> None:
    _line(ax, points, colour)
    style = {"arrowstyle": "-|>", "color": colour, "lw": 0, "mutation_scale": 11}
    ax.annotate("", points[-1], points[-2], arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _box(ax: Axes, x: float, y: float, name: str, function: str, colour: str) -> None:
    style = "round,pad=0,rounding_size=1"
    ax.add_patch(FancyBboxPatch((x - 6, y - 3), 12, 6, style, fc="white", ec=colour, lw=1.6))
    ax.text(x - 4.9, y, function, ha="left", va="center", fontsize=11, color=colour)
    ax.text(x + 5.4, y, name, ha="right", va="center", fontsize=9, color=INK)
