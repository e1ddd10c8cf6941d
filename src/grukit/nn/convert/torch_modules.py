"""To and from torch's own layers and cells."""

from __future__ import annotations

from typing import Any

from torch import nn

from grukit.core.errors import ParameterError, must_be
from grukit.nn.cells import GRUCell, LSTMCell, RNNCell
from grukit.nn.convert.layers import KINDS, refuse_options

CELLS: dict[str, type[nn.Module]] = {"GRUCell": GRUCell, "LSTMCell": LSTMCell, "RNNCell": RNNCell}
SETTINGS = (
    "input_size",
    "hidden_size",
    "num_layers",
    "nonlinearity",
    "bias",
    "batch_first",
    "dropout",
    "bidirectional",
    "proj_size",
)
"""The arguments that torch's layers and cells have, where they have them."""


def from_torch(module: Any) -> Any:
    """The layer or cell of grukit that does what a torch.nn.GRU, LSTM, RNN or cell of them does.

    >>> import torch
    >>> from_torch(torch.nn.GRU(10, 20, num_layers=2))
    GRU(10, 20, num_layers=2)

    Weights are copied; dtype, device, training mode and what is frozen stay as they are.
    Raises ParameterError for anything else, subclasses among it.
    """
    for name, kind in (KINDS | CELLS).items():
        if type(module) is getattr(nn, name):
            return _copy(module, kind)
    wanted = "a GRU, LSTM or RNN of torch.nn, or a cell of them"
    raise ParameterError(must_be("module", wanted, type(module)))


def to_torch(layer: Any) -> Any:
    """The torch.nn.GRU, LSTM, RNN or cell that does what a layer or cell of grukit does.

    >>> from grukit.nn import GRU
    >>> to_torch(GRU(10, 20))
    GRU(10, 20)

    Weights are copied; dtype, device, training mode and what is frozen stay as they are.
    Raises ParameterError for what torch does not have: reset_after=False, a projection in
    other layers than the LSTM, sizes per layer, and every option beyond torch's.
    """
    names = [name for name, kind in (KINDS | CELLS).items() if type(layer) is kind]
    if not names:
        wanted = "a GRU, LSTM or RNN of grukit.nn, or a cell of them"
        raise ParameterError(must_be("layer", wanted, type(layer)))
    name = names[0]
    refuse_options(layer, f"torch.nn.{name}", has=("proj_size",) if name == "LSTM" else ())
    if not getattr(layer, "reset_after", True):
        raise ParameterError(must_be("reset_after", "True, torch.nn has no other", False))
    if not isinstance(layer.hidden_size, int):
        wanted = "one size for all layers, torch.nn has no other"
        raise ParameterError(must_be("hidden_size", wanted, layer.hidden_size))
    return _copy(layer, getattr(nn, name))


def _copy(module: Any, kind: type[nn.Module]) -> nn.Module:
    settings = {name: getattr(module, name) for name in SETTINGS if hasattr(module, name)}
    if not settings.get("proj_size"):
        settings.pop("proj_size", None)
    weight = next(module.parameters())
    other = kind(**settings, device=weight.device, dtype=weight.dtype)
    other.load_state_dict(module.state_dict(), strict=True)
    for name, parameter in module.named_parameters():
        other.get_parameter(name).requires_grad_(parameter.requires_grad)
    return other.train(module.training)
