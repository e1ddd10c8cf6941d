"""What every `grukit train TASK` does around the training itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from grukit.cli.options import option
from grukit.cli.output import check_model_output, say
from grukit.core.errors import DataError

Seed = Annotated[int, option(min=0, metavar="SEED", help="The same seed gives the same model.")]
Resume = Annotated[
    bool,
    option("--resume", help="Go on with an interrupted training, bit for bit as if it never was."),
]
Overwrite = Annotated[
    bool, option("--overwrite", help="Replace a model, or begin its training anew.")
]


def checkpoint_of(output: Path, resume: bool, overwrite: bool) -> Path:
    """Where the state of the training lies, beside the model to come.

    Raises an error, before any long work, if the model cannot be written, or if an interrupted
    training lies there and nobody has said what to do with it.
    """
    check_model_output(output, overwrite)
    checkpoint = output.with_name(f"{output.name}.training")
    from grukit.training.checkpoint import has_checkpoint

    if has_checkpoint(checkpoint) and not (resume or overwrite):
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
    from grukit.training.checkpoint import remove_checkpoint

    remove_checkpoint(checkpoint)
