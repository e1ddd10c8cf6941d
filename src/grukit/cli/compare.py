"""grukit compare: recurrent cells beside each other on problems."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grukit.cli.options import Config, Json, option
from grukit.cli.output import check_output, say, show, show_json

if TYPE_CHECKING:
    from grukit.insight.setups import Setup
    from grukit.insight.trial import Trial
    from grukit.results.comparison import Comparison

_FIRST = ["adding", "temporal_order", "anbn"]


def compare(
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROBLEM]...",
            help="adding, copy_memory, temporal_order, parity, anbn, image_rows, mnist1d, "
            "jsb_chorales or piano_midi. By default adding, temporal_order and anbn.",
        ),
    ] = None,
    output: Annotated[
        Path,
        option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where every run is saved; the same command goes on from there.",
        ),
    ] = Path("comparison"),
    cells: Annotated[
        str | None,
        option(metavar="CELL,...", help="rnn, lstm, gru, gru_before, mingru; by default all."),
    ] = None,
    by: Annotated[
        Literal["parameters", "width"],
        option(metavar="WHAT", help="What is equal: the parameters, or the width (units)."),
    ] = "parameters",
    size: Annotated[
        int | None,
        option(min=1, metavar="COUNT", help="So many parameters, or units; else a table's."),
    ] = None,
    seeds: Annotated[
        int, option(min=1, metavar="COUNT", help="Trainings of each; an interval takes three.")
    ] = 3,
    budget: Annotated[
        Literal["short", "full"],
        option(metavar="BUDGET", help="short, minutes a problem; or full, as in the literature."),
    ] = "short",
    epochs: Annotated[
        int | None, option(min=1, metavar="EPOCHS", help="Epochs of each training, at most.")
    ] = None,
    processes: Annotated[
        int, option(min=1, metavar="COUNT", help="Trainings at a time, each on one core.")
    ] = 1,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Draw the learning curves into a .png, .svg or .pdf file, or a .html page.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Write verdicts, tables and curves as one .html page, which needs no network.",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Train RNN, LSTM, GRU and minGRU on problems under equal conditions, and say who did better.

    Each cell tries the same learning rates, by the first seed; the one with the lowest validation
    loss serves all seeds. The test decides nothing.
    """
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    check_output(report, (".html",))
    check_output(output)
    from grukit.insight.compare import compare as run_all
    from grukit.insight.setups import BUDGETS

    asked = problems or _FIRST
    table = BUDGETS[budget]
    unknown = next((name for name in asked if name not in table), None)
    if unknown is not None:
        raise typer.BadParameter(f"a problem must be one of {', '.join(table)}, got {unknown!r}")
    setups = {name: _changed(table[name], by, size, epochs) for name in asked}
    found = run_all(
        setups,
        None if cells is None else [cell.strip() for cell in cells.split(",")],
        folder=output,
        by=by,
        seeds=seeds,
        processes=processes,
        tell=_tell,
    )
    if plot:
        from grukit.plots.comparison import ComparisonDisplay

        ComparisonDisplay(found).save(plot)
        say(f"wrote {plot}")
    if report:
        from grukit.insight.report import write_report

        write_report(report, found)
        say(f"wrote {report}")
    if json:
        show_json(found.to_dict())
        return
    for question in found.questions:
        _show(found, question.name)
    say(f"every run is in {output}")


def _changed(setup: Setup, by: str, size: int | None, epochs: int | None) -> Setup:
    changes: dict[str, Any] = {}
    if size is not None:
        changes[by] = size
    if epochs is not None:
        changes["training"] = {**setup.training, "epochs": epochs}
    return dataclasses.replace(setup, **changes)


def _tell(trial: Trial, done: int, count: int) -> None:
    say(f"{done} of {count}: {trial.name.rpartition('-')[0]}")


def _show(found: Comparison, name: str) -> None:
    question = found.question(name)
    better = "more is better" if question.higher_is_better else "less is better"
    show(
        f"{question.title} ({question.metric}, {better}; {question.blank_says}: "
        f"{question.blank:.4g})"
    )
    show(found.table(name))
    show(found.verdict(name) + "\n")
