"""Time: steps, splits, lengths, resets, directions, and what may not depend on what."""

from __future__ import annotations

import itertools

import torch

from grukit.testing.gradients import gradients, random_like
from grukit.testing.layers.making import (
    assert_results,
    choose_directions,
    fresh_state,
    make_layer,
    some_input,
    some_resets,
    some_state,
)
from grukit.testing.parity import assert_close
from grukit.testing.running import Check
from grukit.testing.subjects import (
    LENGTHS,
    B,
    Factory,
    T,
    assert_refused,
    assert_same,
    leaves,
    mapped,
    rows,
    seeded,
)


def steps_equal_the_sequence(factory: Factory) -> None:
    layer = make_layer(factory)
    x, state = some_input(layer), some_state(layer)
    wanted = layer(x, state)
    outputs = []
    for one in x.split(1, dim=-3):
        output, state = layer(one, state)
        outputs.append(output)
    assert_results((torch.cat(outputs, dim=-3), state), wanted, "step by step")


def step_gives_what_forward_gives(factory: Factory) -> None:
    """In training mode too, without a graph; each goes on from the other's state."""
    layer = make_layer(factory)
    x = some_input(layer)
    wanted, final = layer(x)
    _, first = layer(x[..., :1, :, :])
    layer.train()
    one, state = layer.step(x[..., 1, :, :], first)
    two, state = layer.step(x[..., 2, :, :], state)
    if any(tensor.requires_grad for tensor in leaves((one, two, state))):
        raise AssertionError("step must not record a graph")
    layer.eval()
    rest, end = layer(x[..., 3:, :, :], state)
    beginning, _ = layer.step(x[..., 0, :, :])
    output = torch.cat([torch.stack([beginning, one, two], dim=-3), rest], dim=-3)
    assert_results((output, end), (wanted, final), "by step()")
    if layer.models is None:
        one, state = layer.step(x[0, 0])
        two, state = layer.step(x[1, 0], state)
        wanted, final = layer(x[:2, 0])
        assert_results((torch.stack([one, two]), state), (wanted, final), "by step(), unbatched")


def step_is_of_one_direction(factory: Factory) -> None:
    layer = make_layer(factory, bidirectional=True)
    x = some_input(layer)[..., 0, :, :]
    assert_refused(lambda: layer.step(x), "step() of a bidirectional layer")


def a_split_with_carried_state_equals_the_whole(factory: Factory) -> None:
    layer = make_layer(factory)
    x, h0 = some_input(layer), some_state(layer)
    wanted = layer(x, h0)
    for at in range(T + 1):
        first, state = layer(x[..., :at, :, :], h0)
        second, state = layer(x[..., at:, :, :], state)
        assert_results((torch.cat([first, second], dim=-3), state), wanted, f"split at {at}")


def no_state_is_a_fresh_state(factory: Factory) -> None:
    """Zero, or the learned state."""
    layer = make_layer(factory, bidirectional=True)
    x = some_input(layer)
    assert_results(layer(x), layer(x, fresh_state(layer)), "without hx")


def the_past_does_not_see_the_future(factory: Factory) -> None:
    layer = make_layer(factory)
    x = some_input(layer)
    changed = x.clone()
    changed[..., 2:, :, :] += 1
    past = [layer(values)[0][..., :2, :, :] for values in (changed, x)]
    assert_close(past[0], past[1], "output before a changed step")


def sequences_do_not_see_each_other(factory: Factory) -> None:
    """Nor in training, with the same masks."""
    layer = make_layer(factory, bidirectional=True)
    x = some_input(layer)
    changed = x.clone()
    changed[..., 1, :] += 1
    for training in (False, True):
        layer.train(training)
        got, wanted = (rows(seeded(3, layer, values), [0, 2]) for values in (changed, x))
        assert_results(got, wanted, f"beside a changed sequence, training={training}")


def a_permuted_batch_gives_permuted_results(factory: Factory) -> None:
    layer = make_layer(factory, bidirectional=True)
    x, h0 = some_input(layer), some_state(layer)
    order, lengths = torch.tensor([2, 0, 1]), torch.tensor(LENGTHS)
    wanted = rows(layer(x, h0, lengths=lengths), order)
    got = layer(x[..., order, :], rows(h0, order), lengths=lengths[order])
    assert_results(got, wanted, "of the permuted batch")


def lengths_equal_truncation(factory: Factory) -> None:
    layer = make_layer(factory, bidirectional=True)
    x, h0 = some_input(layer), some_state(layer)
    output, final = layer(x, h0, lengths=torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone = layer(x[..., :length, one, :], rows(h0, one))
        valid, padding = output[..., one, :].split([length, T - length], dim=-3)
        assert_results((valid, rows(final, one)), alone, f"of length {length}")
        assert_close(padding, torch.zeros_like(padding), f"output past length {length}")


def padding_may_hold_anything(factory: Factory) -> None:
    """NaN and infinity change no output, state or gradient, in eval mode and in training."""
    layer, lengths = make_layer(factory, bidirectional=True), torch.tensor(LENGTHS)
    padding = (torch.arange(T)[:, None] >= lengths)[..., None]
    for training in (False, True):
        layer.train(training)
        clean = {}
        for fill in (0.0, torch.nan, torch.inf):
            x = some_input(layer).masked_fill(padding, fill).requires_grad_()
            output, final = seeded(3, layer, x, lengths=lengths)
            results = [output, *leaves(final)]
            names = ["output", *(f"final state {index}" for index in range(len(results) - 1))]
            inputs = {"x": x, **dict(layer.named_parameters())}
            found = dict(zip(names, results, strict=True))
            found |= gradients(results, inputs, random_like(results))
            clean = clean or found
            for name, wanted in clean.items():
                assert_close(found[name], wanted, f"{name} with {fill} in the padding")


def resets_equal_separate_sequences(factory: Factory) -> None:
    """Each from a fresh state: zero, or the learned one."""
    layer = make_layer(factory, bidirectional=True)
    x, h0, resets = some_input(layer), some_state(layer), some_resets()
    output, final = layer(x, h0, resets=resets)
    for row in range(B):
        one = slice(row, row + 1)
        starts = [0, *(t for t in range(1, T) if resets[t, row]), T]
        for first, last in itertools.pairwise(starts):
            given = (first == 0 and not resets[0, row], last == T)
            state = choose_directions(given, rows(h0, one), fresh_state(layer, batch=1))
            alone, end = layer(x[..., first:last, one, :], state)
            where = f"sequence {row}, steps {first} to {last}"
            assert_close(output[..., first:last, one, :], alone, f"output of {where}")
            own = rows(final, one)
            ends = choose_directions((last == T, first == 0), end, own)
            assert_same(own, ends, f"the final state of {where}")


def resets_in_the_padding_are_ignored(factory: Factory) -> None:
    layer = make_layer(factory, bidirectional=True)
    x, h0, resets = some_input(layer), some_state(layer), some_resets()
    lengths = torch.tensor(LENGTHS)
    padding = torch.arange(T)[:, None] >= lengths
    wanted = layer(x, h0, lengths=lengths, resets=resets & ~padding)
    got = layer(x, h0, lengths=lengths, resets=resets | padding)
    assert_results(got, wanted, "with resets in the padding")


def the_reverse_half_is_the_flipped_sequence(factory: Factory) -> None:
    both = make_layer(factory, num_layers=1, bidirectional=True)
    one = make_layer(factory, num_layers=1)
    x, h0 = some_input(both), some_state(both)
    suffix = "_reverse"
    one.load_state_dict(
        {k.removesuffix(suffix): v for k, v in both.state_dict().items() if k.endswith(suffix)}
    )

    def reverse_half(state):  # type: ignore[no-untyped-def]
        return mapped(lambda t: t[..., 1:, :, :], state)

    output, final = both(x, h0)
    flipped, end = one(x.flip(-3), reverse_half(h0))
    half = output.chunk(2, dim=-1)[1]
    assert_results((half, reverse_half(final)), (flipped.flip(-3), end), "in reverse")


def empty_inputs_work(factory: Factory) -> None:
    """No step, no sequence, every length 0; forward and backward."""
    layer = make_layer(factory, bidirectional=True)
    for time, batch, lengths in ((0, B, None), (T, 0, None), (0, 0, None), (T, B, [0] * B)):
        x = some_input(layer, time=time, batch=batch).requires_grad_()
        h0 = mapped(lambda t: t.requires_grad_(), some_state(layer, batch))
        output, final = layer(x, h0, lengths=None if lengths is None else torch.tensor(lengths))
        what = f"for T={time}, B={batch}, lengths={lengths}"
        assert_close(output, torch.zeros_like(output), f"output {what}")
        if output.shape[:-1] != x.shape[:-1]:
            raise AssertionError(f"output {what} must be {x.shape[:-1]}, got {output.shape}")
        if batch:
            assert_same(final, h0, f"the final state {what}")
        results = [output, *leaves(final)]
        seeds = random_like(results)
        inputs = {"x": x, **{f"state {index}": h for index, h in enumerate(leaves(h0))}}
        found = gradients(results, {**inputs, **dict(layer.named_parameters())}, seeds)
        wanted = [torch.zeros_like(x), *seeds[1:]]
        for (name, gradient), seed in zip(found.items(), wanted, strict=False):
            assert_close(gradient, seed, f"{name} {what}")
        for name, parameter in layer.named_parameters():
            assert_close(found[f"d{name}"], torch.zeros_like(parameter), f"d{name} {what}")


CHECKS: tuple[Check, ...] = (
    steps_equal_the_sequence,
    step_gives_what_forward_gives,
    step_is_of_one_direction,
    a_split_with_carried_state_equals_the_whole,
    no_state_is_a_fresh_state,
    the_past_does_not_see_the_future,
    sequences_do_not_see_each_other,
    a_permuted_batch_gives_permuted_results,
    lengths_equal_truncation,
    padding_may_hold_anything,
    resets_equal_separate_sequences,
    resets_in_the_padding_are_ignored,
    the_reverse_half_is_the_flipped_sequence,
    empty_inputs_work,
)
