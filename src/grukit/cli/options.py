"""Options that several commands share, and reading what they name."""

from __future__ import annotations

import contextlib
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from grukit.core.errors import did_you_mean

option = partial(typer.Option, show_envvar=False)
"""An option whose environment variable goes without saying: its name follows a rule."""


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the values in a TOML file the defaults of a command.

    The keys are the names of the command's flags. Flags win over the environment, and the
    environment over the file.
    """
    if path is None:
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise typer.BadParameter(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path} cannot be read: {error}") from None
    options = {
        flag.removeprefix("--"): parameter
        for parameter in context.command.params
        for flag in parameter.opts
        if flag.startswith("--") and flag not in ("--config", "--help")
    }
    defaults: dict[str, Any] = {}
    for key, value in content.items():
        if key not in options:
            hint = did_you_mean(key, options)
            raise typer.BadParameter(f"{path} has the unknown key {key!r}{hint}")
        repeatable = getattr(options[key], "multiple", False)
        if isinstance(value, dict) or (isinstance(value, list) and not repeatable):
            raise typer.BadParameter(f"{key} in {path} must be one value, got {value!r}")
        if repeatable and not isinstance(value, list):
            value = [value]
        defaults[str(options[key].name)] = value
    context.default_map = defaults
    return path


Config = Annotated[
    Path | None,
    option(
        metavar="FILE.toml",
        help="Read options from a TOML file, as in: hidden-size = 128. Flags and environment "
        "variables win over it.",
        is_eager=True,
        callback=read_config,
    ),
]

Json = Annotated[
    bool, option("--json", help="Print the result as JSON, and nothing else, on stdout.")
]


def given(context: typer.Context, name: str) -> bool:
    """Whether somebody has set a parameter, on the command line, in the environment or a file."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def only(context: typer.Context, task: str, *names: str) -> None:
    """Refuse what was given besides these parameters, as a model of this task has no use for it."""
    shown = {
        str(parameter.name): parameter.opts[0] if parameter.opts[0][:2] == "--" else "DATA"
        for parameter in context.command.params
    }
    for name in shown.keys() - {*names, "model", "config"}:
        if given(context, name):
            taken = ", ".join(shown[one] for one in names)
            raise typer.BadParameter(f"a model of task {task!r} takes {taken}, not {shown[name]}")


def read_data(name: str) -> Any:
    """The path of a file as it stands, or the frame of the data set of that name."""
    from grukit.data import catalog

    if not Path(name).exists() and name in {dataset.name for dataset in catalog.available()}:
        with download_bar(name) as progress:
            return catalog.load(name, progress)
    return name


@contextlib.contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr, for bytes done out of all; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None, visible=False)
        yield lambda done, size: bar.update(task, completed=done, total=size, visible=True)
