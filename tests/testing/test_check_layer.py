"""check_layer passes every layer with every option, and goes red for every sabotage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from grukit.nn import GRU, LAYERS, LSTM, RNN
from grukit.nn.layer import Layer
from grukit.testing import check_layer, layer_checks
from grukit.testing.layers.equations import EQUATIONS
from grukit.testing.layers.transforms import GRAPHS
from grukit.testing.options import EVERYTHING, LAYER_OPTIONS, factories, factory_of, refusal, table
from grukit.testing.running import failures, run

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"
CASES = {case: f for case, f in factories(LAYERS, LAYER_OPTIONS).items() if refusal(f) is None}
REFUSED = {("GRU, reset_after=False", "proj_size"): "reset_after=False"}
REFUSED |= {(form, "candidate_dropout"): "RNN" for form in ("RNN", "RNN, nonlinearity=relu")}
OFF = {"proj_size": 0, "layer_norm": False, "zoneout": 0.0, "recurrent_dropout": 0.0}
OFF |= {"candidate_dropout": 0.0, "input_dropout": 0.0, "learned_state": False}
OFF |= {"residual": False, "models": None, "backend": None}


@pytest.mark.parametrize("case", CASES, ids=": ".join)
def test_every_layer_with_every_option(case):
    """Graphs of each option alone are compiled and exported in tests/nn/test_transforms.py."""
    graphs = case[1] == EVERYTHING
    run([check for check in layer_checks() if graphs or check not in GRAPHS], CASES[case])


def test_nothing_but_what_makes_no_sense_is_refused():
    found = factories(LAYERS, LAYER_OPTIONS)
    assert found.keys() - CASES.keys() == REFUSED.keys()
    for case, reason in REFUSED.items():
        said = refusal(found[case])
        assert said.startswith(f"{case[1]} must be off for")
        assert reason in said


def test_the_page_has_the_table():
    wanted = table(LAYERS, LAYER_OPTIONS)
    assert wanted in PAGE.read_text(encoding="utf-8"), f"{PAGE} must have this table:\n{wanted}"


@pytest.mark.parametrize("kind", LAYERS)
def test_options_that_are_off_change_nothing(kind):
    plain, off = kind(2, 3, 2), kind(2, 3, 2, **OFF)
    assert repr(plain) == repr(off)
    off.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 2)
    assert torch.equal(plain(x)[0], off(x)[0])


def with_weights(change):
    """Weights after change(weights), with which the layer computes everything."""

    def _weights(self, layer, reverse):
        return change(super(type(self), self)._weights(layer, reverse))

    return _weights


def by_rows(change):
    """The weights of a GRU with `change` made to the list [r, z, n] of the rows of each."""
    return with_weights(
        lambda weights: {name: torch.cat(change(list(w.chunk(3)))) for name, w in weights.items()}
    )


class SwapsResetAndUpdate(GRU):
    _weights = by_rows(lambda w: [w[1], w[0], w[2]])


class SwapsUpdateAndItsComplement(GRU):
    _weights = by_rows(lambda w: [w[0], -w[1], w[2]])


class DropsABias(GRU):
    _weights = with_weights(lambda w: {**w, "b_hh": torch.zeros_like(w["b_hh"])})


class DropsABiasOfTheLSTM(LSTM):
    _weights = with_weights(lambda w: {**w, "b_ih": torch.zeros_like(w["b_ih"])})


class ScalesAGradient(GRU):
    _weights = with_weights(lambda w: {**w, "w_hh": 1.01 * w["w_hh"] - 0.01 * w["w_hh"].detach()})


class ReadsAWeight(GRU):
    _weights = with_weights(lambda w: {**w, "w_hh": w["w_hh"] + 0 * w["w_hh"].sum().item()})


class ModelsShareWeights(GRU):
    def _weights(self, layer, reverse):
        weights = super()._weights(layer, reverse)
        return {n: w[:1].expand_as(w) for n, w in weights.items()} if self.models else weights


class ShiftsTheOutput(GRU):
    def _run(self, *args):
        output, finals = super()._run(*args)
        return output.roll(1, -3), finals


class IgnoresLengths(GRU):
    def _run(self, x, states, lengths, resets, training):
        return super()._run(x, states, None, resets, training)


class IgnoresResets(GRU):
    def _run(self, x, states, lengths, resets, training):
        return super()._run(x, states, lengths, None, training)


class TakesResetsInThePadding(GRU):
    def _run(self, x, states, lengths, resets, training):
        output, finals = super()._run(x, states, lengths, resets, training)
        if resets is not None and lengths is not None:
            padding = torch.arange(len(x))[:, None] >= lengths
            fresh = (resets & padding).any(0)[:, None]
            finals = [(h.masked_fill(fresh, 0),) for (h,) in finals]
        return output, finals


class IgnoresTheState(GRU):
    def _states(self, *args, **options):
        return [(torch.zeros_like(h),) for (h,) in super()._states(*args, **options)]


class ForgetsTheGradientOfTheState(GRU):
    def _states(self, *args, **options):
        return [(h.detach(),) for (h,) in super()._states(*args, **options)]


class StartsFromOnes(GRU):
    def _initial(self, *args):
        return [(h + 1,) for (h,) in super()._initial(*args)]


class IgnoresItsLearnedState(LSTM):
    def _initial(self, *args):
        return [(torch.zeros_like(h), c) for h, c in super()._initial(*args)]


class AddsToItsLearnedState(RNN):
    def _initial(self, *args):
        return [(h + self.learned_state,) for (h,) in super()._initial(*args)]


class ResetsToZero(LSTM):
    def _given(self, *args, **options):
        given = super()._given(*args, **options)
        return {name: t for name, t in given.items() if not name.startswith("fresh")}


class MixesTheBatch(GRU):
    def _run(self, *args):
        output, finals = super()._run(*args)
        return output + 1e-3 * output.mean(-2, keepdim=True), finals


class SortsTheBatch(GRU):
    def _run(self, x, states, lengths, resets, training):
        if lengths is not None:
            lengths = lengths.sort(descending=True).values
        return super()._run(x, states, lengths, resets, training)


class ChangesTheInput(GRU):
    def change(self, x, lengths):
        return x

    def _run(self, x, states, lengths, resets, training):
        return super()._run(self.change(x, lengths), states, lengths, resets, training)


class LooksAhead(ChangesTheInput):
    def change(self, x, lengths):
        return x + 1e-3 * x.roll(-1, -3)


class MarksTheFirstStep(ChangesTheInput):
    def change(self, x, lengths):
        return torch.cat([x[:1] + 1, x[1:]])


class MultipliesThePadding(ChangesTheInput):
    def change(self, x, lengths):
        return x if lengths is None else x + 0 * x.sum()


class LetsInfinityThrough(ChangesTheInput):
    def change(self, x, lengths):
        return x + 0 * x.nan_to_num(0, torch.inf, -torch.inf).sum()


class LetsNaNThroughInTraining(ChangesTheInput):
    def change(self, x, lengths):
        return x + 0 * x.sum() if self.training else x


class RefusesNoSteps(ChangesTheInput):
    def change(self, x, lengths):
        if x.numel() == 0:
            raise RuntimeError("Expected sequence length to be larger than 0")
        return x


class ReadsAValue(ChangesTheInput):
    def change(self, x, lengths):
        return x + 0 * x.sum().item()


class DetachesInForwardMode(ChangesTheInput):
    def change(self, x, lengths):
        dual = torch.autograd.forward_ad.unpack_dual(x).tangent is not None
        return x.detach() if dual else x


class BreaksTheGraph(ChangesTheInput):
    def change(self, x, lengths):
        torch._dynamo.graph_break()
        return x


class DetachesWhenCompiled(ChangesTheInput):
    def change(self, x, lengths):
        return x.detach() if torch.compiler.is_compiling() else x


class FixesTheTime(ChangesTheInput):
    def change(self, x, lengths):
        return x.reshape(4, *x.shape[1:]) if torch.compiler.is_exporting() else x


class KeepsAParameterAside(ChangesTheInput):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = 1 + torch.rand(()).item()

    def change(self, x, lengths):
        return self.scale * x


class HoldsAFunction(GRU):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.function = lambda: None


class SharesItsCopies(GRU):
    def __deepcopy__(self, memo):
        return self


class DrawsItsWeightsElsewhere(GRU):
    def reset_parameters(self):
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(random.random())


class StartsFromTheSameWeights(GRU):
    def reset_parameters(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().reset_parameters()


class ReadsTheReverseForwards(GRU):
    def _run_layer(self, *args, **options):
        output, finals = super()._run_layer(*args, **options)
        if self.bidirectional:
            ahead, back = output.chunk(2, dim=-1)
            output = torch.cat([ahead, back.flip(-3)], dim=-1)
        return output, finals


class ForgetsBatchFirst(GRU):
    def __init__(self, *args, batch_first=False, **options):
        super().__init__(*args, **options)


class TracesTimeFirst(GRU):
    def trace(self, *args, **options):
        trace = super().trace(*args, **options)
        return [t.transpose(0, 1) for t in trace] if self.batch_first else trace


class GivesItsStateBatchFirst(GRU):
    def forward(self, *args, **options):
        output, final = super().forward(*args, **options)
        return output, final.transpose(-3, -2)


class DoublesItsOutput(GRU):
    def forward(self, *args, **options):
        output, final = super().forward(*args, **options)
        return output.double(), final


class ForgetsTheUnbatchedState(GRU):
    def forward(self, input, hx=None, **options):
        return super().forward(input, hx if input[0].dim() > 1 else None, **options)


class ForgetsTheOrderOfPacked(GRU):
    def forward(self, input, *args, **options):
        output, final = super().forward(input, *args, **options)
        order = getattr(input, "sorted_indices", None)
        return output, final if order is None else final.index_select(1, order)


class TracesAnotherLayer(GRU):
    def trace(self, *args, layer=0, **options):
        return super().trace(*args, layer=0, **options)


class TracesOneMinusUpdate(GRU):
    def trace(self, *args, **options):
        trace = super().trace(*args, **options)
        return trace._replace(update=1 - trace.update)


class SwapsTheFinalStates(LSTM):
    def forward(self, *args, **options):
        output, final = super().forward(*args, **options)
        return output, final[::-1]


class HasNoEquations(Layer):
    recurrence = LSTM.recurrence
    Trace = LSTM.Trace


def with_docstring(text):
    """A class that pytest does not find, since it would run the example."""
    return type("HasADocstring", (GRU,), {"__doc__": text})


class RecordsNothingInEval(GRU):
    def forward(self, *args, **options):
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return super().forward(*args, **options)


class StepForgetsZoneout(GRU):
    def _keeps(self, x, shapes, training):
        return super()._keeps(x, shapes, training) if shapes else {}


class StepRecordsAGraph(GRU):
    step = Layer.step.__wrapped__


class StepsOfOneDirection(GRU):
    def step(self, x, state=None):
        return super().forward(x.unsqueeze(-3), state)


class ForgetsTheResidual(GRU):
    def _run_layer(self, *args, **options):
        self.residual, kept = False, self.residual
        results = super()._run_layer(*args, **options)
        self.residual = kept
        return results


class IsTheSameInEval(RNN):
    def _keeps(self, x, shapes, training):
        return super()._keeps(x, shapes, training) if training else {}


class ShiftsTheZoneoutMask(RNN):
    def _keeps(self, x, shapes, training):
        keeps = super()._keeps(x, shapes, training)
        return {name: keep.roll(1, -3) for name, keep in keeps.items()}


class TakesTheZoneoutMaskOfTheFirstStep(LSTM):
    def _keeps(self, x, shapes, training):
        keeps = super()._keeps(x, shapes, training)
        return {
            name: keep.narrow(-3, 0, 1).expand(*keep.shape).clone() for name, keep in keeps.items()
        }


class SwapsTheZoneoutMasks(LSTM):
    def _keeps(self, *args, **options):
        keeps = super()._keeps(*args, **options)
        return dict(zip(keeps, list(keeps.values())[::-1], strict=True))


class DrawsMasksAtEveryStep(GRU):
    def forward(self, input, hx=None, **options):
        if not self.training:
            return super().forward(input, hx, **options)
        outputs = []
        for one in input.split(1):
            output, hx = super().forward(one, hx)
            outputs.append(output)
        return torch.cat(outputs), hx


class DropsTheSameAtEveryStep(GRU):
    def _run_layer(self, layer, x, states, lengths, resets, training):
        if training and layer:
            x = x * (x[:1] != 0)
        return super()._run_layer(layer, x, states, lengths, resets, training)


class DropsNothing(GRU):
    def _given(self, *args, **options):
        given = super()._given(*args, **options)
        return {name: t for name, t in given.items() if not name.startswith("drop")}


class DrawsInEval(GRU):
    def _run(self, x, states, lengths, resets, training):
        return super()._run(x, states, lengths, resets, True)


class DrawsWithoutRates(GRU):
    def _run(self, *args):
        torch.rand(())
        return super()._run(*args)


class DrawsFromAClock(GRU):
    def forward(self, *args, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random.getrandbits(30))
            return super().forward(*args, **options)


class ModelsShareMasks(GRU):
    def _given(self, *args, **options):
        given = super()._given(*args, **options)
        if self.models and "drop_h" in given:
            given["drop_h"] = given["drop_h"][:1].expand_as(given["drop_h"])
        return given


class TakesACandidateDropout(RNN):
    def __init__(self, *args, candidate_dropout=0.0, **options):
        super().__init__(*args, **options)


SABOTAGE = [
    (SwapsResetAndUpdate, {}, "the_trace_satisfies_the_equations"),
    (SwapsUpdateAndItsComplement, {}, "the_trace_satisfies_the_equations"),
    (DropsABias, {}, "the_trace_satisfies_the_equations"),
    (DropsABiasOfTheLSTM, {"layer_norm": True}, "the_trace_satisfies_the_equations"),
    (TracesOneMinusUpdate, {}, "the_trace_satisfies_the_equations"),
    (IsTheSameInEval, {"zoneout": 0.3}, "the_trace_satisfies_the_equations"),
    (HasNoEquations, {}, "the_trace_satisfies_the_equations"),
    (TracesAnotherLayer, {}, "the_final_state_is_the_last_traced"),
    (SwapsTheFinalStates, {}, "the_final_state_is_the_last_traced"),
    (ShiftsTheOutput, {}, "the_output_is_the_traced_state"),
    (with_docstring("A layer."), {}, "the_docstring_example_runs"),
    (with_docstring(">>> GRU(1, 2)\nGRU(1, 3)"), {}, "the_docstring_example_runs"),
    (GivesItsStateBatchFirst, {}, "shapes_and_dtypes_are_as_promised"),
    (DoublesItsOutput, {}, "shapes_and_dtypes_are_as_promised"),
    (ForgetsBatchFirst, {}, "batch_first_is_transposed"),
    (TracesTimeFirst, {}, "batch_first_is_transposed"),
    (ForgetsTheUnbatchedState, {}, "unbatched_is_a_batch_of_one"),
    (ForgetsTheOrderOfPacked, {}, "packed_equals_lengths"),
    (IgnoresTheState, {}, "steps_equal_the_sequence"),
    (StepForgetsZoneout, {"zoneout": 0.3}, "step_gives_what_forward_gives"),
    (StepRecordsAGraph, {}, "step_gives_what_forward_gives"),
    (StepsOfOneDirection, {}, "step_is_of_one_direction"),
    (MarksTheFirstStep, {}, "a_split_with_carried_state_equals_the_whole"),
    (StartsFromOnes, {}, "no_state_is_a_fresh_state"),
    (IgnoresItsLearnedState, {"learned_state": True}, "no_state_is_a_fresh_state"),
    (LooksAhead, {}, "the_past_does_not_see_the_future"),
    (MixesTheBatch, {}, "sequences_do_not_see_each_other"),
    (SortsTheBatch, {}, "a_permuted_batch_gives_permuted_results"),
    (IgnoresLengths, {}, "lengths_equal_truncation"),
    (MultipliesThePadding, {}, "padding_may_hold_anything"),
    (LetsInfinityThrough, {}, "padding_may_hold_anything"),
    (LetsNaNThroughInTraining, {}, "padding_may_hold_anything"),
    (IgnoresResets, {}, "resets_equal_separate_sequences"),
    (ResetsToZero, {"learned_state": True}, "resets_equal_separate_sequences"),
    (TakesResetsInThePadding, {}, "resets_in_the_padding_are_ignored"),
    (ReadsTheReverseForwards, {}, "the_reverse_half_is_the_flipped_sequence"),
    (RefusesNoSteps, {}, "empty_inputs_work"),
    (ModelsShareWeights, {}, "models_equal_separate_layers"),
    (ModelsShareMasks, {"recurrent_dropout": 0.5}, "models_take_one_input_and_masks_of_their_own"),
    (AddsToItsLearnedState, {}, "a_learned_state_of_zero_is_none"),
    (ForgetsTheResidual, {"residual": True}, "two_layers_are_one_on_the_other"),
    (DrawsInEval, {"zoneout": 0.3}, "eval_mode_draws_nothing"),
    (DrawsWithoutRates, {}, "rates_of_zero_draw_nothing"),
    (DrawsFromAClock, {"input_dropout": 0.5}, "the_seed_makes_the_masks"),
    (DropsNothing, {"recurrent_dropout": 0.5}, "the_seed_makes_the_masks"),
    (ShiftsTheZoneoutMask, {}, "zoneout_keeps_what_its_mask_says"),
    (TakesTheZoneoutMaskOfTheFirstStep, {}, "zoneout_keeps_what_its_mask_says"),
    (SwapsTheZoneoutMasks, {}, "zoneout_keeps_what_its_mask_says"),
    (DrawsMasksAtEveryStep, {}, "input_dropout_is_one_mask"),
    (DrawsMasksAtEveryStep, {}, "recurrent_dropout_is_one_mask"),
    (DropsNothing, {}, "recurrent_dropout_is_one_mask"),
    (DrawsMasksAtEveryStep, {}, "candidate_dropout_is_one_mask"),
    (TakesACandidateDropout, {}, "candidate_dropout_is_one_mask"),
    (DropsTheSameAtEveryStep, {}, "dropout_between_layers_is_new_at_every_step"),
    (DrawsItsWeightsElsewhere, {}, "the_same_seed_gives_the_same_layer"),
    (StartsFromTheSameWeights, {}, "the_same_seed_gives_the_same_layer"),
    (KeepsAParameterAside, {}, "the_state_dict_carries_everything"),
    (HoldsAFunction, {}, "copies_compute_alike"),
    (SharesItsCopies, {}, "copies_compute_alike"),
    (RecordsNothingInEval, {}, "gradients_are_only_recorded_on_request"),
    (ForgetsTheGradientOfTheState, {}, "gradients_are_derivatives"),
    (ScalesAGradient, {}, "gradients_are_derivatives"),
    (ReadsAValue, {}, "vmap_over_inputs_equals_a_loop"),
    (ReadsAWeight, {}, "vmap_over_parameters_equals_a_loop"),
    (ReadsAValue, {}, "vmap_of_grad_gives_each_samples_gradient"),
    (DetachesInForwardMode, {}, "tangents_are_finite_differences"),
    (BreaksTheGraph, {}, "a_compiled_layer_equals_it"),
    (DetachesWhenCompiled, {}, "a_compiled_layer_equals_it"),
    (FixesTheTime, {}, "an_exported_layer_runs_at_every_length"),
]


@pytest.mark.parametrize(
    ("layer", "options", "name"), SABOTAGE, ids=[f"{c.__name__}: {name}" for c, _, name in SABOTAGE]
)
def test_a_sabotaged_layer_is_caught(layer, options, name):
    checks = [check for check in layer_checks() if check.__name__ == name]
    assert failures(checks, factory_of(layer, options))


def test_every_check_has_its_sabotage():
    assert {name for _, _, name in SABOTAGE} == {check.__name__ for check in layer_checks()}


def test_every_kind_has_its_equations():
    assert EQUATIONS.keys() == {kind.__name__ for kind in LAYERS}


def test_check_layer_lists_what_failed():
    with pytest.raises(AssertionError, match=r"lengths_equal_truncation: .* differs by "):
        check_layer(IgnoresLengths)


def test_the_checks_leave_the_global_seed_alone():
    before = torch.random.get_rng_state()
    run(
        [check for check in layer_checks() if check not in GRAPHS],
        factory_of(GRU, {"zoneout": 0.3}),
    )
    assert torch.equal(torch.random.get_rng_state(), before)
