"""Which backend runs a call: decided once per sequence, never per step.

A backend lists its objections to a call. A backend asked for by name runs or raises with
every objection; the automatic choice is the first backend that has none and is exact.
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

    `why_not(call)` returns the reasons why it cannot run the call, empty if it can. The rest
    follows contract.py:

        forward(tensors, variant, reverse, save) -> (output, h, reserve), or (output, h, c, reserve)
        backward(tensors, d_output, d_final, output, reserve, variant, reverse, save, wants)
            -> the gradients by name, of those in `wants` and no others

    `tensors` are Arguments, `save` is what the forward was told, `d_final` the gradients of the
    final states, `wants` names of arguments that are there and have gradients, in their order. No
    result is a view of an argument.

    `forward_many` and `backward_many` are optional. They take a list of such calls that do not
    depend on each other, say the two directions of a layer, each a tuple of the arguments above,
    and give the list of their results, as if each ran alone; `save` is the same for all.

    One that is not `exact` gives other numbers than the definition, and runs only by name.
    """

    name: str
    why_not: Callable[[Any], tuple[str, ...]]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    forward_many: Callable[[Sequence[tuple[Any, ...]]], list[Any]] | None = None
    backward_many: Callable[[Sequence[tuple[Any, ...]]], list[Any]] | None = None
    exact: bool = True


def choose(call: Any, backends: Sequence[Backend], wish: str | None = None) -> Backend:
    """The backend that runs `call`.

    `wish`, or else the environment variable GRUKIT_BACKEND, names a backend. Raises
    BackendError if there is none of that name or it cannot run the call.
    """
    name = wish or env.backend()
    if name is None:
        for backend in backends:
            if backend.exact and not backend.why_not(call):
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


def run_forward(backends: Sequence[Backend], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The results of independent calls, each by its backend: together if one can run them so."""
    many = _shared(backends, "forward_many")
    if many is not None:
        return many(calls)
    return [backend.forward(*call) for backend, call in zip(backends, calls, strict=True)]


def run_backward(backends: Sequence[Backend], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The same of the backward."""
    many = _shared(backends, "backward_many")
    if many is not None:
        return many(calls)
    return [backend.backward(*call) for backend, call in zip(backends, calls, strict=True)]


def _shared(backends: Sequence[Backend], name: str) -> Callable[[Any], list[Any]] | None:
    first = backends[0]
    together = len(backends) > 1 and all(backend is first for backend in backends)
    return getattr(first, name) if together else None


def explain(call: Any, backends: Sequence[Backend]) -> str:
    """A line per backend, in order of preference: that it can run `call`, or why not."""
    lines = []
    for backend in backends:
        can = "can run it" if backend.exact else "can run it, asked for by name"
        lines.append(f"{backend.name}: {'; '.join(backend.why_not(call)) or can}")
    return "\n".join(lines)
