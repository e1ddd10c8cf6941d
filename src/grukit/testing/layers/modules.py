"""What a layer is as a module: its docstring, its state dict, its copies, its seed, its graph."""

from __future__ import annotations

import torch

from grukit.testing.layers.making import assert_results, make_layer, some_input
from grukit.testing.modules import assert_copies, assert_docstring, assert_seed, assert_state_dict
from grukit.testing.running import Check
from grukit.testing.subjects import Factory, leaves, seeded


def the_docstring_example_runs(factory: Factory) -> None:
    assert_docstring(type(make_layer(factory)))


def the_same_seed_gives_the_same_layer(factory: Factory) -> None:
    assert_seed(factory, num_layers=2)


def the_state_dict_carries_everything(factory: Factory) -> None:
    layer = make_layer(factory)
    assert_state_dict(layer, make_layer(factory, seed=1), some_input(layer))


def copies_compute_alike(factory: Factory) -> None:
    layer = make_layer(factory, bidirectional=True)
    assert_copies(layer, some_input(layer))


def gradients_are_only_recorded_on_request(factory: Factory) -> None:
    layer = make_layer(factory)
    x = some_input(layer)
    for training in (True, False):
        layer.train(training)
        with torch.no_grad():
            silent = seeded(3, layer, x)
        recorded = seeded(3, layer, x)
        if any(tensor.requires_grad for tensor in leaves(silent)):
            raise AssertionError("no result must require a gradient under no_grad")
        if not all(tensor.requires_grad for tensor in leaves(recorded)):
            raise AssertionError("every result must have a gradient in eval mode too")
        assert_results(silent, recorded, f"under no_grad, training={training}")


CHECKS: tuple[Check, ...] = (
    the_docstring_example_runs,
    the_same_seed_gives_the_same_layer,
    the_state_dict_carries_everything,
    copies_compute_alike,
    gradients_are_only_recorded_on_request,
)
