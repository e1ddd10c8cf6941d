from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from grukit.core.errors import BackendError
from grukit.ops import BACKENDS, gru
from grukit.ops.dispatch import Backend, choose, explain
from grukit.ops.gru import op
from grukit.ops.gru.contract import GruCall


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
    x, h0 = torch.zeros(5, 2, 3, dtype=torch.float64), torch.zeros(2, 4)
    call = GruCall.of(x, h0, lengths=torch.tensor([1, 2]), reverse=True, save=True)
    assert call == GruCall(
        device="cpu",
        dtype=torch.float64,
        time=5,
        batch=2,
        input_size=3,
        hidden_size=4,
        reset_after=True,
        reverse=True,
        has_lengths=True,
        has_resets=False,
        saves_for_backward=True,
    )


def arguments():
    return [torch.randn(*shape, requires_grad=True) for shape in ((5, 2, 3), (2, 4))] + [
        torch.randn(12, n, requires_grad=True) for n in (3, 4)
    ]


def test_the_op_takes_its_wish_from_the_environment(monkeypatch):
    monkeypatch.setenv("GRUKIT_BACKEND", "warp")
    with pytest.raises(BackendError, match="must be one of 'reference', got 'warp'"):
        gru(*arguments())


def test_forward_and_backward_run_on_the_backend_chosen(monkeypatch):
    ran = []
    reference = BACKENDS["gru"][0]

    def spy(name, function):
        return lambda *arguments: ran.append(name) or function(*arguments)

    spies = tuple(
        replace(
            reference,
            name=name,
            why_not=lambda call, name=name: ("odd",) if name == "first" and call.batch == 2 else (),
            forward=spy(f"{name} forward", reference.forward),
            backward=spy(f"{name} backward", reference.backward),
        )
        for name in ("first", "second")
    )
    monkeypatch.setattr(op, "BACKENDS", spies)
    gru(*arguments())[0].sum().backward()
    assert ran == ["second forward", "second backward"]
    ran.clear()
    with pytest.raises(BackendError, match="backend 'first' cannot run this call: odd"):
        gru(*arguments(), backend="first")
    x, h0, *weights = arguments()
    gru(x[:, :1], h0[:1], *weights, backend="first")[0].sum().backward()
    assert ran == ["first forward", "first backward"]
