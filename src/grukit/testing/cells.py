"""Conformance of a recurrent cell: what must hold of every cell in grukit.nn.

A factory is the cell's class, or a partial of it with options.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

import grukit.nn
from grukit.nn.masks import zoneout_mask
from grukit.testing.derivatives import (
    Call,
    assert_gradients,
    assert_per_sample_gradients,
    assert_tangents,
    assert_vmap_over_inputs,
    assert_vmap_over_parameters,
)
from grukit.testing.modules import assert_copies, assert_docstring, assert_seed, assert_state_dict
from grukit.testing.parity import assert_close
from grukit.testing.running import Check, run
from grukit.testing.subjects import (
    B,
    Factory,
    H,
    I,
    State,
    T,
    assert_refused,
    assert_same,
    fresh_compiler,
    leaves,
    make,
    mapped,
    normal,
    random_state_like,
    rows,
    seeded,
)

DROPOUTS = ("input_dropout", "recurrent_dropout", "candidate_dropout")


def layer_of(factory: Factory) -> Factory:
    """The factory of the layer of a cell's kind, with the same options: GRU for GRUCell."""
    if isinstance(factory, functools.partial):
        return functools.partial(layer_of(factory.func), *factory.args, **factory.keywords)
    kinds = (getattr(grukit.nn, c.__name__.removesuffix("Cell"), None) for c in factory.__mro__)
    return next(kind for kind in kinds if kind is not None)


def dropping(factory: Factory, **arguments: Any) -> Any:
    """A cell in training with every dropout that the kind has, at one half."""
    refused = make(factory).recurrence.cell.refuses(make(factory)._variant)
    masks = zip(DROPOUTS, ("", "drop_h", "drop_n"), strict=True)
    rates = {rate: 0.5 for rate, mask in masks if mask not in refused}
    return make(factory, **rates, **arguments).train()


def some_state(cell: Any) -> State:
    """A state [B, H] of normal numbers, as the cell gives it."""
    return random_state_like(cell(normal(B, I)))


def the_docstring_example_runs(factory: Factory) -> None:
    assert_docstring(type(make(factory)))


def shapes_and_dtypes_are_as_promised(factory: Factory) -> None:
    for dtype in (torch.float32, torch.float64):
        cell = make(factory, dtype=dtype)
        kind = cell.recurrence.cell
        sizes = [cell.proj_size or H if kind.projects_state else H] + [H] * kind.has_c
        state = cell(normal(B, I).to(dtype))
        if isinstance(state, Tensor) == kind.has_c:
            raise AssertionError(f"the state must be {'a pair' if kind.has_c else 'a tensor'}")
        for part, size in zip(leaves(state), sizes, strict=True):
            if part.shape != (B, size) or part.dtype != dtype:
                got = tuple(part.shape), part.dtype
                raise AssertionError(f"the state must be {(B, size)} and {dtype}, got {got}")


def unbatched_is_a_batch_of_one(factory: Factory) -> None:
    cell, x = make(factory), normal(B, I)
    for state in (None, some_state(cell)):
        one = None if state is None else mapped(lambda t: t[0], state)
        wanted = mapped(lambda t: t[0], cell(x, state))
        assert_same(cell(x[0], one), wanted, "the unbatched state")


def no_state_is_a_fresh_state(factory: Factory) -> None:
    """Zero, or the learned state."""
    cell, x = make(factory), normal(B, I)
    names = iter(("h0", "c0"))

    def fresh(t: Tensor) -> Tensor:
        learned = getattr(cell, next(names), None)
        return torch.zeros_like(t) if learned is None else learned.expand_as(t)

    assert_same(cell(x), cell(x, mapped(fresh, some_state(cell))), "the state without hx")


def sequences_do_not_see_each_other(factory: Factory) -> None:
    cell, x = make(factory), normal(B, I)
    state, order = some_state(cell), torch.tensor([2, 0, 1])
    changed = x.clone()
    changed[1] += 1
    wanted = cell(x, state)
    got = cell(changed, state)
    assert_same(rows(got, [0, 2]), rows(wanted, [0, 2]), "the state beside a changed sequence")
    permuted = cell(x[order], rows(state, order))
    assert_same(permuted, rows(wanted, order), "the state of the permuted batch")


def steps_equal_the_layer(factory: Factory) -> None:
    """Step by step, in eval mode and in training with the masks that the layer draws."""
    for cell in (make(factory), dropping(factory, zoneout=0.0)):
        rates = {name: getattr(cell, name) for name in (*DROPOUTS, "zoneout")}
        layer = make(layer_of(factory), **rates).train(cell.training)
        layer.load_state_dict({f"{name}_l0": t for name, t in cell.state_dict().items()})
        x, state = normal(T, B, I), some_state(make(factory))
        output, final = seeded(3, layer, x, mapped(lambda t: t[None], state))
        masks = seeded(3, cell.masks, B)
        states = []
        for one in x:
            state = cell(one, state, masks)
            states.append(leaves(state)[0])
        wanted = mapped(lambda t: t[0], final)
        assert_same(state, wanted, f"the state after the steps, training={cell.training}")
        if states[0].shape == output.shape[1:]:
            assert_close(torch.stack(states), output, f"output, training={cell.training}")


def masks_must_be_given_in_training(factory: Factory) -> None:
    """In eval mode there are none, and they are drawn from the seed."""
    cell, x = dropping(factory), normal(B, I)
    assert_refused(lambda: cell(x), "a step in training without masks")
    drawn = [mask for mask in seeded(3, cell.masks, B) if mask is not None]
    again = [mask for mask in seeded(3, cell.masks, B) if mask is not None]
    assert_same(drawn, again, "the masks of the same seed", within=0)
    if not all(set(mask.unique().tolist()) <= {0.0, 2.0} for mask in drawn):
        raise AssertionError("masks of rate 1/2 must be 0 or 2")
    if any(mask is not None for mask in cell.eval().masks(B)):
        raise AssertionError("masks in eval mode must be None")
    before = torch.random.get_rng_state()
    assert_same(cell(x), make(factory, **dict.fromkeys(DROPOUTS, 0.0))(x), "the state in eval mode")
    if not torch.equal(torch.random.get_rng_state(), before):
        raise AssertionError("eval mode must draw no random numbers")


def zoneout_keeps_what_its_mask_says(factory: Factory) -> None:
    """Every state, in training, by the masks of the seed, anew at each step."""
    cell, quiet = dropping(factory, zoneout=0.5), dropping(factory, zoneout=0.0)
    x, state = normal(B, I), some_state(make(factory))
    masks = cell.masks(B)
    for seed in range(2):
        kept = seeded(
            seed, lambda: [zoneout_mask(x, (1, *t.shape), 0.5, True)[0] for t in leaves(state)]
        )
        parts = zip(kept, leaves(state), leaves(quiet(x, state, masks)), strict=True)
        wanted = [torch.where(mask > 0, old, new) for mask, old, new in parts]
        assert_same(leaves(seeded(seed, cell, x, state, masks)), wanted, "the zoned out state")


def the_same_seed_gives_the_same_cell(factory: Factory) -> None:
    assert_seed(factory)


def the_state_dict_carries_everything(factory: Factory) -> None:
    assert_state_dict(make(factory), make(factory, seed=1), normal(B, I))


def copies_compute_alike(factory: Factory) -> None:
    assert_copies(make(factory), normal(B, I))


def gradients_are_derivatives(factory: Factory) -> None:
    """First and second ones by input, state and parameters, in eval mode and with masks."""
    for cell in (make(factory), dropping(factory, zoneout=0.5)):
        state = some_state(make(factory))
        call = Call(cell, normal(B, I), state, masks=seeded(3, cell.masks, B))
        assert_gradients(call, f"training={cell.training}")


def tangents_are_finite_differences(factory: Factory) -> None:
    cell = make(factory)
    assert_tangents(Call(cell, normal(B, I), some_state(cell)))


def vmap_over_inputs_equals_a_loop(factory: Factory) -> None:
    for cell in (make(factory), dropping(factory, zoneout=0.5)):
        assert_vmap_over_inputs(cell, normal(2, B, I), masks=seeded(3, cell.masks, B))


def vmap_over_parameters_equals_a_loop(factory: Factory) -> None:
    assert_vmap_over_parameters([make(factory, seed=seed) for seed in range(2)], normal(B, I))


def vmap_of_grad_gives_each_samples_gradient(factory: Factory) -> None:
    assert_per_sample_gradients(make(factory), normal(B, I))


def a_compiled_cell_equals_it(factory: Factory) -> None:
    """In training, as one graph."""
    cell, x = dropping(factory, zoneout=0.5), normal(B, I)
    state, masks = some_state(make(factory)), cell.masks(B)
    with fresh_compiler():
        compiled = torch.compile(cell, fullgraph=True, backend="aot_eager")
        got = seeded(3, compiled, x, state, masks)
    assert_same(got, seeded(3, cell, x, state, masks), "the state compiled")


GRAPHS: tuple[Check, ...] = (a_compiled_cell_equals_it,)
_CHECKS: tuple[Check, ...] = (
    the_docstring_example_runs,
    shapes_and_dtypes_are_as_promised,
    unbatched_is_a_batch_of_one,
    no_state_is_a_fresh_state,
    sequences_do_not_see_each_other,
    steps_equal_the_layer,
    masks_must_be_given_in_training,
    zoneout_keeps_what_its_mask_says,
    the_same_seed_gives_the_same_cell,
    the_state_dict_carries_everything,
    copies_compute_alike,
    gradients_are_derivatives,
    tangents_are_finite_differences,
    vmap_over_inputs_equals_a_loop,
    vmap_over_parameters_equals_a_loop,
    vmap_of_grad_gives_each_samples_gradient,
    *GRAPHS,
)


def cell_checks() -> tuple[Check, ...]:
    """The checks of a cell, each a function of its factory."""
    return _CHECKS


def check_cell(factory: Factory) -> None:
    """Raise AssertionError unless the cells that `factory` makes keep the contract.

    factory: the class of a cell, or a partial of it with options. Its steps must be those of the
        layer in grukit.nn with its name, without the ending Cell.

    >>> from functools import partial
    >>> from grukit.nn import LSTMCell
    >>> check_cell(partial(LSTMCell, zoneout=0.1))
    """
    run(cell_checks(), factory)
