"""Every kind of layer and cell with every option: what the tests of conformance go through."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any

from grukit.core.errors import ParameterError
from grukit.nn.layer import Layer
from grukit.testing.subjects import Factory, make

FORMS = {"reset_after": False, "nonlinearity": "relu", "positive": True}
"""Arguments that choose another form of the equations, each with that form."""

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bias": {"bias": False},
    "proj_size": {"proj_size": 2},
    "layer_norm": {"layer_norm": True},
    "zoneout": {"zoneout": 0.3},
    "recurrent_dropout": {"recurrent_dropout": 0.4},
    "candidate_dropout": {"candidate_dropout": 0.4},
    "input_dropout": {"input_dropout": 0.4},
    "learned_state": {"learned_state": True},
}
"""Of layers and cells, each alone."""

LAYER_OPTIONS: dict[str, dict[str, Any]] = {
    **OPTIONS,
    "dropout": {"dropout": 0.4},
    "residual": {"residual": True},
    "hidden_size": {"growth": 1},
    "models": {"models": 2},
    "recompute": {"recompute": True},
}
"""Of layers; `growth` makes hidden_size a list, of sizes that grow by so much."""

EVERYTHING = "all together"
TOGETHER = {"bias": True, "growth": 0}
"""What differs where all options are on."""


def _sized(
    kind: Factory,
    input_size: int,
    hidden_size: int,
    *,
    growth: int,
    num_layers: int = 1,
    **options: Any,
) -> Any:
    """A layer with one size for each of its layers."""
    sizes = [hidden_size + growth * index for index in range(num_layers)]
    return kind(input_size, sizes, num_layers, **options)


def factory_of(kind: Factory, options: dict[str, Any]) -> Factory:
    """A factory of `kind` with options."""
    if "growth" in options:
        return functools.partial(_sized, kind, **options)
    return functools.partial(kind, **options) if options else kind


def refusal(factory: Factory) -> str | None:
    """Why the options of a factory make no sense together, in the words of its error."""
    try:
        make(factory)
    except ParameterError as error:
        return str(error)
    return None


def forms(kind: type) -> dict[str, Factory]:
    """A kind in every form of its equations, by name."""
    taken = inspect.signature(kind).parameters
    others = {
        f"{kind.__name__}, {name}={value}": functools.partial(kind, **{name: value})
        for name, value in FORMS.items()
        if name in taken
    }
    return {kind.__name__: kind, **others}


def factories(
    kinds: Iterable[type], options: dict[str, dict[str, Any]]
) -> dict[tuple[str, str], Factory]:
    """Every form of every kind with every option alone, and with all it takes, by their names."""
    found = {}
    for kind in kinds:
        for form, plain in forms(kind).items():
            alone = {name: factory_of(plain, changes) for name, changes in options.items()}
            taken = [name for name, factory in alone.items() if refusal(factory) is None]
            everything = {key: value for name in taken for key, value in options[name].items()}
            everything |= {key: TOGETHER[key] for key in everything if key in TOGETHER}
            alone[EVERYTHING] = factory_of(plain, everything)
            found |= {(form, name): factory for name, factory in alone.items()}
    return found


def table(kinds: Iterable[type], options: dict[str, dict[str, Any]]) -> str:
    """The same as a table in Markdown: what the tests run, and why not what a kind refuses."""
    found = factories(kinds, options)
    columns = list(dict.fromkeys(form for form, _ in found))
    lines = [["", *(f"`{form}`" for form in columns)], ["---"] + [":-:"] * len(columns)]
    reasons: list[str] = []
    for name in (*options, EVERYTHING):
        cells = [f"`{name}`" if name in inspect.signature(Layer).parameters else name]
        for form in columns:
            reason = refusal(found[form, name])
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"no ({reasons.index(reason) + 1})" if reason else "yes")
        lines.append(cells)
    rows = [f"| {' | '.join(cells)} |" for cells in lines]
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, start=1)]
    return "\n".join([*rows, "", *notes])
