"""grukit compare --like: a saved model with other cells, on data of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from grukit.cli.options import only
from grukit.cli.output import say
from grukit.cli.task_data import to_evaluate, to_fit

if TYPE_CHECKING:
    from grukit.results.comparison import Comparison

OPTIONS = ("test", "metric", "labels", "goes_on")
"""What is for --like alone."""
_TAKEN = (
    *("problems", "like", "test", "metric", "output", "cells", "by", "rates", "seeds"),
    *("epochs", "plot", "report", "json"),
)


def compare_own(
    context: typer.Context,
    like: Path,
    train: Sequence[str],
    test: Sequence[str],
    output: Path,
    metric: str | None,
    labels: str | None,
    goes_on: bool,
    cells: list[str] | None,
    by: Literal["parameters", "width"],
    rates: list[float] | None,
    seeds: int,
    epochs: int | None,
) -> Comparison:
    """Train estimators with the settings of a saved one; usage errors come before any work.

    context: of the command, whose other options are refused.
    """
    from grukit.insight.own_data import compare_estimator
    from grukit.insight.setups import BUDGETS
    from grukit.tasks.base import load_model

    model = load_model(like)
    detector = model.task == "anomaly"
    only(context, model.task, *_TAKEN, *(("labels", "goes_on") if detector else ()))
    for name in train:
        if name in BUDGETS["short"] and not Path(name).exists():
            wanted = "the files that a model like it learns from, and no problems"
            raise typer.BadParameter(f"with --like the arguments must be {wanted}, got {name!r}")
    if not train:
        raise typer.BadParameter("--like takes the files to learn from as arguments, got none")
    if not test:
        raise typer.BadParameter("--like takes --test, data to score that are not learned")
    learned = to_fit(model.task, train)
    judged = to_evaluate(model.task, test, labels, goes_on)
    if model.task == "generation":
        judged = (*judged, *learned)  # so that an n-gram learns the same text
    if detector:
        from grukit.tasks.anomaly_input import read_rows

        read_rows(judged[0], None, (str(labels),))
    training = model.training or model.usual_training
    if epochs is not None:
        training = replace(training, epochs=epochs)
    return compare_estimator(
        type(model)(**{**model.get_params(), "training": training}),
        learned,
        judged,
        folder=output,
        metric=metric,
        cells=cells,
        rates=rates,
        seeds=seeds,
        by=by,
        tell=lambda name, done, count: say(f"{done} of {count}: {name}"),
    )
