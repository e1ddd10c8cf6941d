"""Progress, on stderr and only on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Stages:
    """What is done before training and after, and for how long already; shown as a bar is.

    >>> with Stages(shown=True) as stage:
    ...     stage("reading the data")
    """

    def __init__(self, shown: bool) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._shown = _progress(columns) if shown and sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._shown:
            self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._shown.stop()

    def __call__(self, stage: str) -> None:
        """The stage before is over, this one begins."""
        if self._shown:
            for task in self._shown.task_ids:
                self._shown.remove_task(task)
            self._shown.add_task(stage, total=None)


class ProgressBar:
    """A bar over all updates of a run; shows nothing unless stderr is a terminal."""

    def __init__(self, steps: int, shown: bool) -> None:
        self._steps = steps
        self._bar = None
        if shown and sys.stderr.isatty():
            columns = (
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[scores]}"),
                TimeRemainingColumn(),
            )
            self._bar = _progress(columns)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("fit", total=self._steps, epoch=1, scores="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def at(self, step: int, epoch: int) -> None:
        """`step` updates are done; the run is in `epoch`."""
        if self._bar:
            self._bar.update(self._task, completed=step, epoch=epoch)

    def scores(self, train_loss: float, validation_loss: float | None) -> None:
        """Show the losses of the epoch just ended."""
        if self._bar:
            validation = "" if validation_loss is None else f" · validation {validation_loss:.4g}"
            self._bar.update(self._task, scores=f"loss {train_loss:.4g}{validation}")


def _progress(columns: tuple[ProgressColumn, ...]) -> Progress:
    return Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
