"""What happens to every command when something goes wrong: one line on stderr, an exit code.

0    success
1    failure: the line says what was wrong and what to do
2    usage: the command line cannot be understood, or a value is outside its rule
130  Ctrl-C
143  SIGTERM
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from grukit.cli.output import say
from grukit.core.errors import GrukitError, Interrupted, ParameterError


class Manners(TyperGroup):
    """The outermost group of commands, which all others run in."""

    def get_params(self, ctx: typer.Context) -> list[Any]:
        """The options before the command; GRUKIT_VERSION in the environment is not --version."""
        params: list[Any] = super().get_params(ctx)
        for option in params:
            option.allow_from_autoenv = False
        return params

    def invoke(self, ctx: typer.Context) -> Any:
        """Run the command; what it raises becomes words and an exit code."""
        try:
            with _sigterm_interrupts():
                result = super().invoke(ctx)
                if sys.stdout:
                    sys.stdout.flush()
                return result
        except KeyboardInterrupt as stop:
            number = stop.signal if isinstance(stop, Interrupted) else signal.SIGINT
            _exit(f"grukit: {str(stop) or 'interrupted'}", 128 + number)
        except BrokenPipeError:
            raise
        except (GrukitError, OSError) as error:
            if ctx.params["debug"]:
                raise
            code = 2 if isinstance(error, ParameterError) else 1
            _exit(f"grukit: error: {_in_words(error)}", code)


@contextlib.contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """SIGTERM ends a command like Ctrl-C does, where nobody asked to ignore it."""

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupted(number, "stopped by SIGTERM")

    former = signal.getsignal(signal.SIGTERM)
    if former is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _exit(last_words: str, code: int) -> NoReturn:
    with contextlib.suppress(OSError):
        say(last_words)
    sys.exit(code)


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
