"""Which backend runs a call: decided once per sequence, never per step.

A backend lists its objections to a call. A backend asked for by name runs or raises with
every objection; the automatic choice is the first backend that has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from grukit.core import env
from grukit.core.errors import BackendError, must_be


@dataclass(frozen=True)
class Backend:
    """One way to compute an op, with its objections.

    `why_not(call)` returns the reasons why it cannot run the call, empty if it can.
    `forward` and `backward` follow the contract of the op.
    """

    name: str
    why_not: Callable[[Any], tuple[str, ...]]
    forward: Callable[..., Any]
    backward: Callable[..., Any]


def choose(call: Any, backends: Sequence[Backend], wish: str | None = None) -> Backend:
    """The backend that runs `call`.

    `wish`, or else the environment variable GRUKIT_BACKEND, names a backend. Raises
    BackendError if there is none of that name or it cannot run the call.
    """
    name = wish or env.backend()
    if name is None:
        for backend in backends:
            if not backend.why_not(call):
                return backend
        raise BackendError(f"no backend can run this call\n{explain(call, backends)}")
    for backend in backends:
        if backend.name == name:
            reasons = backend.why_not(call)
            if reasons:
                raise BackendError(f"backend {name!r} cannot run this call: {'; '.join(reasons)}")
            return backend
    names = ", ".join(repr(backend.name) for backend in backends)
    raise BackendError(must_be("the backend", f"one of {names}", name))


def explain(call: Any, backends: Sequence[Backend]) -> str:
    """A line per backend, in order of preference: that it can run `call`, or why not."""
    lines = []
    for backend in backends:
        reasons = backend.why_not(call)
        lines.append(f"{backend.name}: {'; '.join(reasons) if reasons else 'can run it'}")
    return "\n".join(lines)
