"""check_backend passes the reference and goes red for every sabotage, by the right check."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from grukit.core.errors import GrukitError
from grukit.ops import BACKENDS
from grukit.ops.gru import reference
from grukit.testing import backend_checks, check_backend
from grukit.testing.running import failures

REFERENCE = BACKENDS["gru"][0]


@pytest.mark.parametrize("backend", BACKENDS["gru"], ids=lambda backend: backend.name)
@pytest.mark.parametrize("check", backend_checks(), ids=lambda check: check.__name__)
def test_backends(check, backend):
    check(backend)


def swap_rows(tensor):
    """Rows z, r, n of weights in the order r, z, n."""
    return None if tensor is None else torch.cat([tensor.chunk(3)[i] for i in (1, 0, 2)])


def with_forward(change_arguments=None, change_results=None):
    def forward(*arguments):
        if change_arguments:
            arguments = change_arguments(list(arguments))
        results = reference.forward(*arguments)
        return tuple(change_results(list(results), arguments)) if change_results else results

    return replace(REFERENCE, forward=forward)


def with_backward(change_arguments=None, change_results=None):
    def backward(*arguments):
        if change_arguments:
            arguments = change_arguments(list(arguments))
        results = reference.backward(*arguments)
        return tuple(change_results(list(results), arguments)) if change_results else results

    return replace(REFERENCE, backward=backward)


def put(index, value):
    """Argument or result `index` replaced by `value`, or by value(old)."""

    def change(values, _=None):
        values[index] = value(values[index]) if callable(value) else value
        return values

    return change


def swaps_reset_and_update(arguments):
    return [*arguments[:2], *map(swap_rows, arguments[2:6]), *arguments[6:]]


def reads_unwritten_memory(results, _):
    results[0] = results[0] + 0 * torch.empty_like(results[0])
    return results


def hands_back_its_state(results, arguments):
    return [results[0], arguments[1] if len(arguments[0]) == 0 else results[1], results[2]]


def spoils_its_input(results, arguments):
    arguments[0].mul_(1.5)
    return results


def lets_padding_through(arguments):
    x, *others = arguments
    return [x + 0 * x.sum(0, keepdim=True), *others]


def refuses_beyond(arguments):
    lengths = arguments[6]
    if lengths is not None and len(lengths):
        arguments[6] = lengths.abs()
    return arguments


def as_if_contiguous(arguments):
    def raw(tensor):
        if tensor is None or tensor.is_contiguous():
            return tensor
        return tensor.as_strided(tensor.shape, torch.empty(tensor.shape).stride())

    return [*map(raw, arguments[:6]), *arguments[6:]]


def forgets_a_lane(results, arguments):
    if arguments[1].shape[-1] % 16 == 1:
        results[0] = torch.cat([results[0][..., :-1], results[0][..., -1:] * 1.01], dim=-1)
    return results


def saves_always(arguments):
    return [*arguments[:-1], True]


def fails_when_empty(arguments):
    if arguments[0].numel() == 0:
        raise RuntimeError("empty")
    return arguments


SABOTAGE = {
    "swaps r and z": (
        with_forward(swaps_reset_and_update),
        "every_option_equals_the_definition",
    ),
    "drops a bias": (
        with_forward(put(5, lambda b: None if b is None else torch.zeros_like(b))),
        "every_option_equals_the_definition",
    ),
    "shifts the output": (
        with_forward(change_results=put(0, lambda output: output.roll(1, 0))),
        "every_option_equals_the_definition",
    ),
    "ignores lengths": (with_forward(put(6, None)), "every_option_equals_the_definition"),
    "ignores resets": (with_forward(put(7, None)), "every_option_equals_the_definition"),
    "ignores the direction": (with_forward(put(9, False)), "every_option_equals_the_definition"),
    "ignores where the reset acts": (
        with_forward(put(8, True)),
        "every_option_equals_the_definition",
    ),
    "forgets the gradient of the state": (
        with_backward(change_results=put(1, torch.zeros_like)),
        "every_option_equals_the_definition",
    ),
    "scales a gradient": (
        with_backward(change_results=put(3, lambda gradient: gradient * 1.01)),
        "every_option_equals_the_definition",
    ),
    "forgets lengths backward": (
        with_backward(put(6, None)),
        "every_option_equals_the_definition",
    ),
    "mixes the batch": (
        with_forward(change_results=put(0, lambda o: o + 1e-3 * o.mean(1, keepdim=True))),
        "every_option_equals_the_definition",
    ),
    "computes in half precision": (
        with_forward(change_results=put(0, lambda output: output.half().to(output.dtype))),
        "every_option_equals_the_definition",
    ),
    "answers in float32": (
        with_forward(change_results=put(0, lambda output: output.float())),
        "every_option_equals_the_definition",
    ),
    "reads unwritten memory": (
        with_forward(change_results=reads_unwritten_memory),
        "every_option_equals_the_definition",
    ),
    "forgets a lane": (
        with_forward(change_results=forgets_a_lane),
        "every_size_equals_the_definition",
    ),
    "fails when empty": (with_forward(fails_when_empty), "empty_sizes_work"),
    "lets padding through": (with_forward(lets_padding_through), "padding_does_not_leak"),
    "takes lengths as they are": (
        with_forward(refuses_beyond),
        "lengths_beyond_the_ends_act_as_the_ends",
    ),
    "assumes contiguous memory": (with_forward(as_if_contiguous), "strides_do_not_matter"),
    "keeps another reserve": (
        with_forward(change_results=put(2, lambda reserve: reserve.flip(0))),
        "the_reserve_is_as_the_contract_says",
    ),
    "saves always": (with_forward(saves_always), "without_saving_nothing_is_kept"),
    "hands back its state": (
        with_forward(change_results=hands_back_its_state),
        "arguments_are_left_alone",
    ),
    "spoils its input": (
        with_forward(change_results=spoils_its_input),
        "arguments_are_left_alone",
    ),
    "computes dx always": (with_backward(put(12, True)), "an_unwanted_dx_is_empty"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_sabotaged_backend_is_caught(name):
    backend, check_name = SABOTAGE[name]
    checks = [check for check in backend_checks() if check.__name__ == check_name]
    assert failures(checks, backend)


def test_check_backend_says_which_result_and_by_how_much():
    with pytest.raises(AssertionError, match=r"dw_hh of GruCase\(.*from the float64 oracle"):
        check_backend(SABOTAGE["scales a gradient"][0])


def test_a_backend_that_refuses_everything_is_not_proved():
    lazy = replace(REFERENCE, why_not=lambda call: ("not today",))
    with pytest.raises(AssertionError, match="ran no case: not today"):
        check_backend(lazy)


def test_a_backend_is_not_run_where_it_objects():
    def why_not(call):
        return ("lengths",) if call.has_lengths else ()

    backend = with_forward(lambda arguments: arguments if arguments[6] is None else 1 / 0)
    picky = replace(backend, why_not=why_not)
    checks = [check for check in backend_checks() if check.__name__.startswith("every_option")]
    assert not failures(checks, picky)


def test_an_unknown_op_is_named():
    with pytest.raises(GrukitError, match="op must be one of 'gru', got 'lru'"):
        backend_checks("lru")
