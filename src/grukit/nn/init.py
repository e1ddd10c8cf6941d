"""Initial weights, in the manner of torch.nn.init: in place, and the layer is given back.

Each function acts on every recurrent layer and cell in the module it is given, which may be one
itself, a Stack or a whole network; the rest is left as it is. In a layer with a model axis every
model has draws of its own. torch.manual_seed makes them reproducible.

>>> from grukit.nn import GRU
>>> layer = chrono_(orthogonal_(GRU(input_size=10, hidden_size=20)), longest=100)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, number
from grukit.nn import parameters
from grukit.nn.cells import GRUCell, LSTMCell
from grukit.nn.cells.base import RecurrentCell
from grukit.nn.gru import GRU
from grukit.nn.layer import Layer
from grukit.nn.lstm import LSTM

__all__ = ["chrono_", "forget_bias_", "orthogonal_", "uniform_"]

AnyModule = TypeVar("AnyModule", bound=nn.Module)

_LSTMS = (LSTM, LSTMCell)
_INPUT, _CARRY = 0, 1
"""Of the gates i, f, g, o the input and the forget gate; of r, z, n the update gate is 1 too."""


@torch.no_grad()
def uniform_(layer: AnyModule) -> AnyModule:
    """Draw weights and biases from U(-1/sqrt(H), 1/sqrt(H)), as torch and every new layer does.

    H is the hidden size of each layer.
    """
    for part in _parts(layer):
        bound = 1.0 / math.sqrt(part.hidden)
        for parameter in part.parameters.values():
            nn.init.uniform_(parameter, -bound, bound)
    return layer


@torch.no_grad()
def orthogonal_(layer: AnyModule, gain: float = 1.0) -> AnyModule:
    """Orthogonal recurrent weights, Glorot uniform input weights, zero biases; gate by gate.

    The recurrent matrix of each gate is a random orthogonal one times gain (Saxe et al. 2014,
    arXiv:1312.6120). With a projection it has orthonormal columns, times gain, and the
    projection orthonormal rows. The input matrix of each gate is drawn from U(-a, a) with
    a = sqrt(6 / (I + H)) (Glorot and Bengio 2010).

    Keras' defaults are of this kind, but take the gates as one matrix: there it is orthogonal
    as a whole, not gate by gate, and H counts once for every gate.
    """
    check({"gain": gain}, {"gain": number(above=0.0)})
    for part in _parts(layer):
        for name, parameter in part.parameters.items():
            if name == "weight_ih":
                bound = math.sqrt(6.0 / (parameter.shape[-1] + part.hidden))
                nn.init.uniform_(parameter, -bound, bound)
            elif name == "weight_hh":
                _draw_orthogonal(parameter, part.hidden, gain)
            elif name == "weight_hr":
                _draw_orthogonal(parameter, parameter.shape[-2], 1.0)
            else:
                nn.init.zeros_(parameter)
    return layer


@torch.no_grad()
def chrono_(layer: AnyModule, longest: float) -> AnyModule:
    """Draw the biases of the gates that carry the past, for memories of up to longest steps.

    Chrono initialization (Tallec and Ollivier 2018, arXiv:1804.11188, section 2). A gate that
    stays at sigmoid(b) forgets over 1 + exp(b) steps, so with

        LSTM: b_f = log u, b_i = -b_f    GRU: b_z = log u    u from U(1, longest - 1)

    for every unit the units' times to forget are spread evenly from 2 to longest. Our z carries
    the past, as f does; the paper's gate g is 1 - z. The two biases of a gate add up: bias_ih
    has the value and bias_hh is zero. Weights and the other gates are left as they are.

    longest: the longest dependency to expect, in steps, at least 2.

    Raises ParameterError, before anything is changed, for an RNN, which has no gates, and for
    layers without bias.
    """
    check({"longest": longest}, {"longest": number(at_least=2.0)})
    kinds = (GRU, GRUCell, *_LSTMS)
    for part in _parts_with_bias(layer, kinds, "a GRU or LSTM, whose gates carry the past"):
        carry = torch.empty_like(part.bias("bias_ih", _CARRY))
        carry.uniform_(1.0, longest - 1.0).log_()
        part.set_bias(_CARRY, carry)
        if isinstance(part.owner, _LSTMS):
            part.set_bias(_INPUT, -carry)
    return layer


@torch.no_grad()
def forget_bias_(layer: AnyModule, value: float = 1.0) -> AnyModule:
    """Set the bias of the forget gate of an LSTM, the sum of its two, to value.

    At 1 a new LSTM remembers (Gers et al. 2000; Jozefowicz et al. 2015), as Keras' does; torch
    draws it around 0. Raises ParameterError, before anything is changed, for other layers and
    for layers without bias.
    """
    check({"value": value}, {"value": number()})
    for part in _parts_with_bias(layer, _LSTMS, "an LSTM, which has a forget gate"):
        part.set_bias(_CARRY, value)
    return layer


class _Part(NamedTuple):
    """One layer and direction, or a cell."""

    owner: nn.Module
    gates: int
    parameters: Mapping[str, Tensor]

    @property
    def hidden(self) -> int:
        return self.parameters["weight_ih"].shape[-2] // self.gates

    def bias(self, name: str, gate: int) -> Tensor:
        """A view [H], or [K, H]."""
        return self.parameters[name].narrow(-1, gate * self.hidden, self.hidden)

    def set_bias(self, gate: int, value: Tensor | float) -> None:
        """Make the sum of the two biases of a gate the value."""
        self.bias("bias_ih", gate)[...] = value
        if "bias_hh" in self.parameters:
            self.bias("bias_hh", gate)[...] = 0.0


def _parts(root: nn.Module) -> list[_Part]:
    """Every layer, direction and cell in a module, in torch's order."""
    found = []
    for module in root.modules():
        if isinstance(module, (Layer, RecurrentCell)):
            names = [name for name in module._names if name in parameters.DRAWN]
            for suffix in module._suffixes:
                own = parameters.own(module, names, suffix)
                found.append(_Part(module, module.gates, own))
    if not found:
        wanted = "a recurrent layer or cell of grukit, or a module with one in it"
        raise ParameterError(must_be("layer", wanted, root))
    return found


def _parts_with_bias(
    root: nn.Module, kinds: tuple[type[nn.Module], ...], wanted: str
) -> list[_Part]:
    """Every part; ParameterError where one is of another kind or has no bias."""
    parts = _parts(root)
    for part in parts:
        if not isinstance(part.owner, kinds):
            raise ParameterError(must_be("layer", wanted, part.owner))
        if "bias_ih" not in part.parameters:
            raise ParameterError(must_be("layer", "one with bias", part.owner))
    return parts


def _draw_orthogonal(parameter: Tensor, rows: int, gain: float) -> None:
    """Make every block of so many rows orthogonal, in float32 where qr has no half."""
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    for block in parameter.view(-1, rows, parameter.shape[-1]):
        block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=dtype), gain))
