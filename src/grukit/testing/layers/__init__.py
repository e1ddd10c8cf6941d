"""Conformance of a recurrent layer: what must hold of every layer in grukit.nn.

A factory is the layer's class, or a partial of it with options:
factory(input_size, hidden_size, num_layers=, bidirectional=, batch_first=, dtype=, ...).
"""

from __future__ import annotations

from grukit.testing.layers import (
    composition,
    equations,
    layouts,
    modules,
    noise,
    sequences,
    transforms,
)
from grukit.testing.running import Check, run
from grukit.testing.subjects import Factory


def layer_checks() -> tuple[Check, ...]:
    """The checks of a layer, each a function of its factory."""
    return (
        *modules.CHECKS,
        *layouts.CHECKS,
        *sequences.CHECKS,
        *equations.CHECKS,
        *composition.CHECKS,
        *noise.CHECKS,
        *transforms.CHECKS,
    )


def check_layer(factory: Factory) -> None:
    """Raise AssertionError unless the layers that `factory` makes keep the contract.

    factory: the class of a layer, or a partial of it with options. It is called as
        factory(input_size, hidden_size, num_layers=, bidirectional=, dtype=, ...).

    >>> from functools import partial
    >>> from grukit.nn import GRU
    >>> check_layer(partial(GRU, layer_norm=True))
    """
    run(layer_checks(), factory)
