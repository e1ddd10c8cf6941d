"""Small layers with their arguments and states, for the checks of layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grukit.testing.parity import assert_close
from grukit.testing.subjects import (
    B,
    Factory,
    State,
    T,
    assert_same,
    leaves,
    make,
    mapped,
    normal,
    random_state_like,
)

RATES = ("zoneout", "recurrent_dropout", "candidate_dropout", "input_dropout", "dropout")
NO_NOISE: dict[str, Any] = dict.fromkeys(RATES, 0.0)


def make_layer(factory: Factory, seed: int = 0, **arguments: Any) -> Any:
    """A layer of two layers unless said otherwise."""
    return make(factory, seed, **{"num_layers": 2, **arguments})


def noisy(layer: Any) -> bool:
    """Whether a layer of two layers draws random numbers in training."""
    return any(getattr(layer, rate) for rate in RATES)


def leading(layer: Any) -> tuple[int, ...]:
    """The model axis, if there is one."""
    return () if layer.models is None else (layer.models,)


def some_input(layer: Any, *outer: int, time: int = T, batch: int = B, seed: int = 0) -> Tensor:
    """[T, B, I] of normal numbers; [K, T, B, I] with models."""
    return normal(*outer, *leading(layer), time, batch, layer.input_size, seed=seed)


def some_state(layer: Any, batch: int = B, seed: int = 1) -> State:
    """A state of normal numbers, as the layer gives it."""
    with torch.no_grad():
        _, final = layer(torch.zeros_like(some_input(layer, time=1, batch=batch)))
    return random_state_like(final, seed)


def state_names(layer: Any) -> tuple[str, ...]:
    """The parts of the state, by the names of their parameters."""
    return ("h0", "c0") if layer.recurrence.cell.has_c else ("h0",)


def state_size(layer: Any, name: str, index: int) -> int:
    """The size of one part of the state of layer `index`."""
    size = layer.hidden_size if isinstance(layer.hidden_size, int) else layer.hidden_size[index]
    projected = name == "h0" and layer.recurrence.cell.projects_state
    return layer.proj_size or size if projected else size


def fresh_state(layer: Any, batch: int = B) -> State:
    """What a sequence starts from: zero, or the learned state, from the parameters by name."""

    def of(name: str, index: int, suffix: str) -> Tensor:
        if layer.learned_state:
            learned = getattr(layer, f"{name}_l{index}{suffix}")
            return learned.unsqueeze(-2).expand(*learned.shape[:-1], batch, learned.shape[-1])
        return torch.zeros(*leading(layer), batch, state_size(layer, name, index)).double()

    parts = []
    for name in state_names(layer):
        by_layer = [
            torch.stack([of(name, index, suffix) for suffix in suffixes(layer)], dim=-3)
            for index in range(layer.num_layers)
        ]
        one_size = isinstance(layer.hidden_size, int)
        parts.append(torch.cat(by_layer, dim=-3) if one_size else tuple(by_layer))
    return tuple(parts) if len(parts) > 1 else parts[0]


def suffixes(layer: Any) -> tuple[str, ...]:
    """Of the names of parameters, for each direction."""
    return ("", "_reverse") if layer.bidirectional else ("",)


def by_place(layer: Any, state: State) -> list[list[Tensor]]:
    """The parts h (and c) of a state, each [B, H] for every layer and direction."""
    parts = state if layer.recurrence.cell.has_c else (state,)
    return [[t for leaf in leaves(part) for t in leaf.unbind(-3)] for part in parts]


def choose_directions(takes: tuple[bool, bool], state: State, other: State) -> State:
    """The directions (forward, reverse) of `state` that `takes` says, else those of `other`."""

    def choose(one: Tensor, two: Tensor) -> Tensor:
        chosen = torch.tensor(takes).repeat(one.shape[-3] // 2)
        return torch.where(chosen[:, None, None], one, two)

    return mapped(choose, state, other)


def some_resets() -> Tensor:
    """[T, B]: several in one sequence, none in one, at the first and the last step in one."""
    resets = torch.zeros(T, B, dtype=torch.bool)
    for step, row in ((1, 0), (3, 0), (0, 2), (T - 1, 2)):
        resets[step, row] = True
    return resets


def assert_results(got: Any, wanted: Any, what: str, within: float = 1e-10) -> None:
    """Raise AssertionError unless output and final state are close."""
    assert_close(got[0], wanted[0], f"output {what}", within)
    assert_same(got[1], wanted[1], f"the final state {what}", within)
