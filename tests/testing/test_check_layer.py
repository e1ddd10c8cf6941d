"""check_layer passes our layers and goes red for every sabotage, by the right check."""

from __future__ import annotations

import functools

import pytest
import torch

from grukit.nn import GRU
from grukit.nn.gru import GRUTrace
from grukit.testing import check_layer, layer_checks
from grukit.testing.running import failures


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("check", layer_checks(), ids=lambda check: check.__name__)
def test_gru(check, reset_after):
    check(functools.partial(GRU, reset_after=reset_after))


def by_rows(weights, change):
    """The weights with `change` made to the list [r, z, n] of rows of each."""
    return tuple(None if w is None else torch.cat(change(list(w.chunk(3)))) for w in weights)


class SwapsResetAndUpdate(GRU):
    def _weights(self, layer, reverse):
        return by_rows(super()._weights(layer, reverse), lambda w: [w[1], w[0], w[2]])


class SwapsUpdateAndItsComplement(GRU):
    def _weights(self, layer, reverse):
        return by_rows(super()._weights(layer, reverse), lambda w: [w[0], -w[1], w[2]])


class DropsABias(GRU):
    def _weights(self, layer, reverse):
        w_ih, w_hh, b_ih, b_hh = super()._weights(layer, reverse)
        return w_ih, w_hh, b_ih, torch.zeros_like(b_hh)


class ShiftsTheOutput(GRU):
    def forward(self, *args, **options):
        output, h_n = super().forward(*args, **options)
        return output.roll(1, 0) if isinstance(output, torch.Tensor) else output, h_n


class IgnoresLengths(GRU):
    def _run_layer(self, layer, x, state, lengths, resets):
        return super()._run_layer(layer, x, state, None, resets)


class IgnoresResets(GRU):
    def _run_layer(self, layer, x, state, lengths, resets):
        return super()._run_layer(layer, x, state, lengths, None)


class IgnoresTheState(GRU):
    def _state(self, x, hx, batch):
        return torch.zeros_like(super()._state(x, hx, batch))


class ForgetsTheGradientOfTheState(GRU):
    def _state(self, x, hx, batch):
        return super()._state(x, hx, batch).detach()


class ScalesAGradient(GRU):
    def _weights(self, layer, reverse):
        w_ih, w_hh, b_ih, b_hh = super()._weights(layer, reverse)
        return w_ih, w_hh + 0.01 * (w_hh - w_hh.detach()), b_ih, b_hh


class MixesTheBatch(GRU):
    def _run(self, x, state, lengths, resets):
        output, final = super()._run(x, state, lengths, resets)
        return output + 1e-3 * output.mean(1, keepdim=True), final


class SortsTheBatch(GRU):
    def _run(self, x, state, lengths, resets):
        if lengths is not None:
            lengths = lengths.sort(descending=True).values
        return super()._run(x, state, lengths, resets)


class LooksAhead(GRU):
    def _run(self, x, state, lengths, resets):
        return super()._run(x + 1e-3 * x.roll(-1, 0), state, lengths, resets)


class MultipliesThePadding(GRU):
    def _run(self, x, state, lengths, resets):
        if lengths is not None:
            x = x * (torch.arange(len(x))[:, None] < lengths)[..., None]
        return super()._run(x + 0 * x.sum(), state, lengths, resets)


class RefusesNoSteps(GRU):
    def _run(self, x, state, lengths, resets):
        if x.numel() == 0:
            raise RuntimeError("Expected sequence length to be larger than 0")
        return super()._run(x, state, lengths, resets)


class ReadsAValue(GRU):
    def _run(self, x, state, lengths, resets):
        return super()._run(x + 0 * x.sum().item(), state, lengths, resets)


class DetachesInForwardMode(GRU):
    def _run(self, x, state, lengths, resets):
        if torch.autograd.forward_ad.unpack_dual(x).tangent is not None:
            x = x.detach()
        return super()._run(x, state, lengths, resets)


class HoldsAFunction(GRU):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.function = lambda: None


class SharesItsCopies(GRU):
    def __deepcopy__(self, memo):
        return self


class KeepsAParameterAside(GRU):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = 1 + torch.rand(()).item()

    def _run(self, x, state, lengths, resets):
        return super()._run(self.scale * x, state, lengths, resets)


class ReadsTheReverseForwards(GRU):
    @property
    def _reverses(self):
        return (False, False) if self.bidirectional else (False,)


class ForgetsBatchFirst(GRU):
    def __init__(self, *args, batch_first=False, **options):
        super().__init__(*args, **options)


class TracesAnotherLayer(GRU):
    def trace(self, *args, layer=0, **options):
        return super().trace(*args, layer=0, **options)


class TracesOneMinusUpdate(GRU):
    def trace(self, *args, **options):
        reset, update, memory, hidden = super().trace(*args, **options)
        return GRUTrace(reset, 1 - update, memory, hidden)


class HasNoExample(GRU):
    """A layer."""


class HasAWrongExample(GRU):
    example = ">>> GRU(1, 2)\nGRU(1, 3)"


class RecordsNothingInEval(GRU):
    def forward(self, *args, **options):
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return super().forward(*args, **options)


SABOTAGE = {
    SwapsResetAndUpdate: "the_trace_satisfies_the_equations",
    SwapsUpdateAndItsComplement: "the_trace_satisfies_the_equations",
    DropsABias: "the_trace_satisfies_the_equations",
    ShiftsTheOutput: "the_final_state_is_the_last_output",
    IgnoresLengths: "lengths_equal_truncation",
    IgnoresResets: "resets_equal_separate_sequences",
    IgnoresTheState: "steps_equal_the_sequence",
    ForgetsTheGradientOfTheState: "gradients_are_derivatives",
    ScalesAGradient: "gradients_are_derivatives",
    MixesTheBatch: "sequences_do_not_see_each_other",
    SortsTheBatch: "a_permuted_batch_gives_permuted_results",
    LooksAhead: "the_past_does_not_see_the_future",
    MultipliesThePadding: "padding_may_hold_anything",
    RefusesNoSteps: "empty_inputs_work",
    ReadsAValue: "vmap_over_inputs_equals_a_loop",
    DetachesInForwardMode: "tangents_are_finite_differences",
    HoldsAFunction: "copies_compute_alike",
    SharesItsCopies: "copies_compute_alike",
    KeepsAParameterAside: "the_state_dict_carries_everything",
    ReadsTheReverseForwards: "the_reverse_half_is_the_flipped_sequence",
    ForgetsBatchFirst: "batch_first_is_transposed",
    TracesAnotherLayer: "the_trace_is_of_the_forward_pass",
    TracesOneMinusUpdate: "the_trace_satisfies_the_equations",
    HasNoExample: "the_docstring_example_runs",
    HasAWrongExample: "the_docstring_example_runs",
    RecordsNothingInEval: "gradients_are_only_recorded_on_request",
}


@pytest.mark.parametrize("layer", SABOTAGE, ids=lambda layer: layer.__name__)
def test_a_sabotaged_layer_is_caught(layer):
    layer.__doc__ = layer.__doc__ or getattr(layer, "example", GRU.__doc__)
    checks = [check for check in layer_checks() if check.__name__ == SABOTAGE[layer]]
    assert failures(checks, layer)


def test_check_layer_lists_what_failed():
    with pytest.raises(AssertionError, match=r"lengths_equal_truncation: .* differs by "):
        check_layer(IgnoresLengths)


def test_the_checks_leave_the_global_seed_alone():
    before = torch.random.get_rng_state()
    check_layer(GRU)
    assert torch.equal(torch.random.get_rng_state(), before)
