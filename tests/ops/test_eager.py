"""Eager calls go straight to a backend, and are one op wherever someone looks on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from op_calls import each_op, everything, leaves, run, weight_of, with_leaves
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from grukit.core.errors import ParameterError
from grukit.ops import RECURRENCES
from grukit.ops.contract import SAVE_NOTHING
from grukit.testing.backends import Case
from grukit.testing.gradients import random_like

SMALL = {"time": 2, "batch": 2, "hidden_size": 3, "dtype": torch.float64}


class Ops(TorchDispatchMode):
    """Notes the names of our ops."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "grukit":
            self.seen.append(func._opname)
        return func(*args, **(kwargs or {}))


class Nothing(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


@pytest.fixture
def calls(monkeypatch):
    """The names of the library ops that were called, of every recurrence."""
    seen = []

    def spy(name, op):
        return lambda *arguments: seen.append(name) or op(*arguments)

    for name, recurrence in RECURRENCES.items():
        monkeypatch.setattr(recurrence, "forward_op", spy(name, recurrence.forward_op))
        backward = spy(f"{name}_backward", recurrence.backward_op)
        monkeypatch.setattr(recurrence, "backward_op", backward)
    return seen


def gradients_of(case, tensors, **options):
    results = run(case, tensors, **options)
    inputs = list(leaves(tensors).values())
    return [*results, *torch.autograd.grad(results, inputs, random_like(results), **options)]


@each_op
def test_a_plain_call_takes_no_op(op, calls):
    case = everything(op, **SMALL)
    gradients_of(case, with_leaves(case))
    with torch.no_grad():
        run(case, with_leaves(case))
    with torch.inference_mode():
        run(case, case.tensors())
    assert calls == []


@each_op
def test_higher_derivatives_go_through_the_op_of_the_backward(op, calls):
    case = everything(op, **SMALL)
    tensors = with_leaves(case)
    (dx,) = torch.autograd.grad(run(case, tensors)[0].sum(), tensors.x, create_graph=True)
    assert calls == [f"{op}_backward"]
    assert dx.requires_grad


@each_op
def test_a_dispatch_mode_sees_the_ops(op):
    case = everything(op, **SMALL)
    tensors = with_leaves(case)
    with Ops() as ops:
        watched = gradients_of(case, tensors)
    assert ops.seen == [op, f"{op}_backward"]
    for one, other in zip(watched, gradients_of(case, tensors), strict=True):
        assert torch.equal(one, other)


class Subclass(torch.Tensor):
    pass


@each_op
def test_whoever_looks_on_sees_an_op(op, calls):
    case = everything(op, **SMALL)
    tensors = case.tensors()
    with Nothing():
        run(case, tensors)
    name = weight_of(op)
    run(case, tensors._replace(**{name: getattr(tensors, name).as_subclass(Subclass)}))
    results = run(case, tensors._replace(**{n: t.to("meta") for n, t in given(tensors).items()}))
    assert calls == [op] * 3
    assert all(result.is_meta for result in results)
    graph = make_fx(lambda x: run(case, tensors._replace(x=x)))(tensors.x)
    assert [str(node.target) for node in graph.graph.nodes].count(f"grukit.{op}.default") == 1


def given(tensors):
    return {name: t for name, t in tensors._asdict().items() if t is not None}


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python:torch.jit.TracerWarning")
def test_a_trace_of_jit_holds_the_op():
    case = Case("gru", "after")
    tensors = case.tensors()
    traced = torch.jit.trace(
        lambda x: run(case, tensors._replace(x=x))[0], tensors.x, check_trace=False
    )
    assert "grukit::gru" in str(traced.graph)


@each_op
def test_several_calls_are_as_if_each_ran_alone(op):
    case = everything(op, **SMALL)
    other = replace(case, reverse=True)
    tensors, others = with_leaves(case), with_leaves(case)
    found = RECURRENCES[op].together([(tensors, False), (others, True)], variant=case.variant)
    for results, alone in zip(found, (run(case, tensors), run(other, others)), strict=True):
        for one, wanted in zip(results, alone, strict=True):
            assert torch.equal(one, wanted)
    # Of the first results alone, and of one argument that both calls share.
    name = weight_of(op)
    weight = getattr(tensors, name)
    shared = others._replace(**{name: weight})
    found = RECURRENCES[op].together([(tensors, False), (shared, True)], variant=case.variant)
    (got,) = torch.autograd.grad(found[0][0].sum(), tensors.x, retain_graph=True)
    (wanted,) = torch.autograd.grad(run(case, tensors)[0].sum(), tensors.x)
    assert torch.equal(got, wanted)
    (got,) = torch.autograd.grad(found[0][0].sum() + found[1][1].sum(), weight)
    loss = run(case, tensors)[0].sum() + run(other, shared)[1].sum()
    (wanted,) = torch.autograd.grad(loss, weight)
    torch.testing.assert_close(got, wanted)


@each_op
def test_a_backend_may_run_several_calls_side_by_side(op, monkeypatch):
    ran, recurrence = [], RECURRENCES[op]
    reference = recurrence.backends[-1]

    def many(name):
        def run_all(calls):
            ran.append((name, len(calls)))
            return [getattr(reference, name)(*call) for call in calls]

        return run_all

    both = replace(reference, forward_many=many("forward"), backward_many=many("backward"))
    picky = replace(reference, name="picky", why_not=lambda call: ("no",) * call.reverse)
    case = everything(op, **SMALL)

    def train(backends):
        monkeypatch.setattr(recurrence, "backends", backends)
        tensors = with_leaves(case)
        found = recurrence.together([(tensors, False), (tensors, True)], variant=case.variant)
        inputs = list(leaves(tensors).values())
        return torch.autograd.grad(sum(t.sum() for results in found for t in results), inputs)

    wanted = train((reference,))
    assert not ran
    for one, other in zip(train((both,)), wanted, strict=True):
        assert torch.equal(one, other)
    assert ran == [("forward", 2), ("backward", 2)]
    train((picky, both))
    assert len(ran) == 2


@each_op
def test_frozen_arguments_cost_no_gradient(op, monkeypatch):
    asked, recurrence = [], RECURRENCES[op]
    reference = recurrence.backends[-1]

    def backward(*arguments):
        asked.append(list(arguments[-1]))
        return reference.backward(*arguments)

    monkeypatch.setattr(recurrence, "backends", (replace(reference, backward=backward),))
    case = everything(op, **SMALL)
    tensors = case.tensors()
    for names in ([weight_of(op)], ["x"], ["h0", "b_ih"]):
        some = {name: getattr(tensors, name).clone().requires_grad_() for name in names}
        run(case, tensors._replace(**some))[0].sum().backward()
        with Ops():
            run(case, tensors._replace(**some))[0].sum().backward()
        assert asked == [names, names]
        asked.clear()


@each_op
def test_a_call_like_one_before_is_checked_too(op):
    case = Case(op, next(iter(RECURRENCES[op].cell.variants)), dtype=torch.float64)
    tensors = case.tensors()
    run(case, tensors)
    weight = weight_of(op)
    wrong = {"h0": tensors.h0[:1], weight: getattr(tensors, weight).float()}
    if weight == "w_hh":
        wrong["b_ih"] = None
    for name, tensor in wrong.items():
        for _ in range(2):
            with pytest.raises(ParameterError, match=name):
                run(case, tensors._replace(**{name: tensor}))
    with pytest.raises(ParameterError, match=r"device of b_ih must be cpu, got .*meta"):
        run(case, tensors._replace(b_ih=tensors.b_ih.to("meta")))


@each_op
def test_calls_are_explained(op):
    case = everything(op, **SMALL)
    line = "reference: can run it"
    tensors = case.tensors()
    assert RECURRENCES[op].explain(*tensors, variant=case.variant).splitlines()[-1] == line
    asked = []
    picky = replace(
        RECURRENCES[op].backends[-1],
        name="picky",
        why_not=lambda call: asked.append(call) or ("no",),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RECURRENCES[op], "backends", (picky, RECURRENCES[op].backends[-1]))
        found = RECURRENCES[op].explain(*tensors, variant=case.variant, reverse=True)
    assert found == f"picky: no\n{line}"
    (facts,) = asked
    assert (facts.reverse, facts.save) == (True, SAVE_NOTHING)
