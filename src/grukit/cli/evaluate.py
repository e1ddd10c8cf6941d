"""grukit evaluate: a model beside the baselines, on data with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Config, Json, only, option
from grukit.cli.output import check_output, say, show_evaluation, show_json
from grukit.cli.speech_options import HotWords, Language, decoder_of
from grukit.cli.task_data import to_evaluate

# What each task takes besides MODEL and --config.
_TAKEN = {
    "forecast": ("data", "start", "stride", "adaptive", "json"),
    "anomaly": ("data", "labels", "goes_on", "json"),
    "generation": ("data", "json"),
    "classification": ("data", "json"),
    "translation": ("data", "translations", "json"),
    "speech": ("data", "beam", "language", "hot_word", "plot", "json"),
}


def evaluate(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A CSV or Parquet file with the columns of the training data, or a name from "
            "grukit data list; for a writer of text a file of UTF-8; for a judge of texts one with "
            "the columns of its training; for a recognizer of speech recordings with what is said, "
            "as in its training.",
        ),
    ],
    labels: Annotated[
        str | None,
        option(
            metavar="COLUMN",
            help="Of a detector of anomalies: the column that is true, or 1, in their rows.",
        ),
    ] = None,
    goes_on: Annotated[
        bool,
        option("--goes-on", help="Of a detector: the rows follow those of the training."),
    ] = False,
    start: Annotated[
        str | None,
        option(
            metavar="TIME",
            help="Of a forecaster: score forecasts of this time and later, as in 2013-12-01. By "
            "default after the end of the training data.",
        ),
    ] = None,
    stride: Annotated[
        int,
        option(
            min=1, metavar="STEPS", help="Of a forecaster: steps from one forecast to the next."
        ),
    ] = 1,
    adaptive: Annotated[
        bool,
        option(
            "--adaptive",
            help="Of a forecaster: widen and narrow its intervals by how earlier ones covered.",
        ),
    ] = False,
    translations: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Of a translator: the file with a translation of each line of DATA. Without it "
            "DATA is a table with a column of each.",
        ),
    ] = None,
    beam: Annotated[
        int | None,
        option(
            min=1,
            metavar="COUNT",
            help="Of a recognizer of speech: texts followed side by side, as in grukit predict.",
        ),
    ] = None,
    language: Language = None,
    hot_word: HotWords = None,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Of a recognizer of words: draw which was taken for which into a .png, .svg or "
            ".pdf file, or an interactive .html page.",
        ),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Score a model on data with known truth, beside simple baselines.

    Forecasts are made from one origin after the other, each from what was known then. A detector of
    anomalies is compared with labelled rows, a writer of text with how often each token comes,
    a judge of texts with a linear model of words, a translator with a copy of the source, and a
    recognizer of speech with the most frequent transcript.
    """
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    from grukit.tasks.base import load_model

    estimator = load_model(model)
    only(context, estimator.task, *_TAKEN[estimator.task])
    if plot and estimator.mode != "words":
        raise typer.BadParameter("--plot draws which word was taken for which, not transcripts")
    files = [data] if translations is None else [data, str(translations)]
    given = to_evaluate(estimator.task, files, labels, goes_on)
    if estimator.task == "speech":
        evaluation = estimator.evaluate(*given, decoder_of(estimator, beam, language, hot_word))
    elif estimator.task == "forecast":
        evaluation = estimator.evaluate(*given, start=start, stride=stride, adaptive=adaptive)
        say(f"data: {evaluation.report}")
    else:
        evaluation = estimator.evaluate(*given)
    if plot:
        from grukit.plots.speech import ConfusionDisplay

        ConfusionDisplay(evaluation).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(evaluation.to_dict())
    else:
        show_evaluation(evaluation)
