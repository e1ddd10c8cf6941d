"""Derivatives of every order, against finite differences and the definition."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from op_calls import (
    VARIANTS,
    each_op,
    each_variant,
    everything,
    leaves,
    one_by_one,
    run,
    weight_of,
    with_leaves,
)
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from grukit.ops.contract import SAVE_ALL, SAVE_NOTHING, slots
from grukit.ops.sequence import definition
from grukit.testing.backends import Case
from grukit.testing.gradients import random_like

SMALL = {"time": 3, "batch": 2, "input_size": 2, "hidden_size": 3, "dtype": torch.float64}
OPTIONS = {
    f"{op}-{variant}-{name}": replace(case, reverse=bool(index % 2))
    for op, variant in VARIANTS
    for index, (name, case) in enumerate(one_by_one(op, variant, **SMALL).items())
}
no_script_warning = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning"
)


def of_values(case):
    """The op as a function of the values that have gradients, and these values."""
    tensors = with_leaves(case)
    inputs = leaves(tensors)

    def call(*values):
        return run(case, tensors._replace(**dict(zip(inputs, values, strict=True))))

    return call, tuple(inputs.values())


def by_definition(case, tensors):
    return definition(case.cell, tensors, case.variant, case.reverse)


@pytest.mark.parametrize("name", OPTIONS)
def test_first_and_second_derivatives(name):
    call, values = of_values(OPTIONS[name])
    assert gradcheck(call, values, fast_mode=True)
    assert gradgradcheck(call, values, fast_mode=True)


@no_script_warning
@pytest.mark.parametrize("bias", [True, False])
@each_variant
def test_every_derivative_forward_and_batched(op, variant, bias):
    case = everything(op, variant, **SMALL) if bias else Case(op, variant, bias=False, **SMALL)
    call, values = of_values(case)
    ways = ("check_forward_ad", "check_batched_grad", "check_batched_forward_grad")
    assert gradcheck(call, values, fast_mode=True, **dict.fromkeys(ways, True))


@pytest.mark.parametrize("wanted", ["x", "w_hh", "w_hr", "gain_c", "fresh_h"])
def test_derivatives_of_one_argument_alone(wanted):
    case = everything("lstm", **SMALL)
    tensors = case.tensors()

    def call(tensor):
        return run(case, tensors._replace(**{wanted: tensor}))

    value = getattr(tensors, wanted).requires_grad_()
    assert gradcheck(call, value)
    assert gradgradcheck(call, value, fast_mode=True)


@each_op
def test_a_third_derivative(op):
    case = everything(op, **SMALL, lengths=False, resets=False, fresh=False)

    def of(function):
        tensors = with_leaves(case)
        value = function(case, tensors)[0].sin().sum()
        for _ in range(3):
            value = torch.autograd.grad(value, tensors.x, create_graph=True)[0].pow(2).sum()
        return torch.autograd.grad(value, list(leaves(tensors).values()))

    for ours, wanted in zip(of(run), of(by_definition), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)
        assert wanted.abs().max() > 0


@each_op
def test_a_gradient_penalty_reaches_what_made_the_input(op):
    """The second derivative goes on through x, and stops nowhere before."""
    case = everything(op, **SMALL)

    def of(function):
        tensors = with_leaves(case)
        source = tensors.x
        tensors = tensors._replace(x=source.sin())
        output = function(case, tensors)[0]
        (dx,) = torch.autograd.grad(output.square().sum(), tensors.x, create_graph=True)
        weights = list(leaves(tensors).values())[1:]
        return torch.autograd.grad(dx.square().sum(), [source, *weights])

    for ours, wanted in zip(of(run), of(by_definition), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("time", "batch"), [(0, 3), (4, 0), (0, 0)])
@each_op
def test_a_second_derivative_of_nothing(op, time, batch):
    case = everything(op, dtype=torch.float64, time=time, batch=batch)
    tensors = with_leaves(case)
    output, *final = run(case, tensors)
    loss = output.square().sum() + sum(state.pow(3).sum() for state in final)
    (dh0,) = torch.autograd.grad(loss, tensors.h0, create_graph=True)
    values = leaves(tensors)
    second = torch.autograd.grad(
        dh0.sum(), list(values.values()), allow_unused=True, materialize_grads=True
    )
    second = dict(zip(values, second, strict=True))
    h0 = tensors.h0.detach()
    torch.testing.assert_close(dh0.detach(), 3 * h0.square())
    torch.testing.assert_close(second.pop("h0"), 6 * h0)
    assert not any(t.count_nonzero() for t in second.values())


@no_script_warning
@each_op
def test_a_backward_pass_carries_tangents_of_its_cotangents(op):
    """A gradient is linear in its cotangent, so its tangent is the gradient of the tangent."""
    case = everything(op, **SMALL)
    tensors = with_leaves(case)
    inputs = list(leaves(tensors).values())
    results = run(case, tensors)
    cotangents, tangents = random_like(results), random_like(results, seed=2)
    wanted = torch.autograd.grad(results, inputs, tangents, retain_graph=True)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(*pair) for pair in zip(cotangents, tangents, strict=True)]
        found = torch.autograd.grad(results, inputs, duals)
        moved = [forward_ad.unpack_dual(gradient).tangent for gradient in found]
    for tangent, gradient in zip(moved, wanted, strict=True):
        torch.testing.assert_close(tangent, gradient)


@pytest.mark.parametrize("create_graph", [True, False])
@each_op
def test_batched_cotangents_of_one_result_alone(op, create_graph):
    case = everything(op, **SMALL)
    tensors = with_leaves(case)
    inputs = list(leaves(tensors).values())
    options = {"retain_graph": True, "create_graph": create_graph}
    for result in run(case, tensors):
        rows = torch.stack(random_like([result] * 3))
        batched = torch.autograd.grad(result, inputs, rows, is_grads_batched=True, **options)
        for index, row in enumerate(rows):
            wanted = torch.autograd.grad(result, inputs, row, **options)
            for gradients, gradient in zip(batched, wanted, strict=True):
                torch.testing.assert_close(gradients[index], gradient)


@each_op
def test_the_gradient_of_one_result_alone(op):
    case = everything(op, **SMALL)

    def of(function, which):
        tensors = with_leaves(case)
        result = function(case, tensors)[which]
        return torch.autograd.grad(
            result.sum(), list(leaves(tensors).values()), allow_unused=True, materialize_grads=True
        )

    for which in range(2 + case.cell.has_c):
        for ours, wanted in zip(of(run, which), of(by_definition, which), strict=True):
            torch.testing.assert_close(ours, wanted)


@each_op
def test_nothing_is_kept_for_backward_unless_needed(op):
    kept = []
    raw = getattr(torch.ops.grukit, op).default

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            results = func(*args, **(kwargs or {}))
            if func is raw:
                kept.append(results[-1].numel())
            return results

    case = everything(op, **SMALL)
    tensors, bare = with_leaves(case), case.tensors()
    with Spy():
        with torch.no_grad():
            run(case, tensors)
        with torch.inference_mode():
            run(case, tensors)
        run(case, bare)
        run(case, bare._replace(keep_h=bare.keep_h.clone().requires_grad_()))
        assert not any(kept)
        kept.clear()
        run(case, tensors)
        run(case, bare._replace(fresh_h=tensors.fresh_h))
    models, time, batch, hidden = case.models, case.time, case.batch, case.hidden_size
    full = len(slots(case.cell, bare)) * models * time * batch * hidden
    assert kept == [full, full]


@pytest.mark.parametrize("alone", [True, False])
@each_op
def test_a_mask_that_requires_a_gradient_has_one(op, alone):
    case = everything(op, **SMALL)
    tensors = case.tensors() if alone else with_leaves(case)
    masks = [name for name in ("drop_h", "drop_n", "keep_h") if getattr(tensors, name) is not None]
    tensors = tensors._replace(**{name: getattr(tensors, name).requires_grad_() for name in masks})

    def of(function):
        loss = function(case, tensors)[0].square().sum()
        return torch.autograd.grad(loss, [getattr(tensors, name) for name in masks])

    for ours, wanted in zip(of(run), of(by_definition), strict=True):
        torch.testing.assert_close(ours, wanted)
        assert wanted.abs().max() > 0


@each_variant
def test_a_nan_reaches_the_gradients_that_it_reaches_in_the_definition(op, variant):
    case = Case(op, variant, lengths=True, **SMALL)

    def of(function):
        tensors = with_leaves(case)
        tensors.x.data[0, 0, 0] = float("nan")
        loss = function(case, tensors)[0].sum()
        return torch.autograd.grad(loss, list(leaves(tensors).values()))

    for ours, wanted in zip(of(run), of(by_definition), strict=True):
        torch.testing.assert_close(ours, wanted, equal_nan=True)


@each_op
def test_inference_holds_no_memory_from_one_call_to_the_next(op):
    """The results alone are alive: nothing hangs on them that a backward pass would need."""
    case = everything(op, **SMALL)
    tensors = with_leaves(case)
    with torch.no_grad():
        assert all(result.grad_fn is None for result in run(case, tensors))
    reserve = torch.ops.grukit.__getattr__(op)(*tensors, case.variant, False, SAVE_ALL, None)[-1]
    saved = run(case, tensors)[0].grad_fn.saved_tensors
    assert reserve.shape in [t.shape for t in saved if t is not None]


@each_op
def test_an_op_that_saved_nothing_has_its_gradients_from_the_definition(op):
    case = everything(op, **SMALL)

    def of(save):
        tensors = with_leaves(case)
        raw = getattr(torch.ops.grukit, op)
        output, *_ = raw(*tensors, case.variant, False, save, None)
        return torch.autograd.grad(output.sum(), [tensors.x, getattr(tensors, weight_of(op))])

    for one, other in zip(of(SAVE_NOTHING), of(SAVE_ALL), strict=True):
        torch.testing.assert_close(one, other)


@no_script_warning
@each_op
def test_function_transforms(op):
    case = everything(op, **SMALL)
    tensors = case.tensors()

    name = weight_of(op)
    given = getattr(tensors, name)

    def loss(weight):
        return run(case, tensors._replace(**{name: weight}))[0].square().sum()

    weight = given.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(loss(weight), weight, create_graph=True)
    direction = torch.randn_like(weight)
    (second,) = torch.autograd.grad((wanted * direction).sum(), weight)
    grad = torch.func.grad(loss)
    got, moved = torch.func.jvp(grad, (given,), (direction,))
    torch.testing.assert_close(got, wanted.detach())
    torch.testing.assert_close(moved, second)
    several = torch.stack([given, direction])
    for got, weights in zip(torch.vmap(grad)(several), several, strict=True):
        torch.testing.assert_close(got, grad(weights))
    torch.testing.assert_close(torch.func.jacrev(loss)(given), wanted.detach())
