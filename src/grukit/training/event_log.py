"""The TensorBoard log, written only on request."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from grukit.core.extras import require


class EventLog:
    """Scalars of a run for TensorBoard, against the number of updates; without folder, nothing.

    Scalars that an earlier run logged after `first_step` are hidden.

    Raises MissingExtra where a folder is given and tensorboard is not installed.
    """

    def __init__(self, folder: str | Path | None, first_step: int) -> None:
        self._writer = None
        if folder is not None:
            require("tensorboard")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._writer:
            self._writer.close()

    def write(self, step: int, **scalars: float | None) -> None:
        """Log the scalars that are not None at `step`."""
        if self._writer:
            for name, value in scalars.items():
                if value is not None:
                    self._writer.add_scalar(name, value, step)
