"""What the definition says of time, masks and models, in calls that must come to the same."""

from __future__ import annotations

import pytest
import torch
from op_calls import VARIANTS, each_op, each_variant, everything, run

from grukit.ops import RECURRENCES
from grukit.ops.contract import NAMES, SAVE_ALL, Arguments, slots
from grukit.testing.backends import Case

OVER_TIME = ("x", "keep_h", "keep_c", "resets")
OVER_BATCH = ("h0", "c0", "fresh_h", "fresh_c", "drop_h", "drop_n", "lengths", *OVER_TIME)
each_way = pytest.mark.parametrize("reverse", [False, True])
FORMS = [
    (op, variant, projected)
    for op, variant in VARIANTS
    for projected in (False, True)
    if not (projected and "w_hr" in RECURRENCES[op].cell.refuses(variant))
]
each_form = pytest.mark.parametrize(("op", "variant", "projected"), FORMS)


def plain_and_projected(op, variant, projected, **fields):
    """A call of one model with every option, in float64."""
    fields = {"models": None, "dtype": torch.float64, **fields}
    return everything(op, variant, proj_size=2 if projected else 0, **fields)


def changed(tensors, names, change):
    """The call with some of the tensors that are there changed."""
    found = {name: getattr(tensors, name) for name in names}
    return tensors._replace(**{name: change(t) for name, t in found.items() if t is not None})


def batch_axis(tensor):
    return -1 if tensor.dtype in (torch.int64, torch.bool) else -2


def of_sequence(tensors, index):
    """The call for one sequence of the batch."""
    return changed(tensors, OVER_BATCH, lambda t: t.narrow(batch_axis(t), index, 1))


def of_steps(tensors, first, last):
    """The call for the steps from first to before last."""
    return changed(tensors, OVER_TIME, lambda t: t.narrow(batch_axis(t) - 1, first, last - first))


def started_with(tensors, states):
    return tensors._replace(**dict(zip(("h0", "c0"), states, strict=False)))


def assert_same(got, wanted):
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@each_way
@each_form
def test_a_length_cuts_a_sequence(op, variant, projected, reverse):
    case = plain_and_projected(op, variant, projected, reverse=reverse)
    tensors = case.tensors()
    output, *final = run(case, tensors)
    for index, length in enumerate(tensors.lengths.tolist()):
        alone = of_steps(of_sequence(tensors, index), 0, length)._replace(lengths=None)
        own, *states = run(case, alone)
        assert not output[length:, index].count_nonzero()
        assert_same([own], [output[:length, [index]]])
        assert_same(states, [state[[index]] for state in final])


@each_way
@each_form
def test_a_reset_parts_two_sequences(op, variant, projected, reverse):
    case = plain_and_projected(op, variant, projected, reverse=reverse, lengths=False)
    tensors = case.tensors()
    output, *final = run(case, tensors)
    for index in range(case.batch):
        own = of_sequence(tensors, index)
        starts = [t for t in range(1, case.time) if tensors.resets[t, index]]
        parts = list(zip([0, *starts], [*starts, case.time], strict=True))
        fresh = [t for t in (own.fresh_h, own.fresh_c) if t is not None]
        # On the way back a reset at step 0 comes after the last step.
        new = not reverse and tensors.resets[0, index]
        states = fresh if new else [t for t in (own.h0, own.c0) if t is not None]
        for first, last in reversed(parts) if reverse else parts:
            piece = of_steps(own, first, last)._replace(resets=None)
            got, *states = run(case, started_with(piece, states))
            assert_same([got], [output[first:last, [index]]])
            last_states, states = states, fresh
        assert_same(last_states, [state[[index]] for state in final])


@each_form
def test_reverse_runs_through_time_the_other_way(op, variant, projected):
    forward = plain_and_projected(op, variant, projected, lengths=False)
    backward = plain_and_projected(op, variant, projected, lengths=False, reverse=True)
    tensors = backward.tensors()
    flipped = changed(tensors, ("x", "keep_h", "keep_c"), lambda t: t.flip(0))
    # What starts at step t ends there on the way back, and the step that follows is t - 1.
    resets = tensors.resets.flip(0).roll(1, 0)
    resets[0] = False
    output, *final = run(forward, flipped._replace(resets=resets))
    assert_same([output.flip(0), *final], run(backward, tensors))


@each_way
@each_form
def test_several_models_are_as_many_calls(op, variant, projected, reverse):
    case = plain_and_projected(op, variant, projected, reverse=reverse, models=3)
    tensors = case.tensors()
    together = run(case, tensors)
    for model in range(3):
        own = Arguments(*(None if t is None else t[model] for t in tensors))
        assert_same(run(case, own), [result[model] for result in together])


@pytest.mark.parametrize("models", [None, 2])
@each_form
def test_step_by_step_is_the_sequence(op, variant, projected, models):
    case = plain_and_projected(
        op, variant, projected, models=models, zoneout="rate", lengths=False, resets=False
    )
    tensors = case.tensors()
    output, *final = run(case, tensors)
    states = [t for t in (tensors.h0, tensors.c0) if t is not None]
    for t in range(case.time):
        step = started_with(tensors._replace(x=tensors.x.select(-3, t)), states)
        got, states = RECURRENCES[op].step(*step, variant=variant)
        assert_same([got], [output.select(-3, t)])
    assert_same(states, final)


@each_variant
def test_a_rate_of_zoneout_is_a_mask_of_that_number(op, variant):
    rate = plain_and_projected(op, variant, False, zoneout="rate")
    tensors = rate.tensors()
    full = changed(tensors, ("keep_h", "keep_c"), lambda t: t.expand(rate.time, rate.batch, 6))
    assert tensors.keep_h.unique() == 0.25
    assert_same(run(rate, full), run(rate, tensors))


@each_way
@each_form
def test_a_trace_shows_the_states_and_what_is_kept(op, variant, projected, reverse):
    case = plain_and_projected(op, variant, projected, reverse=reverse)
    tensors, recurrence = case.tensors(), RECURRENCES[op]
    output, *_, reserve = recurrence.backends[-1].forward(tensors, variant, reverse, SAVE_ALL)
    trace = recurrence.trace(*tensors, variant=variant, reverse=reverse)
    states = ("h", "c") if case.cell.has_c else ("h",)
    assert list(trace) == [*case.cell.kept, *states]
    counts = torch.arange(case.time)[:, None] < tensors.lengths
    for part in trace.values():
        assert not part[~counts].count_nonzero()
    for name, held in zip(slots(case.cell, tensors), reserve, strict=True):
        assert_same([trace[name][counts]], [held[counts]])
    shown = trace["h"]
    if projected and not case.cell.projects_state:
        shown = shown @ tensors.w_hr.mT
    assert_same([shown], [output])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@each_variant
def test_half_precision_is_float32_rounded_at_the_end(op, variant, dtype):
    case = everything(op, variant, dtype=dtype)
    tensors = case.tensors()
    wanted = run(case, tensors.map_floats(torch.Tensor.float), backend="reference")
    for got, exact in zip(run(case, tensors, backend="reference"), wanted, strict=True):
        assert torch.equal(got, exact.to(dtype))


@each_op
def test_the_first_variant_is_the_default(op):
    case = everything(op)
    tensors = case.tensors()
    assert_same(RECURRENCES[op](*tensors), run(case, tensors))
    named = dict(zip(NAMES, tensors, strict=True))
    assert_same(RECURRENCES[op](**named), run(case, tensors))


@each_way
@each_variant
def test_a_reset_in_the_padding_is_ignored(op, variant, reverse):
    case = Case(op, variant, lengths=True, reverse=reverse)
    tensors = case.tensors()
    padding = torch.arange(case.time)[:, None] >= tensors.lengths
    assert padding.any()
    results = []
    for flags in (torch.zeros_like(padding), padding):
        h0 = tensors.h0.clone().requires_grad_()
        found = run(case, tensors._replace(h0=h0, resets=flags))
        (dh0,) = torch.autograd.grad(sum(result.sum() for result in found), h0)
        results.append([*found, dh0])
    for without, with_flags in zip(*results, strict=True):
        torch.testing.assert_close(with_flags, without, rtol=0, atol=0)
