"""What the commands that train have in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from grukit.cli.options import option
from grukit.cli.output import check_model_output, say, show_evaluation, show_json
from grukit.core.errors import DataError

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster

Output = Annotated[
    Path, option("--output", "-o", metavar="MODEL", help="The model folder to write.")
]
Cell = Annotated[
    Literal["gru", "gru_before", "lstm", "rnn", "mingru"],
    option(
        metavar="CELL",
        help="What the network is made of: gru, gru_before (its reset gate acts before the "
        "product), lstm, rnn or mingru.",
    ),
]
HiddenSize = Annotated[int, option(min=1, metavar="UNITS", help="Units of each recurrent layer.")]
LearningRate = Annotated[
    float, option(metavar="RATE", help="The highest learning rate, after warm-up.")
]
Average = Annotated[
    float,
    option(
        metavar="DECAY",
        help="Keep a mean of the weights over the last updates; of about 500 for 0.998.",
    ),
]
Precision = Annotated[
    Literal["float32", "bfloat16", "float16"],
    option(metavar="PRECISION", help="float32, or mixed precision in bfloat16 or float16 (CUDA)."),
]
Seed = Annotated[int, option(min=0, metavar="SEED", help="The same seed gives the same model.")]
Resume = Annotated[
    bool,
    option("--resume", help="Go on with an interrupted training, bit for bit as if it never was."),
]
Validation = Annotated[
    str,
    option(
        metavar="SHARE|TIME",
        help="The end of the data, which training stops by and never learns, and which the "
        "scores are of: a share of the rows, or the time where it begins, as in 2013-12-01.",
    ),
]
Overwrite = Annotated[
    bool, option("--overwrite", help="Replace a model, or begin its training anew.")
]


def number_or_text(given: str) -> float | str:
    """A number where it is one."""
    try:
        return float(given)
    except ValueError:
        return given


def forecaster_of(model: Path) -> Forecaster:
    """The forecaster in a folder; a usage error if another task's model is there."""
    from grukit.tasks.base import load_model
    from grukit.tasks.forecasting import Forecaster

    estimator = load_model(model)
    if not isinstance(estimator, Forecaster):
        raise typer.BadParameter(f"{model} must be a forecaster, got one of {estimator.task}")
    return estimator


def checkpoint_of(output: Path, resume: bool, overwrite: bool) -> Path:
    """Where the state of the training lies, beside the model to come.

    Raises an error, before any long work, if the model cannot be written, or if an interrupted
    training lies there and nobody has said what to do with it.
    """
    check_model_output(output, overwrite)
    checkpoint = output.with_name(f"{output.name}.training")
    from grukit.training.checkpoint import has_checkpoint, pretraining_folder

    begun = has_checkpoint(checkpoint) or has_checkpoint(pretraining_folder(checkpoint))
    if begun and not (resume or overwrite):
        raise DataError(
            f"an interrupted training of {output.name} lies in {checkpoint}; to go on with it, "
            "add --resume; to begin anew, add --overwrite"
        )
    return checkpoint


def save_trained(estimator: Any, output: Path, checkpoint: Path) -> None:
    """Write the model folder, and only then remove the state of the training."""
    try:
        estimator.save(output)
    except OSError:
        say(f"the trained state is kept in {checkpoint}: make room, then run again with --resume")
        raise
    from grukit.training.checkpoint import pretraining_folder, remove_checkpoint

    for folder in (pretraining_folder(checkpoint), checkpoint):
        if folder.is_dir():
            remove_checkpoint(folder)


def show_trained(estimator: Any, output: Path, json: bool) -> None:
    """How a model that was just saved does on what it was validated on."""
    scores, history = estimator.validation_, estimator.history_
    if json:
        losses = [record.validation_loss for record in history]
        evaluation = scores.to_dict()
        show_json({"model": str(output), "validation_losses": losses, "evaluation": evaluation})
        return
    show_evaluation(scores)
    say(f"trained for {len(history)} epochs; wrote {output}")
