"""Zoneout and dropouts: what is drawn when, and for how long it stays.

Each check turns on the noise it is about, at a rate of one half, beside the factory's options.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grukit.nn.masks import zoneout_mask
from grukit.testing.layers.making import (
    NO_NOISE,
    assert_results,
    make_layer,
    noisy,
    some_input,
    some_state,
)
from grukit.testing.running import Check
from grukit.testing.subjects import B, Factory, T, assert_refused, leaves, mapped, seeded

SEEDS = range(6)


def eval_mode_draws_nothing(factory: Factory) -> None:
    """And the dropouts do nothing there."""
    layer = make_layer(factory)
    x = some_input(layer)
    got, drew = _watched(layer, x)
    _watched(layer.trace, x)
    _watched(layer.step, x[..., 0, :, :])
    if drew:
        raise AssertionError("eval mode must draw no random numbers")
    quiet = make_layer(factory, **{**NO_NOISE, "zoneout": layer.zoneout})
    assert_results(got, quiet(x), "in eval mode beside that without dropouts")


def rates_of_zero_draw_nothing(factory: Factory) -> None:
    """In training, which is then as eval mode."""
    layer = make_layer(factory, **NO_NOISE)
    x = some_input(layer)
    wanted = layer(x)
    got, drew = _watched(layer.train(), x)
    if drew:
        raise AssertionError("training without rates must draw no random numbers")
    assert_results(got, wanted, "of training without rates")


def _watched(call: Any, *arguments: Any) -> tuple[Any, bool]:
    """The result of a call, and whether it drew random numbers."""
    before = torch.random.get_rng_state()
    result = call(*arguments)
    return result, not torch.equal(torch.random.get_rng_state(), before)


def the_seed_makes_the_masks(factory: Factory) -> None:
    layer = make_layer(factory).train()
    x = some_input(layer)
    one, same, *others = (seeded(seed, layer, x) for seed in (3, 3, 4, 5, 6))
    assert_results(same, one, "of training with the same seed", within=0)
    differs = any(not torch.equal(other[0], one[0]) for other in others)
    if differs != noisy(layer):
        raise AssertionError(f"the seed must change the output of training: {noisy(layer)}")


def zoneout_keeps_what_its_mask_says(factory: Factory) -> None:
    """Every state, in training, by the masks of the seed: new for every step and unit."""
    layer = make_layer(factory, num_layers=1, **{**NO_NOISE, "zoneout": 0.5}).train()
    x, h0 = some_input(layer), some_state(layer)
    after = [leaves(seeded(3, layer, x, h0, lengths=[t] * B)[1]) for t in range(T + 1)]
    masks = seeded(
        3,
        lambda: [
            zoneout_mask(x, (*x.shape[:-1], h.shape[-1]), 0.5, training=True) for h in leaves(h0)
        ],
    )
    for part, mask in enumerate(masks):
        states = torch.cat([state[part] for state in after], dim=-3)
        stays, moves = states.diff(dim=-3) == 0, states[..., 1:, :, :] != 0
        # A relu may go from zero to zero.
        kept = mask > 0
        if not torch.equal(stays & (kept | moves), kept):
            raise AssertionError(f"state {part} must be kept where its zoneout mask is 1")


def input_dropout_is_one_mask(factory: Factory) -> None:
    _assert_one_mask(factory, "input_dropout", "weight_ih_l0", -2)


def recurrent_dropout_is_one_mask(factory: Factory) -> None:
    """Where there are recurrent products; else it is refused."""
    if make_layer(factory).recurrence.cell.recurrent:
        _assert_one_mask(factory, "recurrent_dropout", "weight_hh_l0", -2)
    else:
        what = "recurrent_dropout where there is no recurrent product"
        assert_refused(lambda: make_layer(factory, recurrent_dropout=0.5), what)


def candidate_dropout_is_one_mask(factory: Factory) -> None:
    """Where there is a candidate apart from the state; else it is refused."""
    if "drop_n" in make_layer(factory).recurrence.cell.refuses(make_layer(factory)._variant):
        what = "candidate_dropout where there is no candidate"
        assert_refused(lambda: make_layer(factory, candidate_dropout=0.5), what)
    else:
        _assert_one_mask(factory, "candidate_dropout", "bias_ih_l0", None)


def dropout_between_layers_is_new_at_every_step(factory: Factory) -> None:
    patterns = [_dropped(factory, seed, "dropout", "weight_ih_l1", -2) for seed in SEEDS]
    if not any(pattern[0].any() for pattern in patterns):
        raise AssertionError("dropout must drop half of what enters the second layer")
    if all((pattern == pattern[0]).all() for pattern in patterns):
        raise AssertionError("dropout must be new at every step")


def _assert_one_mask(factory: Factory, rate: str, parameter: str, axis: int | None) -> None:
    patterns = [_dropped(factory, seed, rate, parameter, axis) for seed in SEEDS]
    shares = [pattern[0].double().mean().item() for pattern in patterns]
    if not 0 < sum(shares) / len(shares) < 1:
        raise AssertionError(f"{rate} must drop half of the units")
    if any((pattern != pattern[0]).any() for pattern in patterns):
        raise AssertionError(f"the mask of {rate} must be the same for all steps of a sequence")


def _dropped(factory: Factory, seed: int, rate: str, parameter: str, axis: int | None) -> Tensor:
    """After the first and the last step, the rows or columns of a weight that had no part so far.

    Their gradient is zero: what one mask drops has no part at all, what new masks drop has one in
    time. Positive numbers keep every relu alive.
    """
    options = {**NO_NOISE, rate: 0.5, "bias": True}
    layer = make_layer(factory, num_layers=2 if rate == "dropout" else 1, **options).train()
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            weight.abs_()
            if name.startswith("bias_"):
                weight += 3
    x, h0 = some_input(layer, batch=1).abs(), mapped(torch.abs, some_state(layer, batch=1))
    output, _ = seeded(seed, layer, x, h0)
    weight = getattr(layer, parameter)
    found = [
        torch.autograd.grad(output[..., step, :, :].sum(), weight, retain_graph=True)[0] == 0
        for step in (0, T - 1)
    ]
    return torch.stack([one if axis is None else one.all(axis) for one in found])


CHECKS: tuple[Check, ...] = (
    eval_mode_draws_nothing,
    rates_of_zero_draw_nothing,
    the_seed_makes_the_masks,
    zoneout_keeps_what_its_mask_says,
    input_dropout_is_one_mask,
    recurrent_dropout_is_one_mask,
    candidate_dropout_is_one_mask,
    dropout_between_layers_is_new_at_every_step,
)
