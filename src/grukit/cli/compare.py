"""grukit compare: recurrent cells beside each other on problems."""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grukit.cli.compare_own import OPTIONS, compare_own
from grukit.cli.options import Config, Json, given, option
from grukit.cli.output import check_output, say, show, show_json
from grukit.core.errors import DataError, must_be

if TYPE_CHECKING:
    from grukit.insight.setups import Setup
    from grukit.insight.trial import Trial
    from grukit.results.comparison import Comparison

_FIRST = ["adding", "temporal_order", "anbn"]


def compare(
    context: typer.Context,
    problems: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PROBLEM|TRAIN]...",
            help="adding, copy_memory, temporal_order, parity, anbn, image_rows, mnist1d, "
            "jsb_chorales or piano_midi. By default adding, temporal_order and anbn. With --like "
            "the data to learn from, as grukit train takes them.",
        ),
    ] = None,
    like: Annotated[
        Path | None,
        option(
            metavar="MODEL",
            help="Compare on data of your own: a model folder, whose settings all have, but for "
            "the cell, its units and the learning rate.",
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        option(
            metavar="DATA",
            help="With --like: what is scored and not learned, as grukit evaluate takes it. "
            "Repeatable: several texts, or lines and then their translations.",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        option(
            metavar="NAME",
            help="With --like: what is compared, by its name in grukit evaluate --json. By default "
            "the first of that table.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        option(
            metavar="COLUMN",
            help="With --like a detector: the column of --test that is true, or 1, in anomalies.",
        ),
    ] = None,
    goes_on: Annotated[
        bool,
        option(
            "--goes-on", help="With --like a detector: --test follows the rows of the training."
        ),
    ] = False,
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
        option(
            metavar="CELL,...",
            help="rnn, lstm, gru, gru_before, mingru; by default all. With --like a forecaster "
            "also gru_d.",
        ),
    ] = None,
    by: Annotated[
        Literal["parameters", "width"],
        option(metavar="WHAT", help="What is equal: the parameters, or the width (units)."),
    ] = "parameters",
    size: Annotated[
        int | None,
        option(min=1, metavar="COUNT", help="So many parameters, or units; else a table's."),
    ] = None,
    rates: Annotated[
        str | None,
        option(
            metavar="RATE,...",
            help="Learning rates that each cell tries, as in 0.001,0.003. By default a table's; "
            "with --like the model's own, a third and three times of it.",
        ),
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
    """Train RNN, LSTM, GRU and minGRU under equal conditions, and say who did better.

    On problems, or on data of your own: grukit compare --like MODEL TRAIN... --test DATA.

    Each cell tries the same learning rates, by the first seed; the one with the lowest validation
    loss serves all seeds. The test decides nothing.
    """
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    check_output(report, (".html",))
    check_output(output)
    if output.exists() and not output.is_dir():
        raise DataError(must_be("the output", "a folder", str(output)))
    asked = None if cells is None else [cell.strip() for cell in cells.split(",")]
    tried = None if rates is None else _numbers(rates)
    if like is None:
        for name in OPTIONS:
            if given(context, name):
                raise typer.BadParameter(f"--{name.replace('_', '-')} is for --like MODEL")
        found = _on_problems(
            problems or _FIRST, asked, output, by, size, seeds, budget, tried, epochs, processes
        )
    else:
        found = compare_own(
            context,
            like,
            problems or [],
            test or [],
            output,
            metric,
            labels,
            goes_on,
            asked,
            by,
            tried,
            seeds,
            epochs,
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


def _numbers(given: str) -> list[float]:
    try:
        return [float(rate) for rate in given.split(",")]
    except ValueError:
        wanted = "numbers with commas between, as in 0.001,0.003"
        raise typer.BadParameter(f"--rates must be {wanted}, got {given!r}") from None


def _on_problems(
    names: list[str],
    cells: list[str] | None,
    output: Path,
    by: Literal["parameters", "width"],
    size: int | None,
    seeds: int,
    budget: Literal["short", "full"],
    rates: list[float] | None,
    epochs: int | None,
    processes: int,
) -> Comparison:
    from grukit.insight.compare import compare as run_all
    from grukit.insight.setups import BUDGETS

    table = BUDGETS[budget]
    unknown = next((name for name in names if name not in table), None)
    if unknown is not None:
        raise typer.BadParameter(f"a problem must be one of {', '.join(table)}, got {unknown!r}")
    setups = {name: _changed(table[name], by, size, rates, epochs) for name in names}
    return run_all(
        setups, cells, folder=output, by=by, seeds=seeds, processes=processes, tell=_tell
    )


def _changed(
    setup: Setup, by: str, size: int | None, rates: list[float] | None, epochs: int | None
) -> Setup:
    changes: dict[str, Any] = {}
    if size is not None:
        changes[by] = size
    if rates is not None:
        changes["rates"] = tuple(rates)
    if epochs is not None:
        changes["training"] = {**setup.training, "epochs": epochs}
    return dataclasses.replace(setup, **changes)


def _tell(trial: Trial, done: int, count: int) -> None:
    say(f"{done} of {count}: {trial.name.rpartition('-')[0]}")


def _show(found: Comparison, name: str) -> None:
    question, width = found.question(name), shutil.get_terminal_size().columns
    show(textwrap.fill(f"{question.title} ({question.scale})", width))
    show(found.table(name, width) + "\n")
    show(textwrap.fill(found.verdict(name), width) + "\n")
