"""grukit predict, of models that answer texts with texts: line by line, or as they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grukit.cli.output import show
from grukit.core.errors import DataError

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier
    from grukit.tasks.generation import TextGenerator


def lines_of(data: str | None) -> Iterator[str]:
    """The lines of a file, or of stdin as they come; DataError for bytes that are no UTF-8."""
    if data is None or data == "-":
        source: Any = sys.stdin.buffer
    else:
        from grukit.data.texts import open_bytes

        source = open_bytes(Path(data))
    for number, line in enumerate(source, start=1):
        try:
            yield line.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DataError(
                f"line {number} must be UTF-8, got 0x{line[error.start]:02x} at its byte "
                f"{error.start + 1}"
            ) from error


def write(
    model: TextGenerator,
    prompts: Iterator[str],
    samples: int,
    stream: bool,
    json: bool,
    **options: Any,
) -> None:
    """What the model writes after each prompt; as JSON one object in a line."""
    if stream and (json or samples > 1):
        raise typer.BadParameter("--stream writes one text as it comes: no --json, no --samples")
    for prompt in prompts:
        if stream:
            typer.echo(prompt, nl=False)
            for piece in model.stream(prompt, **options):
                typer.echo(piece, nl=False)
                sys.stdout.flush()
            typer.echo()
            continue
        for written in model.generate_many(prompt, samples, **options):
            show(_json(written.to_dict()) if json else str(written))


def judge(model: TextClassifier, texts: Iterator[str], json: bool) -> None:
    """What the model says of each text, as it comes: label, chance and text, apart by tabs."""
    for text in texts:
        (said,) = model.classify([text])
        if json:
            show(_json(said.to_dict()))
        elif isinstance(said.label, tuple):
            show(f"{','.join(map(str, said.label))}\t{text}")
        else:
            show(f"{said.label}\t{said.probability:.4f}\t{text}")
        sys.stdout.flush()


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False)
