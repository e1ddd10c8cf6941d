"""Derivatives of every kind and order, vmap, and whole graphs by compile and export."""

from __future__ import annotations

import torch
from torch.export import Dim

from grukit.testing.derivatives import (
    Call,
    assert_gradients,
    assert_per_sample_gradients,
    assert_tangents,
    assert_vmap_over_inputs,
    assert_vmap_over_parameters,
)
from grukit.testing.gradients import gradients, random_like
from grukit.testing.layers.making import (
    assert_results,
    make_layer,
    noisy,
    some_input,
    some_resets,
    some_state,
)
from grukit.testing.parity import assert_close
from grukit.testing.running import Check
from grukit.testing.subjects import LENGTHS, Factory, fresh_compiler, leaves, seeded


def gradients_are_derivatives(factory: Factory) -> None:
    """First and second ones by input, state and parameters; in training by the same masks."""
    layer = make_layer(factory, num_layers=1, bidirectional=True)
    options = {"lengths": [3, 2], "resets": some_resets()[1:, :2]}
    call = Call(layer, some_input(layer, time=3, batch=2), some_state(layer, batch=2), **options)
    for training in (False, True) if noisy(layer) else (False,):
        layer.train(training)
        assert_gradients(call, f"{training=}")


def vmap_over_inputs_equals_a_loop(factory: Factory) -> None:
    layer = make_layer(factory, bidirectional=True)
    for training in (False, True):
        assert_vmap_over_inputs(layer.train(training), some_input(layer, 2))


def vmap_over_parameters_equals_a_loop(factory: Factory) -> None:
    layers = [make_layer(factory, seed=seed) for seed in range(2)]
    assert_vmap_over_parameters(layers, some_input(layers[0]))


def vmap_of_grad_gives_each_samples_gradient(factory: Factory) -> None:
    layer = make_layer(factory)
    assert_per_sample_gradients(layer, some_input(layer, batch=2).movedim(-2, 0))


def tangents_are_finite_differences(factory: Factory) -> None:
    """By input, state and parameters together."""
    layer = make_layer(factory, bidirectional=True)
    assert_tangents(Call(layer, some_input(layer), some_state(layer)))


def a_compiled_layer_equals_it(factory: Factory) -> None:
    """A training step as one graph, with lengths, resets, masks and every gradient."""
    layer = make_layer(factory).train()
    options = {"lengths": torch.tensor(LENGTHS), "resets": some_resets()}
    found = []
    with fresh_compiler():
        for call in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
            x = some_input(layer).requires_grad_()
            results = seeded(3, call, x, **options)
            inputs = {"x": x, **dict(layer.named_parameters())}
            tensors = leaves(results)
            found.append((results, gradients(tensors, inputs, random_like(tensors))))
    (got, d_got), (wanted, d_wanted) = found
    assert_results(got, wanted, "compiled")
    for name, gradient in d_wanted.items():
        assert_close(d_got[name], gradient, f"{name} compiled")


def an_exported_layer_runs_at_every_length(factory: Factory) -> None:
    layer = make_layer(factory)
    x = some_input(layer)
    with fresh_compiler(), torch.no_grad():
        shapes = {"input": {x.dim() - 3: Dim("time")}}
        program = torch.export.export(layer, (x,), dynamic_shapes=shapes, strict=False)
        for time in (2, 7):
            x = some_input(layer, time=time)
            assert_results(program.module()(x), layer(x), f"of the exported program at T={time}")


GRAPHS: tuple[Check, ...] = (a_compiled_layer_equals_it, an_exported_layer_runs_at_every_length)
CHECKS: tuple[Check, ...] = (
    gradients_are_derivatives,
    vmap_over_inputs_equals_a_loop,
    vmap_over_parameters_equals_a_loop,
    vmap_of_grad_gives_each_samples_gradient,
    tangents_are_finite_differences,
    *GRAPHS,
)
