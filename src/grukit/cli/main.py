"""The entry point: `grukit COMMAND ...`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from grukit import __version__
from grukit.cli import compare, data, demo, doctor, evaluate, inspect, predict, refit, train
from grukit.cli.manners import Manners
from grukit.cli.options import option

app = typer.Typer(
    cls=Manners,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={
        "auto_envvar_prefix": "GRUKIT",
        "help_option_names": ["-h", "--help"],
    },
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"grukit {__version__}")
        raise typer.Exit


@app.callback()
def grukit(
    version: Annotated[
        bool,
        option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[bool, option("--debug", help="Show the whole traceback of an error.")] = False,
) -> None:
    """Gated recurrent networks: train, predict, evaluate.

    Start with: grukit demo. An option of a command can also be set in the environment: the
    --horizon of "grukit train forecast" is GRUKIT_TRAIN_FORECAST_HORIZON.
    """


app.add_typer(train.app, name="train")
app.command()(predict.predict)
app.command()(evaluate.evaluate)
app.command()(inspect.inspect)
app.command()(refit.refit)
app.command()(compare.compare)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.add_typer(data.app, name="data")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command, of `sys.argv` or `arguments`, and exit with its code."""
    app(arguments, prog_name="grukit")
