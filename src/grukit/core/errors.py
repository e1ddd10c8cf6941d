"""Every error grukit raises on purpose.

    GrukitError
    ├── ParameterError    (ValueError)    an argument is outside its rule
    ├── DataError         (ValueError)    the user's data cannot be used as it is
    ├── ModelFolderError  (ValueError)    a model folder is missing, damaged or too new
    ├── LeakError         (ValueError)    a forecast or a column knows what comes later
    ├── CheckpointError   (ValueError)    a training checkpoint does not fit this run
    ├── BackendError      (RuntimeError)  a backend asked for by name cannot run the call
    ├── DivergenceError   (RuntimeError)  the training loss is no longer a finite number
    ├── NotFittedError    (RuntimeError)  the estimator has not been fitted
    ├── DownloadError     (RuntimeError)  a data set could not be fetched, or is not as promised
    └── MissingExtra      (ImportError)   an optional package is not installed

    Interrupted           (KeyboardInterrupt)  Ctrl-C or SIGTERM during training, after saving

Messages say what was wrong, what it must be, what was got, and where it helps, what to do.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from typing import Any


class GrukitError(Exception):
    """Base of all errors below; catching it catches every deliberate failure."""


class ParameterError(GrukitError, ValueError):
    """An argument is outside its rule."""


class DataError(GrukitError, ValueError):
    """The user's data cannot be used as it is."""


class ModelFolderError(GrukitError, ValueError):
    """A model folder is missing, damaged, or written by a newer grukit."""


class LeakError(GrukitError, ValueError):
    """A forecast or a column of the data knows what comes later."""


class CheckpointError(GrukitError, ValueError):
    """A training checkpoint is damaged or belongs to another run."""


class BackendError(GrukitError, RuntimeError):
    """A backend asked for by name cannot run the call; the message lists every reason."""


class DivergenceError(GrukitError, RuntimeError):
    """The training loss or a gradient is no longer a finite number."""


class NotFittedError(GrukitError, RuntimeError):
    """The estimator has not been fitted."""


class DownloadError(GrukitError, RuntimeError):
    """A data set could not be fetched, or what came is not what the catalog promises."""


class MissingExtra(GrukitError, ImportError):
    """An optional package is missing; the message is the command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: pip install 'grukit[{extra}]'"
        )


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped a training run after its state was saved.

    A KeyboardInterrupt, so that code which catches Exception does not swallow it.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal.Signals(signal_number)


def must_be(what: str, wanted: str, got: Any) -> str:
    """The one form of a complaint: ``horizon must be an integer of at least 1, got 0``."""
    return f"{what} must be {wanted}, got {got!r}"


def did_you_mean(name: str, names: Iterable[Any]) -> str:
    """``; did you mean 'horizon'?`` where one of `names` is close, else nothing."""
    by_lower = {str(other).lower(): str(other) for other in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
