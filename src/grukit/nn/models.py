"""Several models of one shape as one layer, and back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from grukit.core.errors import ParameterError, must_be
from grukit.nn.layer import Layer

L = TypeVar("L", bound=Layer)


def stack_models(layers: Sequence[L]) -> L:
    """One layer of K models, with copies of the parameters of K layers of the same shape.

    >>> from grukit.nn import GRU
    >>> members = [GRU(10, 20) for _ in range(8)]
    >>> ensemble = stack_models(members)
    >>> output, h_n = ensemble(torch.zeros(5, 3, 10))
    >>> output.shape, h_n.shape
    (torch.Size([8, 5, 3, 20]), torch.Size([8, 1, 3, 20]))

    The K models compute in one call what the layers compute in K. Raises ParameterError unless
    the layers are of one kind with the same settings, and none has several models already.
    """
    if not layers:
        raise ParameterError(must_be("layers", "at least one", len(layers)))
    first = layers[0]
    for layer in layers:
        if not isinstance(layer, Layer):
            wanted = "a GRU, LSTM or RNN of grukit.nn"
            raise ParameterError(must_be("layers", wanted, type(layer)))
    weights = [_parameters(layer) for layer in layers]
    for layer, own in zip(layers, weights, strict=True):
        if repr(layer) != repr(first):
            raise ParameterError(must_be("layers", f"alike, as {first}", layer))
        for name, one in weights[0].items():
            alike = one.dtype, one.device, one.requires_grad
            got = own[name].dtype, own[name].device, own[name].requires_grad
            if got != alike:
                wanted = f"alike in dtype, device and requires_grad, {alike}"
                raise ParameterError(must_be(f"{name} of the layers", wanted, got))
    if first.models is not None:
        raise ParameterError(must_be("layers", "of one model each", first))
    stacked = copy.deepcopy(first)
    for name, one in weights[0].items():
        together = torch.stack([own[name].detach() for own in weights])
        stacked.register_parameter(name, nn.Parameter(together, one.requires_grad))
    stacked._set_models(len(layers))
    return stacked


def unstack_models(layer: L) -> list[L]:
    """The models of a layer of K, each as a layer with a copy of its parameters.

    Raises ParameterError if the layer has no model axis.
    """
    if layer.models is None:
        raise ParameterError(must_be("layer", "of several models", layer))
    found = []
    for index in range(layer.models):
        member = copy.deepcopy(layer)
        for name, parameter in _parameters(layer).items():
            own = parameter[index].detach().clone()
            member.register_parameter(name, nn.Parameter(own, parameter.requires_grad))
        member._set_models(None)
        found.append(member)
    return found


def join_models(network: nn.Module, members: Sequence[nn.Module]) -> None:
    """Give a network of K models the parameters of K networks, in order.

    network: with the parameters of each member, by name, and a leading axis [K, ...].
    """
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            together = torch.stack([member.get_parameter(name) for member in members])
            if together.shape != parameter.shape:
                wanted = f"of shape {list(together.shape)}"
                raise ParameterError(must_be(name, wanted, list(parameter.shape)))
            parameter.copy_(together)


def _parameters(layer: Layer) -> dict[str, nn.Parameter]:
    """The parameters by name; ParameterError where there are others than every layer has."""
    found = dict(layer.named_parameters())
    if list(found) != [name + suffix for suffix in layer._suffixes for name in layer._names]:
        wanted = "with the parameters of a new layer, none of them parametrized"
        raise ParameterError(must_be("layers", wanted, layer))
    return found
