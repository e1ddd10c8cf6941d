"""grukit inspect: what a model's answer rests on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grukit.cli.inspect_gates import inspect_gates
from grukit.cli.inspect_speech import inspect_speech
from grukit.cli.inspect_text import inspect_judge, inspect_writer
from grukit.cli.options import Config, Json, only, option, read_data
from grukit.cli.output import check_output, say, show, show_json, table, write_frame

if TYPE_CHECKING:
    from grukit.results.explanation import Explanation

# What each task takes besides MODEL and --config.
_TAKEN = {
    "forecast": ("data", "future", "step", "level", "leaks", "output", "plot", "json"),
    "classification": ("text", "label", "output", "plot", "json"),
    "generation": ("data", "text", "output", "plot", "json"),
    "speech": ("data", "output", "plot", "json"),
}
_TAKEN_WITH_GATES = ("gates", "data", "future", "text", "output", "plot", "page", "json")


def inspect(
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="The folder of a forecaster, of a judge or writer of texts, or of a recognizer of "
            "speech.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="What is known so far, as for grukit predict; by default the training data. For "
            "a writer of text a file of UTF-8, for a recognizer of speech a recording.",
        ),
    ] = None,
    future: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="A CSV or Parquet file with the known-future covariates of the steps to come.",
        ),
    ] = None,
    step: Annotated[
        int | None,
        option(
            min=1,
            metavar="STEP",
            help="Explain the forecast so many steps ahead. By default the mean of all.",
        ),
    ] = None,
    level: Annotated[
        float, option(metavar="LEVEL", help="The quantile to explain, the median by default.")
    ] = 0.5,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a row for each series, column and time to a .csv or .parquet file.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Draw the first series into a .png, .svg or .pdf file, or an interactive .html "
            "page; of speech the chances of all tokens over time.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        option(metavar="TEXT", help="Of a judge or writer of texts: the text, in place of DATA."),
    ] = None,
    label: Annotated[
        str | None,
        option(metavar="CLASS", help="Of a judge: for this class. By default the likeliest."),
    ] = None,
    leaks: Annotated[
        bool,
        option(
            "--leaks",
            help="Look instead for forecasts and past covariates of DATA that know the future, "
            "and fail if there are any.",
        ),
    ] = False,
    gates: Annotated[
        bool,
        option(
            "--gates",
            help="Of a model of any task: what the gates of its units did while it read DATA or "
            "--text, and what the units do. --output has a row for each layer, step and unit.",
        ),
    ] = False,
    page: Annotated[
        Path | None,
        option(
            metavar="FILE.html",
            help="With --gates: write a page on which every step shows the equations of its cell "
            "with its numbers in them.",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Say what each column added to a forecast, or whether one knows the future.

    Prints for each series the forecast from inputs that say nothing (start), what each column
    added to it, the largest first, and the forecast itself. Of a judge of texts it prints the same
    of each token and the log-odds of a class; of a writer of text the tokens that it expected
    least; of a recognizer of speech each word with its times and how sure it is. With --gates it
    tells of any model what its units do: which hold for long, are reset at word ends, follow
    brackets, a covariate or the loudness, are saturated, dead or doubled.
    """
    check_output(output, (".csv", ".parquet"))
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    check_output(page, (".html",))
    from grukit.tasks.base import load_model

    estimator = load_model(model)
    if gates:
        only(context, f"{estimator.task} --gates", *_TAKEN_WITH_GATES)
        inspect_gates(estimator, data, future, text, output, plot, page, json)
        return
    if page:
        raise typer.BadParameter("--page goes with --gates")
    if estimator.task not in _TAKEN:
        raise typer.BadParameter(f"of a model of task {estimator.task!r} add --gates")
    only(context, estimator.task, *_TAKEN[estimator.task])
    if estimator.task == "classification":
        if text is None:
            raise typer.BadParameter("a judge of texts takes --text")
        inspect_judge(estimator, text, label, output, plot, json)
        return
    if estimator.task == "generation":
        if (text is None) == (data is None):
            raise typer.BadParameter("a writer of text takes DATA or --text")
        given = Path(str(data)) if text is None else text
        inspect_writer(estimator, given, output, plot, json)
        return
    if estimator.task == "speech":
        if data is None:
            raise typer.BadParameter("a recognizer of speech takes DATA")
        inspect_speech(estimator, Path(data), output, plot, json)
        return
    forecaster: Any = estimator
    known = None if data is None else read_data(data)
    if leaks:
        if known is None or future or step or output or plot:
            raise typer.BadParameter("--leaks takes DATA, and of the other options --json alone")
        found = forecaster.check_leaks(known)
        rows = [(lead.column, str(lead.steps), f"{lead.correlation:+.2f}") for lead in found]
        if json:
            show_json({"leads": [vars(lead) for lead in found]})
        elif rows:
            show(table([("column", "steps ahead", "correlation"), *rows]))
        say("no forecast, and no past covariate, knows the future")
        return
    explanation = forecaster.explain(known, future, step=step, level=level)
    if output:
        write_frame(explanation.to_frame(), output)
        say(f"wrote {output}")
    if plot:
        from grukit.plots.explanation import ExplanationDisplay

        ExplanationDisplay(explanation).save(plot)
        say(f"wrote {plot}")
    summands = _summands(explanation)
    if json:
        show_json({"step": explanation.step, "level": explanation.level, "series": summands})
    elif not output:
        lines = [
            (name, column, f"{added:+.4g}")
            for name, columns in summands.items()
            for column, added in columns.items()
        ]
        show(table([("series", "column", "added"), *lines]))


def _summands(explanation: Explanation) -> dict[str, dict[str, float]]:
    """By series: where its forecast starts, what each column adds, the largest first, and all."""
    totals, found = explanation.totals(), {}
    for at, name in enumerate(explanation.series):
        added = {column: float(values[at]) for column, values in totals.items()}
        largest_first = dict(sorted(added.items(), key=lambda item: -abs(item[1])))
        start, forecast = float(explanation.start[at]), float(explanation.forecast[at])
        found[name] = {"(start)": start, **largest_first, "(forecast)": forecast}
    return found
