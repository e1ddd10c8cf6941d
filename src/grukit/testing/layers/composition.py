"""Options against layers without them: models, learned states, layers one on the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grukit.testing.gradients import gradients, random_like
from grukit.testing.layers.making import (
    assert_results,
    by_place,
    make_layer,
    noisy,
    some_input,
    some_resets,
    some_state,
)
from grukit.testing.parity import assert_close
from grukit.testing.running import Check
from grukit.testing.subjects import B, Factory, I, State, T, leaves, mapped, normal, seeded


def models_equal_separate_layers(factory: Factory) -> None:
    """K models in one call, gradients included, each with its own lengths and resets."""
    layer = make_layer(factory, bidirectional=True, models=2)
    x, h0 = some_input(layer).requires_grad_(), some_state(layer)
    lengths = torch.tensor([[4, 0, 2], [1, 3, 4]])
    resets = torch.stack([some_resets(), some_resets().flip(0)])
    results = layer(x, h0, lengths=lengths, resets=resets)
    seeds = random_like(leaves(results))
    found = gradients(leaves(results), {"x": x, **dict(layer.named_parameters())}, seeds)
    for k in range(2):

        def of(state: Any, k: int = k) -> Any:
            return mapped(lambda t: t[k], state)

        one = make_layer(factory, bidirectional=True, models=None)
        one.load_state_dict({name: value[k] for name, value in layer.state_dict().items()})
        own_x = x[k].detach().requires_grad_()
        alone = one(own_x, of(h0), lengths=lengths[k], resets=resets[k])
        assert_results(of(results), alone, f"of model {k}")
        inputs = {"x": own_x, **dict(one.named_parameters())}
        for name, wanted in gradients(leaves(alone), inputs, [s[k] for s in seeds]).items():
            assert_close(found[name][k], wanted, f"{name} of model {k}")


def models_take_one_input_and_masks_of_their_own(factory: Factory) -> None:
    layer = make_layer(factory, models=2)
    x = normal(T, B, I)
    assert_results(layer(x), layer(x.expand(2, T, B, I)), "with one input for all models")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter[1] = parameter[0]
    alike = all(torch.allclose(*seeded(seed, layer.train(), x)[0]) for seed in range(3))
    if alike == noisy(layer):
        raise AssertionError("each of several models must have masks of its own")


def a_learned_state_of_zero_is_none(factory: Factory) -> None:
    layer = make_layer(factory, learned_state=True, bidirectional=True)
    plain = make_layer(factory, learned_state=False, bidirectional=True)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith(("h0_", "c0_")):
                parameter.zero_()
    plain.load_state_dict({name: layer.state_dict()[name] for name in plain.state_dict()})
    x, resets = some_input(layer), some_resets()
    assert_results(layer(x, resets=resets), plain(x, resets=resets), "of a learned state of zero")


def two_layers_are_one_on_the_other(factory: Factory) -> None:
    """With their sum where the layer is residual."""
    both = make_layer(factory, bidirectional=True)
    x, h0 = some_input(both), some_state(both)
    states = by_place(both, h0)
    output = x
    finals = []
    for index in range(2):
        suffix = f"_l{index}"
        weights = {
            name.replace(suffix, "_l0"): value
            for name, value in both.state_dict().items()
            if suffix in name
        }
        one = make_layer(
            factory,
            input_size=output.shape[-1],
            hidden_size=weights["weight_ih_l0"].shape[-2] // both.gates,
            num_layers=1,
            bidirectional=True,
        )
        one.load_state_dict(weights)
        below = output
        output, final = one(below, one_layer_state(one, [part[2 * index :][:2] for part in states]))
        if both.residual and index:
            output = output + below
        finals.append(by_place(one, final))
    wanted, end = both(x, h0)
    assert_close(output, wanted, "output of one layer on the other")
    for part, own in enumerate(by_place(both, end)):
        for place, tensor in enumerate(own):
            assert_close(tensor, finals[place // 2][part][place % 2], f"final state {place}")


def one_layer_state(layer: Any, parts: list[list[Tensor]]) -> State:
    """The state of one layer from its parts h (and c), each for its directions."""
    given = iter([torch.stack(part, dim=-3) for part in parts])
    return mapped(lambda _: next(given), some_state(layer))


CHECKS: tuple[Check, ...] = (
    models_equal_separate_layers,
    models_take_one_input_and_masks_of_their_own,
    a_learned_state_of_zero_is_none,
    two_layers_are_one_on_the_other,
)
