"""grukit predict, of models that answer texts with texts: line by line, or as they are written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from grukit.cli.output import say, show

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier
    from grukit.tasks.generation import TextGenerator
    from grukit.tasks.translation import Translator

# So many lines of a file are translated together; those of stdin one by one, as they come.
_LINES_AT_ONCE = 512


def lines_of(data: str | None) -> Iterator[str]:
    """The lines of a file, or of stdin as they come; DataError for bytes that are no UTF-8."""
    from grukit.data.texts import decoded_lines, open_bytes

    name = "stdin" if data is None or data == "-" else data
    opened = nullcontext(sys.stdin.buffer) if name == "stdin" else open_bytes(Path(name))
    with opened as file:
        for line in decoded_lines(file, name):
            yield line.removesuffix("\n").removesuffix("\r")


def texts_to_judge(model: TextClassifier, data: str | None) -> Iterator[str]:
    """The texts of a table, in the column of the training, or else the lines as above."""
    from grukit.data.labelled import is_table, texts_of

    if data is not None and is_table(Path(data)):
        return iter(texts_of(Path(data), model.text))
    return lines_of(data)


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


def write_likeliest(
    model: TextGenerator, prompts: Iterator[str], beam: int, samples: int, length: int, json: bool
) -> None:
    """The likeliest texts after each prompt that a beam search finds, the best first."""
    if samples > beam:
        raise typer.BadParameter(f"--beam {beam} finds no more than {beam} --samples")
    for prompt in prompts:
        for written in model.beam_search(prompt, beam=beam, length=length)[:samples]:
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


def interpret(
    model: Translator,
    data: str | None,
    beam: int,
    glossary: Path | None,
    prefix: str,
    plot: Path | None,
    json: bool,
) -> None:
    """The translation of each line; as JSON one object in a line."""
    from grukit.data.parallel import parallel
    from grukit.decoding.search import Search

    terms = {} if glossary is None else dict(zip(*parallel(glossary), strict=True))
    search = Search(beam=beam, glossary=terms)
    texts = lines_of(data)
    at_once = 1 if data is None or data == "-" else _LINES_AT_ONCE
    if plot:
        texts = iter(asked := list(texts))
        if len(asked) != 1:
            raise typer.BadParameter(f"--plot draws one translation, got {len(asked)} texts")
    while batch := list(islice(texts, at_once)):
        answers = model.translate(batch, search, prefix)
        for answer in answers:
            show(_json(answer.to_dict()) if json else answer.text)
        sys.stdout.flush()
        if plot:
            model.plot(answers[0]).save(plot)
            say(f"wrote {plot}")


def _json(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False)
