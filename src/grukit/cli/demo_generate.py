"""grukit demo generate: a writer of Python, from the source of the standard library."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from grukit.cli.output import say, show

CHARACTERS, HELD_OUT = 900_000, 0.05
PROMPT = "def read_"


def generate(folder: Path) -> tuple[dict[str, Any], Callable[[], None], str]:
    """What comes next in the source of Python's standard library."""
    from grukit.data.texts import standard_library
    from grukit.decoding.sampling import Sampling
    from grukit.tasks.generation import TextGenerator
    from grukit.training.fit import FitConfig

    learned, judged = [], []
    share = round(1 / HELD_OUT)
    for number, module in enumerate(standard_library(CHARACTERS)):
        (judged if number % share == share - 1 else learned).append(module)
    say(f"training on {len(learned)} modules of Python's standard library ...")
    writer = TextGenerator(
        hidden_size=512,
        length=100,
        training=FitConfig(epochs=3, batch_size=32, learning_rate=3e-3, average=0.998),
    )
    writer.fit(learned, judged).save(folder / "writer")
    scores = writer.validation_
    assert scores is not None

    def show_scores() -> None:
        show(scores.table() + "\n")
        say(f"{len(judged)} modules that were not learned; * marks the best. It goes on writing:\n")
        typer.echo(PROMPT, nl=False)
        for piece in writer.stream(PROMPT, length=600, sampling=Sampling(temperature=0.7)):
            typer.echo(piece, nl=False)
            sys.stdout.flush()
        typer.echo()

    return {"generation": scores.to_dict()}, show_scores, _WORDS.format(folder=folder)


_WORDS = """
It has read 900,000 characters for a minute or two: enough for the look of Python, not for sense.

  {folder}/writer  the model, with a model card in README.md

Next, a text of your own beginning:
  grukit predict {folder}/writer --prompt "class Reader" --stream

Or what it did not expect in a file of yours:
  grukit inspect {folder}/writer FILE.py --plot surprise.html"""
