"""The parameters of one layer and direction, or of a cell: names, shapes and first values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError
from grukit.ops.cell import Cell

DRAWN = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
"""The parameters that torch has, which are drawn at random."""

WEIGHTS = {
    "weight_ih": "w_ih",
    "weight_hh": "w_hh",
    "bias_ih": "b_ih",
    "bias_hh": "b_hh",
    "weight_hr": "w_hr",
    "gain_ih": "gain_ih",
    "gain_hh": "gain_hh",
    "gain_c": "gain_c",
    "bias_c": "bias_c",
}
"""The name of a parameter, torch's where torch has it, and of the op's argument."""

STATES = {"h0": "fresh_h", "c0": "fresh_c"}


def shapes(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    *,
    proj_size: int,
    bias: bool,
    layer_norm: bool,
    learned_state: bool,
) -> dict[str, tuple[int, ...]]:
    """The parameters by name, in torch's order."""
    rows, projected = cell.gates * hidden_size, proj_size or hidden_size
    found: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size)}
    sides = ("ih", "hh") if cell.recurrent else ("ih",)
    if cell.recurrent:
        found["weight_hh"] = (rows, projected)
    if bias:
        found |= {f"bias_{side}": (rows,) for side in sides}
    if proj_size:
        found["weight_hr"] = (proj_size, hidden_size)
    if layer_norm:
        found |= {f"gain_{side}": (rows,) for side in sides}
        if cell.has_c:
            found |= {"gain_c": (hidden_size,), "bias_c": (hidden_size,)}
    if learned_state:
        found["h0"] = (projected if cell.projects_state else hidden_size,)
        if cell.has_c:
            found["c0"] = (hidden_size,)
    return found


def register(
    module: nn.Module,
    shapes: dict[str, tuple[int, ...]],
    suffix: str = "",
    models: int | None = None,
    **made: Any,
) -> None:
    """Give the module its parameters, of values yet to be drawn."""
    leading = () if models is None else (models,)
    for name, shape in shapes.items():
        parameter = nn.Parameter(torch.empty((*leading, *shape), **made))
        module.register_parameter(name + suffix, parameter)


def own(module: nn.Module, names: Iterable[str], suffix: str = "") -> dict[str, nn.Parameter]:
    """The parameters of these names, to be drawn; ParameterError for what is computed of others."""
    found = {name: getattr(module, name + suffix) for name in names}
    for name, parameter in found.items():
        if not isinstance(parameter, nn.Parameter):
            raise ParameterError(f"{name}{suffix} must be drawn before it is parametrized")
    return found


def reset(module: nn.Module, names: Iterable[str], hidden_size: int, suffix: str = "") -> None:
    """Draw weights and biases from U(-1/sqrt(H), 1/sqrt(H)), as torch does.

    Gains are one; the shift of the cell state and the learned states are zero.
    """
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    for name, parameter in own(module, names, suffix).items():
        if name in DRAWN:
            nn.init.uniform_(parameter, -bound, bound)
        elif name.startswith("gain"):
            nn.init.ones_(parameter)
        else:
            nn.init.zeros_(parameter)


def weights(module: nn.Module, names: Iterable[str], suffix: str = "") -> dict[str, Any]:
    """The weights of these names, under the names of the op's arguments."""
    return {WEIGHTS[name]: getattr(module, name + suffix) for name in names if name in WEIGHTS}


def first_states(module: nn.Module, cell: Cell, batch: int, suffix: str = "") -> list[Tensor]:
    """The learned states, for a batch: [B, H] each."""
    names = ("h0", "c0") if cell.has_c else ("h0",)
    states = [getattr(module, name + suffix).unsqueeze(-2) for name in names]
    return [state.expand(*state.shape[:-2], batch, state.shape[-1]) for state in states]
