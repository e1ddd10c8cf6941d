"""Packed weights: packed once, and again after every change that can be seen."""

from __future__ import annotations

import gc

import pytest
import torch
from op_calls import each_whole_op

from grukit.core import clib
from grukit.ops import RECURRENCES, packed
from grukit.testing.backends import Case
from grukit.testing.parity import assert_close

pytestmark = pytest.mark.needs_core
WEIGHTS = ["w_ih", "w_hh", "w_hr"]


@pytest.fixture(autouse=True)
def packings(monkeypatch):
    """What has been packed since the test began."""
    packed._kept.clear()
    made = []
    pack = clib.pack
    monkeypatch.setattr(clib, "pack", lambda *call: made.append(call) or pack(*call))
    return made


def made(op="lstm", **fields):
    case = Case(op, next(iter(RECURRENCES[op].cell.variants)), **{"proj_size": 4, **fields})
    return case.tensors()


def output(tensors, op="lstm"):
    return RECURRENCES[op](*tensors, backend="native")[0]


def assert_right(tensors, op="lstm"):
    wanted = RECURRENCES[op](*tensors, backend="reference")[0]
    assert_close(output(tensors, op), wanted, "output", within=1e-5)


@each_whole_op
def test_weights_are_packed_once(op, packings):
    tensors = made(op)
    for _ in range(3):
        assert_right(tensors, op)
    others = tensors._replace(x=tensors.x[:2], h0=tensors.h0 + 1)
    assert_right(others, op)
    assert len(packings) == 1


def test_packed_weights_give_what_others_give():
    tensors = made(hidden_size=33, batch=17)
    first = output(tensors)
    assert torch.equal(output(tensors), first)
    unpacked = tensors._replace(w_ih=tensors.w_ih.t().contiguous().t())
    assert torch.equal(output(unpacked), first)


def in_place(weight):
    weight.mul_(1.5)


def under_inference_mode(weight):
    with torch.inference_mode():
        weight.mul_(1.5)


def by_an_optimizer(weight):
    weight.requires_grad_()
    weight.grad = torch.ones_like(weight)
    torch.optim.SGD([weight], lr=0.1).step()
    weight.requires_grad_(False)


def by_a_view(weight):
    weight.view(-1)[5] += 1


def whole_through_data(weight):
    weight.data.mul_(1.5)


def other_data(weight):
    weight.data = weight.data * 1.5


def from_numpy(weight):
    weight.numpy()[:] *= 1.5


CHANGES = [
    in_place,
    under_inference_mode,
    by_an_optimizer,
    by_a_view,
    whole_through_data,
    other_data,
    from_numpy,
]


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_is_seen(change, name, packings):
    tensors = made()
    assert_right(tensors)
    change(getattr(tensors, name))
    assert_right(tensors)
    assert_right(tensors)
    assert len(packings) == 2


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("models", [None, 2])
@pytest.mark.parametrize("sizes", [(3, 7), (7, 3), (1, 1), (40, 6)], ids=str)
def test_a_change_of_any_row_or_column_through_data_is_seen(name, models, sizes, packings):
    inputs, hidden = sizes
    tensors = made(input_size=inputs, hidden_size=hidden, proj_size=min(hidden, 4), models=models)
    weight = getattr(tensors, name)
    output(tensors)
    for _, model in zip(range(models or 1), weight if models else [weight], strict=True):
        for axis, count in enumerate(model.shape):
            for index in range(count):
                before = len(packings)
                model.data.select(axis, index).add_(1)
                output(tensors)
                assert len(packings) == before + 1, (axis, index)
    assert_right(tensors)


def test_another_instruction_set_packs_anew(packings):
    tensors, before = made(), clib.isa()
    try:
        for isa in (isa for isa in clib.isas() if isa in clib.SETS):
            clib.set_isa(isa)
            assert_right(tensors)
            assert_right(tensors)
    finally:
        clib.set_isa(before)
    assert len(packings) == sum(isa in clib.SETS for isa in clib.isas())


def test_variants_of_the_same_weights_are_told_apart(packings):
    tensors = made("gru", proj_size=0)
    for variant in ("after", "before", "after", "before"):
        found, wanted = (
            RECURRENCES["gru"](*tensors, variant=variant, backend=backend)[0]
            for backend in ("native", "reference")
        )
        assert_close(found, wanted, variant, within=1e-5)
    assert len(packings) == 2


def test_weights_that_die_are_forgotten():
    tensors = made()
    assert_right(tensors)
    assert len(packed._kept) == 1
    del tensors
    gc.collect()
    assert not packed._kept


def test_new_weights_in_the_place_of_old_ones_are_told_apart():
    for _ in range(50):
        tensors = made()
        tensors = tensors._replace(w_hh=torch.randn_like(tensors.w_hh))
        assert_right(tensors)


def test_no_more_weights_are_kept_than_allowed(monkeypatch):
    monkeypatch.setattr(packed, "LIMIT", 3)
    all_of_them = [made() for _ in range(5)]
    for tensors in all_of_them * 2:
        assert_right(tensors)
    assert len(packed._kept) == 3


def test_calls_with_gradients_pack_nothing(packings):
    tensors = made()
    tensors.w_hh.requires_grad_()
    output(tensors).sum().backward()
    assert not packings
    with torch.no_grad():
        output(tensors)
    assert len(packings) == 1


def test_weights_whose_changes_nobody_could_see_are_not_kept(packings):
    with torch.inference_mode():
        tensors = made()
        assert_right(tensors)
        tensors.w_hh.view(-1)[1] += 1
        assert_right(tensors)
    strided = made()
    strided = strided._replace(w_ih=strided.w_ih.t().contiguous().t())
    assert_right(strided)
    assert not packings


def test_forgetting_packs_anew_what_is_named(packings):
    ones, others = made(), made()
    output(ones)
    output(others)
    packed.forget_packed([ones.w_hh])
    output(ones)
    output(others)
    assert len(packings) == 3
