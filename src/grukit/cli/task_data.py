"""What `fit` and `evaluate` of each task take, read from the files that a command names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from grukit.cli.options import read_data

_TABLES = ("forecast", "anomaly")


def to_fit(task: str, files: Sequence[str]) -> tuple[Any, ...]:
    """The data as the first arguments of `fit`, from the files that grukit train takes.

    Any number of texts for a generator; for a translator a table, or two files of lines; else one.
    """
    if task == "generation":
        return (list(map(Path, files)),)
    if task == "translation":
        return _pairs(files)
    return (_one(task, files),)


def to_evaluate(
    task: str, files: Sequence[str], labels: str | None = None, goes_on: bool = False
) -> tuple[Any, ...]:
    """The data as the first arguments of `evaluate`, from the files that grukit evaluate takes.

    labels, goes_on: of a detector, which must have labels.
    """
    if task != "anomaly":
        return to_fit(task, files)
    if labels is None:
        raise typer.BadParameter("a detector of anomalies takes --labels")
    return (_one(task, files), labels, goes_on)


def _one(task: str, files: Sequence[str]) -> Any:
    if len(files) != 1:
        wanted = f"one table or folder for a model of task {task!r}"
        raise typer.BadParameter(f"the data must be {wanted}, got {', '.join(files)}")
    if task not in _TABLES:
        return Path(files[0])
    found = read_data(files[0])
    return Path(found) if isinstance(found, str) else found


def _pairs(files: Sequence[str]) -> tuple[Path, Path | None]:
    from grukit.data.labelled import is_table

    sources, *translations = map(Path, files)
    if not translations and not is_table(sources):
        raise typer.BadParameter(f"{sources} is no table: name its translations too")
    if len(translations) > 1:
        wanted = "a file of texts and one of their translations"
        raise typer.BadParameter(f"the data must be {wanted}, got {', '.join(files)}")
    return sources, translations[0] if translations else None
