"""Ctrl-C and SIGTERM noted, so that the running step can finish first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from grukit.core.errors import Interrupted


class SignalWatch:
    """While entered, the first signal is only noted in `received`; a second one raises at once.

    Outside the main thread, where Python cannot set handlers, it watches nothing. A signal that
    was ignored (a job under nohup) stays ignored. Former handlers come back on leaving.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._former.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted(number, "stopped at once by a second signal, without saving")
        self.received = number
