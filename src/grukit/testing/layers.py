"""Conformance of a recurrent layer: what must hold of every layer in grukit.nn.

A factory is the layer's class, or a partial of it: factory(input_size, hidden_size, num_layers=,
bidirectional=, batch_first=, dtype=). The layer takes (input, hx, lengths=, resets=) and gives
(output, h_n), and has trace().
"""

from __future__ import annotations

import copy
import doctest
import inspect
import itertools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, stack_module_state, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from grukit.testing.gradients import random_like
from grukit.testing.parity import assert_close
from grukit.testing.running import Check, run

T, B, I, H = 6, 4, 3, 5  # noqa: E741
LENGTHS = (4, 0, 6, 1)

Factory = Callable[..., Any]


def make(factory: Factory, seed: int = 0, **arguments: Any) -> Any:
    """A layer in float64, with two layers unless said otherwise; leaves the global seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory(I, H, **{"num_layers": 2, "dtype": torch.float64, **arguments})


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def some_resets() -> Tensor:
    """A sequence with several, one with none, one at its first step, one at its last."""
    resets = torch.zeros(T, B, dtype=torch.bool)
    for step, row in ((1, 0), (3, 0), (0, 2), (T - 1, 3)):
        resets[step, row] = True
    return resets


def the_docstring_example_runs(factory: Factory) -> None:
    owner = type(make(factory))
    tests = doctest.DocTestFinder(recurse=False).find(
        owner, owner.__name__, globs=dict(vars(inspect.getmodule(owner)))
    )
    if not any(test.examples for test in tests):
        raise AssertionError(f"the docstring of {owner.__name__} must have an example")
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        runner.run(test, out=report.append)
    if runner.summarize(verbose=False).failed:
        raise AssertionError("".join(report))


def shapes_and_dtypes_are_as_promised(factory: Factory) -> None:
    for bidirectional, dtype in ((False, torch.float32), (True, torch.float64)):
        layer = make(factory, bidirectional=bidirectional, dtype=dtype)
        directions = 1 + bidirectional
        output, h_n = layer(normal(T, B, I).to(dtype))
        for name, tensor, wanted in (
            ("output", output, (T, B, directions * H)),
            ("h_n", h_n, (2 * directions, B, H)),
        ):
            if tuple(tensor.shape) != wanted or tensor.dtype != dtype:
                got = tuple(tensor.shape), tensor.dtype
                raise AssertionError(f"{name} must be {wanted} and {dtype}, got {got}")


def the_final_state_is_the_last_output(factory: Factory) -> None:
    output, h_n = make(factory, bidirectional=True)(normal(T, B, I))
    assert_close(h_n[-2], output[-1, :, :H], "the final state forward")
    assert_close(h_n[-1], output[0, :, H:], "the final state in reverse")


def steps_equal_the_sequence(factory: Factory) -> None:
    layer, x, state = make(factory), normal(T, B, I), normal(2, B, H, seed=1)
    output, h_n = layer(x, state)
    steps = []
    for t in range(T):
        step, state = layer(x[t : t + 1], state)
        steps.append(step)
    assert_close(torch.cat(steps), output, "output step by step")
    assert_close(state, h_n, "h_n step by step")


def a_split_with_carried_state_equals_the_whole(factory: Factory) -> None:
    layer, x, h0 = make(factory), normal(T, B, I), normal(2, B, H, seed=1)
    output, h_n = layer(x, h0)
    for at in range(T + 1):
        first, state = layer(x[:at], h0)
        second, state = layer(x[at:], state)
        assert_close(torch.cat([first, second]), output, f"output split at {at}")
        assert_close(state, h_n, f"h_n split at {at}")


def no_state_is_a_zero_state(factory: Factory) -> None:
    layer, x = make(factory), normal(T, B, I)
    assert_close(layer(x)[0], layer(x, torch.zeros(2, B, H).double())[0], "output without hx")


def the_past_does_not_see_the_future(factory: Factory) -> None:
    layer, x = make(factory), normal(T, B, I)
    changed = x.clone()
    changed[3:] += 1
    assert_close(layer(changed)[0][:3], layer(x)[0][:3], "output before a changed step")


def sequences_do_not_see_each_other(factory: Factory) -> None:
    layer, x = make(factory, bidirectional=True), normal(T, B, I)
    changed = x.clone()
    changed[:, 1] += 1
    others = [0, 2, 3]
    for name, got, wanted in zip(("output", "h_n"), layer(changed), layer(x), strict=True):
        assert_close(got[:, others], wanted[:, others], f"{name} beside a changed sequence")


def a_permuted_batch_gives_permuted_results(factory: Factory) -> None:
    layer, x, h0 = make(factory, bidirectional=True), normal(T, B, I), normal(4, B, H, seed=1)
    order, lengths = torch.tensor([2, 0, 3, 1]), torch.tensor(LENGTHS)
    wanted = layer(x, h0, lengths=lengths)
    got = layer(x[:, order], h0[:, order], lengths=lengths[order])
    for name, a, b in zip(("output", "h_n"), got, wanted, strict=True):
        assert_close(a, b[:, order], f"{name} of the permuted batch")


def lengths_equal_truncation(factory: Factory) -> None:
    layer, x, h0 = make(factory, bidirectional=True), normal(T, B, I), normal(4, B, H, seed=1)
    output, h_n = layer(x, h0, lengths=torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone, final = layer(x[:length, row], h0[:, row])
        assert_close(output[:length, row], alone, f"output of length {length}")
        assert_close(output[length:, row], output.new_zeros(T - length, 2 * H), "padding")
        assert_close(h_n[:, row], final, f"h_n of length {length}")


def padding_may_hold_anything(factory: Factory) -> None:
    layer, lengths = make(factory, bidirectional=True), torch.tensor(LENGTHS)
    padding = torch.arange(T)[:, None] >= lengths
    results = []
    for fill in (0.0, torch.nan):
        x = normal(T, B, I).masked_fill(padding[..., None], fill).requires_grad_()
        output, h_n = layer(x, lengths=lengths)
        sources = {"input": x, **dict(layer.named_parameters())}
        found = torch.autograd.grad([output, h_n], list(sources.values()), random_like(layer(x)))
        names = ["output", "h_n", *(f"gradient of {name}" for name in sources)]
        results.append(dict(zip(names, [output, h_n, *found], strict=True)))
    for name, clean in results[0].items():
        assert_close(results[1][name], clean, f"{name} with NaN in the padding")


def resets_equal_separate_sequences(factory: Factory) -> None:
    layer, x, h0 = make(factory, bidirectional=True), normal(T, B, I), normal(4, B, H, seed=1)
    resets = some_resets()
    output, h_n = layer(x, h0, resets=resets)
    for row in range(B):
        starts = [0, *(t for t in range(1, T) if resets[t, row]), T]
        for first, last in itertools.pairwise(starts):
            state = torch.zeros(4, H, dtype=torch.float64)
            if first == 0 and not resets[0, row]:
                state[::2] = h0[::2, row]
            if last == T:
                state[1::2] = h0[1::2, row]
            alone, final = layer(x[first:last, row], state)
            where = f"sequence {row}, steps {first} to {last}"
            assert_close(output[first:last, row], alone, f"output of {where}")
            if last == T:
                assert_close(h_n[::2, row], final[::2], f"h_n forward of {where}")
            if first == 0:
                assert_close(h_n[1::2, row], final[1::2], f"h_n in reverse of {where}")


def resets_in_the_padding_are_ignored(factory: Factory) -> None:
    layer, x, h0 = make(factory, bidirectional=True), normal(T, B, I), normal(4, B, H, seed=1)
    lengths = torch.tensor(LENGTHS)
    padding = torch.arange(T)[:, None] >= lengths
    wanted = layer(x, h0, lengths=lengths, resets=some_resets() & ~padding)
    got = layer(x, h0, lengths=lengths, resets=some_resets() | padding)
    for name, a, b in zip(("output", "h_n"), got, wanted, strict=True):
        assert_close(a, b, f"{name} with resets in the padding")


def the_reverse_half_is_the_flipped_sequence(factory: Factory) -> None:
    both = make(factory, num_layers=1, bidirectional=True)
    one, x, h0 = make(factory, num_layers=1), normal(T, B, I), normal(2, B, H, seed=1)
    suffix = "_reverse"
    one.load_state_dict(
        {k.removesuffix(suffix): v for k, v in both.state_dict().items() if k.endswith(suffix)}
    )
    output, h_n = both(x, h0)
    flipped, final = one(x.flip(0), h0[1:])
    assert_close(output[..., H:], flipped.flip(0), "the reverse half of the output")
    assert_close(h_n[1:], final, "the final state in reverse")


def batch_first_is_transposed(factory: Factory) -> None:
    layer, first = make(factory), make(factory, batch_first=True)
    x, h0, lengths = normal(T, B, I), normal(2, B, H, seed=1), torch.tensor(LENGTHS)
    resets = some_resets()
    output, h_n = layer(x, h0, lengths=lengths, resets=resets)
    got, final = first(x.transpose(0, 1), h0, lengths=lengths, resets=resets.T)
    assert_close(got, output.transpose(0, 1), "output with batch_first")
    assert_close(final, h_n, "h_n with batch_first")


def unbatched_is_a_batch_of_one(factory: Factory) -> None:
    for batch_first in (False, True):
        layer = make(factory, batch_first=batch_first, bidirectional=True)
        x, h0 = normal(T, I), normal(4, H, seed=1)
        output, h_n = layer(x, h0)
        batch = int(not batch_first)
        wanted, final = layer(x.unsqueeze(batch), h0[:, None])
        assert_close(output, wanted.squeeze(batch), "unbatched output")
        assert_close(h_n, final[:, 0], "unbatched h_n")


def packed_equals_lengths(factory: Factory) -> None:
    layer, x, h0 = make(factory, bidirectional=True), normal(T, B, I), normal(4, B, H, seed=1)
    for lengths, is_sorted in (((6, 4, 4, 1), True), ((4, 1, 6, 2), False)):
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=is_sorted)
        wanted, final = layer(x, h0, lengths=torch.tensor(lengths))
        output, h_n = layer(packed, h0)
        padded, unpacked_lengths = pad_packed_sequence(output)
        if unpacked_lengths.tolist() != list(lengths):
            raise AssertionError(f"lengths must be {lengths}, got {unpacked_lengths.tolist()}")
        assert_close(padded, wanted, f"packed output of lengths {lengths}")
        assert_close(h_n, final, f"h_n of packed lengths {lengths}")


def empty_inputs_work(factory: Factory) -> None:
    """No step, no sequence, every length 0; forward and backward."""
    for time, batch, lengths in ((0, B, None), (T, 0, None), (0, 0, None), (T, B, [0] * B)):
        layer = make(factory, bidirectional=True)
        x = normal(time, batch, I).requires_grad_()
        h0 = normal(4, batch, H, seed=1).requires_grad_()
        output, h_n = layer(x, h0, lengths=None if lengths is None else torch.tensor(lengths))
        what = f"T={time}, B={batch}, lengths={lengths}"
        assert_close(output, x.new_zeros(time, batch, 2 * H), f"output for {what}")
        assert_close(h_n, h0 if time == 0 or lengths else h_n, f"h_n for {what}")
        seeds = random_like([output, h_n])
        found = torch.autograd.grad(
            [output, h_n], [x, h0, *layer.parameters()], seeds, materialize_grads=True
        )
        assert_close(found[0], torch.zeros_like(x), f"gradient of input for {what}")
        assert_close(found[1], seeds[1], f"gradient of hx for {what}")
        for (name, parameter), gradient in zip(layer.named_parameters(), found[2:], strict=True):
            assert_close(gradient, torch.zeros_like(parameter), f"gradient of {name} for {what}")


def the_same_seed_gives_the_same_layer(factory: Factory) -> None:
    one, two, other = make(factory, seed=3), make(factory, seed=3), make(factory, seed=4)
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        assert_close(b, a, f"{name} for the same seed", within=0)
    if all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)):
        raise AssertionError("another seed must give other parameters")


def the_state_dict_carries_everything(factory: Factory) -> None:
    layer, other, x = make(factory), make(factory, seed=1), normal(T, B, I)
    other.load_state_dict(layer.state_dict())
    assert_close(other(x)[0], layer(x)[0], "output after load_state_dict", within=0)


def copies_compute_alike(factory: Factory) -> None:
    layer, x = make(factory, bidirectional=True), normal(T, B, I)
    wanted = layer(x)[0].detach()
    copies = {"deepcopy": copy.deepcopy(layer), "pickle": pickle.loads(pickle.dumps(layer))}  # noqa: S301
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    for name, twin in copies.items():
        assert_close(twin(x)[0], wanted, f"output after {name}", within=0)


def the_trace_is_of_the_forward_pass(factory: Factory) -> None:
    x, h0, lengths = normal(T, B, I), normal(4, B, H, seed=1), torch.tensor(LENGTHS)
    layer = make(factory, bidirectional=True)
    output, _ = layer(x, h0, lengths=lengths, resets=some_resets())
    for reverse in (False, True):
        trace = layer.trace(x, h0, layer=1, reverse=reverse, lengths=lengths, resets=some_resets())
        half = output[..., H:] if reverse else output[..., :H]
        assert_close(trace.hidden, half, f"the traced hidden state, reverse={reverse}")


def the_trace_satisfies_the_equations(factory: Factory) -> None:
    """The four equations, from the parameters by name."""
    layer, x, h0 = make(factory, num_layers=1), normal(T, B, I), normal(1, B, H, seed=1)
    trace = layer.trace(x, h0)
    w_r, w_z, w_n = layer.weight_ih_l0.chunk(3)
    u_r, u_z, u_n = layer.weight_hh_l0.chunk(3)
    b_r, b_z, b_n = layer.bias_ih_l0.chunk(3)
    c_r, c_z, c_n = layer.bias_hh_l0.chunk(3)
    h = torch.cat([h0, trace.hidden[:-1]])
    reset = torch.sigmoid(x @ w_r.T + b_r + h @ u_r.T + c_r)
    update = torch.sigmoid(x @ w_z.T + b_z + h @ u_z.T + c_z)
    if layer.reset_after:
        memory = torch.tanh(x @ w_n.T + b_n + reset * (h @ u_n.T + c_n))
    else:
        memory = torch.tanh(x @ w_n.T + b_n + (reset * h) @ u_n.T + c_n)
    wanted = (reset, update, memory, (1 - update) * memory + update * h)
    for name, value, equation in zip(trace._fields, trace, wanted, strict=True):
        assert_close(value, equation, f"{name} by its equation")


def gradients_are_derivatives(factory: Factory) -> None:
    """gradcheck and gradgradcheck, for input, state and every parameter."""
    layer = make(factory, num_layers=1, bidirectional=True)
    names = [name for name, _ in layer.named_parameters()]
    x, h0 = normal(3, 2, I), normal(2, 2, H, seed=1)
    resets = torch.tensor([[False, False], [True, False], [False, False]])

    def call(x: Tensor, h0: Tensor, *weights: Tensor) -> Any:
        options = {"lengths": torch.tensor([3, 2]), "resets": resets}
        return functional_call(layer, dict(zip(names, weights, strict=True)), (x, h0), options)

    inputs = [t.detach().clone().requires_grad_() for t in (x, h0, *layer.parameters())]
    for checker in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        try:
            checker(call, inputs, fast_mode=True)
        except RuntimeError as error:
            raise AssertionError(f"{checker.__name__}: {error}") from error


def vmap_over_inputs_equals_a_loop(factory: Factory) -> None:
    layer, x = make(factory, bidirectional=True), normal(3, T, B, I)
    output, h_n = vmap(layer)(x)
    for index, one in enumerate(x):
        wanted, final = layer(one)
        assert_close(output[index], wanted, f"vmapped output {index}")
        assert_close(h_n[index], final, f"vmapped h_n {index}")


def vmap_over_parameters_equals_a_loop(factory: Factory) -> None:
    layers, x = [make(factory, seed=seed) for seed in range(3)], normal(T, B, I)
    parameters, buffers = stack_module_state(layers)

    def call(parameters: Any, buffers: Any) -> Any:
        return functional_call(layers[0], (parameters, buffers), (x,))

    output, _ = vmap(call)(parameters, buffers)
    for index, layer in enumerate(layers):
        assert_close(output[index], layer(x)[0], f"output of stacked layer {index}")


def vmap_of_grad_gives_each_samples_gradient(factory: Factory) -> None:
    layer, x = make(factory), normal(B, T, I)
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        output, h_n = functional_call(layer, parameters, (x,))
        return output.square().sum() + h_n.sin().sum()

    detached = {name: parameter.detach() for name, parameter in parameters.items()}
    per_sample = vmap(grad(loss), in_dims=(None, 0))(detached, x)
    for index, sample in enumerate(x):
        found = torch.autograd.grad(loss(parameters, sample), list(parameters.values()))
        for name, wanted in zip(parameters, found, strict=True):
            assert_close(per_sample[name][index], wanted, f"gradient of {name}, sample {index}")


def tangents_are_finite_differences(factory: Factory) -> None:
    """torch.func.jvp and dual levels, by input, state and parameters together."""
    layer = make(factory, bidirectional=True)
    primals = {
        "input": normal(T, B, I),
        "hx": normal(4, B, H, seed=1),
        **{name: parameter.detach() for name, parameter in layer.named_parameters()},
    }
    tangents = dict(zip(primals, random_like(list(primals.values())), strict=True))

    def call(values: dict[str, Tensor]) -> Any:
        weights = {name: value for name, value in values.items() if name not in ("input", "hx")}
        return functional_call(layer, weights, (values["input"], values["hx"]))

    def moved(step: float) -> Any:
        return call({name: value + step * tangents[name] for name, value in primals.items()})

    step = 1e-5
    with torch.no_grad():
        ahead, behind = moved(step), moved(-step)
    with warnings.catch_warnings():
        # torch's own, from the first use of forward mode in a process.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        by_jvp = jvp(call, (primals,), (tangents,))[1]
    with forward_ad.dual_level():
        duals = {n: forward_ad.make_dual(value, tangents[n]) for n, value in primals.items()}
        by_dual = [forward_ad.unpack_dual(result).tangent for result in call(duals)]
    for name, a, b, by_func, by_level in zip(
        ("output", "h_n"), ahead, behind, by_jvp, by_dual, strict=True
    ):
        if by_level is None:
            raise AssertionError(f"the tangent of {name} was lost at a dual level")
        difference = (a - b) / (2 * step)
        assert_close(by_func, difference, f"the jvp of {name}", within=1e-6)
        assert_close(by_level, difference, f"the dual tangent of {name}", within=1e-6)


def gradients_are_only_recorded_on_request(factory: Factory) -> None:
    layer, x = make(factory), normal(T, B, I)
    with torch.no_grad():
        silent = layer(x)
    layer.eval()
    for name, quiet, recorded in zip(("output", "h_n"), silent, layer(x), strict=True):
        if quiet.requires_grad:
            raise AssertionError(f"{name} must not require a gradient under no_grad")
        if not recorded.requires_grad:
            raise AssertionError(f"{name} must have a gradient in eval mode too")
        assert_close(quiet, recorded, f"{name} under no_grad")


def layer_checks() -> tuple[Check, ...]:
    """The checks of a layer, each a function of its factory."""
    return (
        the_docstring_example_runs,
        shapes_and_dtypes_are_as_promised,
        the_final_state_is_the_last_output,
        steps_equal_the_sequence,
        a_split_with_carried_state_equals_the_whole,
        no_state_is_a_zero_state,
        the_past_does_not_see_the_future,
        sequences_do_not_see_each_other,
        a_permuted_batch_gives_permuted_results,
        lengths_equal_truncation,
        padding_may_hold_anything,
        resets_equal_separate_sequences,
        resets_in_the_padding_are_ignored,
        the_reverse_half_is_the_flipped_sequence,
        batch_first_is_transposed,
        unbatched_is_a_batch_of_one,
        packed_equals_lengths,
        empty_inputs_work,
        the_same_seed_gives_the_same_layer,
        the_state_dict_carries_everything,
        copies_compute_alike,
        the_trace_is_of_the_forward_pass,
        the_trace_satisfies_the_equations,
        gradients_are_derivatives,
        vmap_over_inputs_equals_a_loop,
        vmap_over_parameters_equals_a_loop,
        vmap_of_grad_gives_each_samples_gradient,
        tangents_are_finite_differences,
        gradients_are_only_recorded_on_request,
    )


def check_layer(factory: Factory) -> None:
    """Raise AssertionError unless the layers that `factory` makes keep the contract.

    >>> from grukit.nn import GRU
    >>> check_layer(GRU)
    """
    run(layer_checks(), factory)
