from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from op_calls import each_op, everything, run, with_leaves

from grukit.core.errors import BackendError
from grukit.ops import RECURRENCES
from grukit.ops.contract import SAVE_ALL, Arguments, Call
from grukit.ops.dispatch import Backend, choose, explain
from grukit.ops.lstm.reference import LSTM
from grukit.testing.backends import Case


def backend(name, *reasons):
    return Backend(name, lambda call: reasons, lambda *a: name, lambda *a: name)


FAST = backend("fast", "H must be a multiple of 16", "needs AVX-512")
SLOW = backend("slow")
CALL = object()


@pytest.fixture(autouse=True)
def no_wish(monkeypatch):
    monkeypatch.delenv("GRUKIT_BACKEND", raising=False)


def test_the_automatic_choice_is_the_first_without_objections():
    assert choose(CALL, (FAST, SLOW)) is SLOW
    assert choose(CALL, (SLOW, FAST)) is SLOW
    willing = replace(FAST, why_not=lambda call: ())
    assert choose(CALL, (willing, SLOW)) is willing


def test_without_any_backend_every_objection_is_told():
    with pytest.raises(BackendError) as error:
        choose(CALL, (FAST, backend("other", "no GPU")))
    assert str(error.value) == (
        "no backend can run this call\n"
        "fast: H must be a multiple of 16; needs AVX-512\n"
        "other: no GPU"
    )


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_wish_runs_or_raises_with_every_reason(by, monkeypatch):
    def choose_by(name):
        if by == "argument":
            return choose(CALL, (FAST, SLOW), name)
        monkeypatch.setenv("GRUKIT_BACKEND", name)
        return choose(CALL, (FAST, SLOW))

    assert choose_by("slow") is SLOW
    with pytest.raises(BackendError) as error:
        choose_by("fast")
    assert str(error.value) == (
        "backend 'fast' cannot run this call: H must be a multiple of 16; needs AVX-512"
    )
    with pytest.raises(
        BackendError, match="the backend must be one of 'fast', 'slow', got 'native'"
    ):
        choose_by("native")


def test_an_argument_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("GRUKIT_BACKEND", "fast")
    assert choose(CALL, (FAST, SLOW), "slow") is SLOW


def test_explain_has_a_line_per_backend_in_order_of_preference():
    assert explain(CALL, (FAST, SLOW)) == (
        "fast: H must be a multiple of 16; needs AVX-512\nslow: can run it"
    )


def test_why_not_is_asked_about_the_call():
    tensors = Arguments(
        x=torch.zeros(7, 5, 2, 3, dtype=torch.float64),
        h0=torch.zeros(7, 2, 1),
        w_ih=torch.zeros(7, 16, 3),
        w_hh=torch.zeros(7, 16, 1),
        c0=torch.zeros(7, 2, 4),
        w_hr=torch.zeros(7, 1, 4),
        lengths=torch.tensor([[1, 2]] * 7),
    )
    assert Call.of(LSTM, tensors, variant="", reverse=True, save=SAVE_ALL) == Call(
        cell="lstm",
        variant="",
        device="cpu",
        dtype=torch.float64,
        models=7,
        time=5,
        batch=2,
        input_size=3,
        hidden_size=4,
        reverse=True,
        given=frozenset({"c0", "w_hr", "lengths"}),
        save=SAVE_ALL,
    )


@each_op
def test_the_op_takes_its_wish_from_the_environment(op, monkeypatch):
    monkeypatch.setenv("GRUKIT_BACKEND", "warp")
    case = Case(op, next(iter(RECURRENCES[op].cell.variants)))
    names = ", ".join(repr(backend.name) for backend in RECURRENCES[op].backends)
    with pytest.raises(BackendError, match=f"must be one of {names}, got 'warp'"):
        run(case, case.tensors())


@each_op
def test_forward_and_backward_run_on_the_backend_chosen(op, monkeypatch):
    asked, ran = [], []
    recurrence = RECURRENCES[op]
    reference = recurrence.backends[-1]

    def spy(name, function):
        return lambda *arguments: ran.append(name) or function(*arguments)

    def unless_odd(call):
        asked.append(call)
        return ("odd",) if call.batch % 2 else ()

    def named(name, why_not):
        return replace(
            reference,
            name=name,
            why_not=why_not,
            forward=spy(f"{name} forward", reference.forward),
            backward=spy(f"{name} backward", reference.backward),
        )

    spies = (named("first", unless_odd), named("second", lambda call: ()))
    monkeypatch.setattr(recurrence, "backends", spies)

    def differentiate(batch, backend):
        case = everything(op, batch=batch, reverse=True)
        tensors = with_leaves(case)
        run(case, tensors, backend=backend)[0].sum().backward()
        return Call.of(case.cell, tensors, variant=case.variant, reverse=True, save=SAVE_ALL)

    call = differentiate(3, None)
    assert ran == ["second forward", "second backward"]
    assert asked == [call]
    ran.clear()
    with pytest.raises(BackendError, match="backend 'first' cannot run this call: odd"):
        differentiate(3, "first")
    assert not ran
    differentiate(2, "second")
    assert ran == ["second forward", "second backward"]
    ran.clear()
    differentiate(2, None)
    assert ran == ["first forward", "first backward"]
