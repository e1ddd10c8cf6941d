"""Layers that are wrong in one way each, and the check that must see it."""

from __future__ import annotations

import random

import torch

from grukit.nn import GRU, LSTM, RNN
from grukit.nn.layer import Layer


def after(kind, name, change):
    """The kind with change(result, layer) in the place of what its method gives."""

    def method(self, *args, **options):
        return change(getattr(kind, name)(self, *args, **options), self)

    return type(kind.__name__, (kind,), {name: method})


def with_input(change):
    """A GRU that takes change(x, layer) for its input."""

    def _run(self, x, *args):
        return GRU._run(self, change(x, self), *args)

    return type("GRU", (GRU,), {"_run": _run})


def with_docstring(text):
    """A class that pytest does not find, since it would run the example."""
    return type("GRU", (GRU,), {"__doc__": text})


def by_rows(change):
    """The weights of a GRU with change(r, z, n) made of the rows of each."""
    return lambda weights, layer: {
        name: torch.cat(change(*weight.chunk(3))) for name, weight in weights.items()
    }


def changed(name, change):
    """A dict with change(tensor) in the place of the one of this name."""
    return lambda found, layer: found | {name: change(found[name])}


def states(change):
    """The states of every layer and direction after change(h) or change(h, c)."""
    return lambda found, layer: [change(*state) for state in found]


def without(prefix):
    """A dict without the names that begin so."""
    return lambda found, layer: {k: t for k, t in found.items() if not k.startswith(prefix)}


def output(change):
    """Results with change(output) in the place of the output."""
    return lambda results, layer: (change(results[0]), *results[1:])


def final(change):
    """Results with change(final state) in the place of the final state."""
    return lambda results, layer: (results[0], change(results[1]))


def each(change):
    """A dict with every tensor changed."""
    return lambda found, layer: {name: change(tensor) for name, tensor in found.items()}


def shared(weights, layer):
    return each(lambda w: w[:1].expand_as(w))(weights, layer) if layer.models else weights


def shared_masks(given, layer):
    if layer.models and "drop_h" in given:
        given["drop_h"] = given["drop_h"][:1].expand_as(given["drop_h"])
    return given


def swapped(keeps, layer):
    return dict(zip(keeps, list(keeps.values())[::-1], strict=True))


def scaled_gradient(w):
    return 1.01 * w - 0.01 * w.detach()


def read_in_reverse(results, layer):
    if layer.bidirectional:
        ahead, back = results[0].chunk(2, dim=-1)
        return torch.cat([ahead, back.flip(-3)], dim=-1), results[1]
    return results


def detached_in_forward_mode(x, layer):
    return x if torch.autograd.forward_ad.unpack_dual(x).tangent is None else x.detach()


def not_empty(x, layer):
    if x.numel() == 0:
        raise RuntimeError("Expected sequence length to be larger than 0")
    return x


def in_a_broken_graph(x, layer):
    torch._dynamo.graph_break()
    return x


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


class SortsTheBatch(GRU):
    def _run(self, x, states, lengths, resets, training):
        if lengths is not None:
            lengths = lengths.sort(descending=True).values
        return super()._run(x, states, lengths, resets, training)


class DrawsInEval(GRU):
    def _run(self, x, states, lengths, resets, training):
        return super()._run(x, states, lengths, resets, True)


class DropsTheSameAtEveryStep(GRU):
    def _run_layer(self, layer, x, states, lengths, resets, training):
        if training and layer:
            x = x * (x[:1] != 0)
        return super()._run_layer(layer, x, states, lengths, resets, training)


class ForgetsTheResidual(GRU):
    def _run_layer(self, *args, **options):
        self.residual, kept = False, self.residual
        results = super()._run_layer(*args, **options)
        self.residual = kept
        return results


class DrawsMasksAtEveryStep(GRU):
    def forward(self, input, hx=None, **options):
        if not self.training:
            return super().forward(input, hx, **options)
        outputs = []
        for one in input.split(1):
            output, hx = super().forward(one, hx)
            outputs.append(output)
        return torch.cat(outputs), hx


class DrawsFromAClock(GRU):
    def forward(self, *args, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random.getrandbits(30))
            return super().forward(*args, **options)


class RecordsNothingInEval(GRU):
    def forward(self, *args, **options):
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            return super().forward(*args, **options)


class ForgetsTheUnbatchedState(GRU):
    def forward(self, input, hx=None, **options):
        return super().forward(input, hx if input[0].dim() > 1 else None, **options)


class ForgetsTheOrderOfPacked(GRU):
    def forward(self, input, *args, **options):
        output, final = super().forward(input, *args, **options)
        order = getattr(input, "sorted_indices", None)
        return output, final if order is None else final.index_select(1, order)


class ForgetsBatchFirst(GRU):
    def __init__(self, *args, batch_first=False, **options):
        super().__init__(*args, **options)


class TakesACandidateDropout(RNN):
    def __init__(self, *args, candidate_dropout=0.0, **options):
        super().__init__(*args, **options)


class TracesAnotherLayer(GRU):
    def trace(self, *args, layer=0, **options):
        return super().trace(*args, layer=0, **options)


class TracesTimeFirst(GRU):
    def trace(self, *args, **options):
        trace = super().trace(*args, **options)
        return [t.transpose(0, 1) for t in trace] if self.batch_first else trace


class StepForgetsZoneout(GRU):
    def _keeps(self, x, shapes, training):
        return super()._keeps(x, shapes, training) if shapes else {}


class StepRecordsAGraph(GRU):
    def step(self, x, state=None):
        return Layer._step.__wrapped__(self, x, state)


class StepsOfOneDirection(GRU):
    def step(self, x, state=None):
        return super().forward(x.unsqueeze(-3), state)


class ZonesOutInTrainingAlone(RNN):
    def _keeps(self, x, shapes, training):
        return super()._keeps(x, shapes, training) if training else {}


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


class KeepsAParameterAside(GRU):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = 1 + torch.rand(()).item()

    def _run(self, x, *args):
        return super()._run(self.scale * x, *args)


class HoldsAFunction(GRU):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.function = lambda: None


class SharesItsCopies(GRU):
    def __deepcopy__(self, memo):
        return self


SABOTAGE = {
    "the_docstring_example_runs": {
        "no example": with_docstring("A layer."),
        "a wrong example": with_docstring(">>> GRU(1, 2)\nGRU(1, 3)"),
    },
    "the_same_seed_gives_the_same_layer": {
        "weights from elsewhere": DrawsItsWeightsElsewhere,
        "the same weights for every seed": StartsFromTheSameWeights,
    },
    "the_state_dict_carries_everything": {"a parameter beside it": KeepsAParameterAside},
    "copies_compute_alike": {"no pickle": HoldsAFunction, "no deep copy": SharesItsCopies},
    "gradients_are_only_recorded_on_request": {"none in eval mode": RecordsNothingInEval},
    "shapes_and_dtypes_are_as_promised": {
        "state with the batch first": after(GRU, "forward", final(lambda h: h.transpose(-3, -2))),
        "float64": after(GRU, "forward", output(torch.Tensor.double)),
    },
    "batch_first_is_transposed": {
        "batch_first ignored": ForgetsBatchFirst,
        "not in a trace": TracesTimeFirst,
    },
    "unbatched_is_a_batch_of_one": {"no state": ForgetsTheUnbatchedState},
    "packed_equals_lengths": {"state in the order of lengths": ForgetsTheOrderOfPacked},
    "steps_equal_the_sequence": {
        "state ignored": after(GRU, "_states", states(lambda h: (torch.zeros_like(h),)))
    },
    "step_gives_what_forward_gives": {
        "no zoneout": (StepForgetsZoneout, {"zoneout": 0.3}),
        "a graph": StepRecordsAGraph,
    },
    "step_is_of_one_direction": {"both directions": StepsOfOneDirection},
    "a_split_with_carried_state_equals_the_whole": {
        "another first step": with_input(lambda x, layer: torch.cat([x[:1] + 1, x[1:]]))
    },
    "no_state_is_a_fresh_state": {
        "ones": after(GRU, "_initial", states(lambda h: (h + 1,))),
        "learned state ignored": (
            after(LSTM, "_initial", states(lambda h, c: (torch.zeros_like(h), c))),
            {"learned_state": True},
        ),
    },
    "the_past_does_not_see_the_future": {
        "a look ahead": with_input(lambda x, layer: x + 1e-3 * x.roll(-1, -3))
    },
    "sequences_do_not_see_each_other": {
        "mean of the batch": with_input(lambda x, layer: x + 1e-3 * x.mean(-2, keepdim=True))
    },
    "a_permuted_batch_gives_permuted_results": {"sorted lengths": SortsTheBatch},
    "lengths_equal_truncation": {"lengths ignored": IgnoresLengths},
    "padding_may_hold_anything": {
        "NaN": with_input(lambda x, layer: x + 0 * x.sum()),
        "infinity": with_input(lambda x, layer: x + 0 * x.nan_to_num(0, torch.inf).sum()),
        "in training": with_input(lambda x, layer: x + 0 * x.sum() if layer.training else x),
    },
    "resets_equal_separate_sequences": {
        "resets ignored": IgnoresResets,
        "learned state ignored": (after(LSTM, "_given", without("fresh")), {"learned_state": True}),
    },
    "resets_in_the_padding_are_ignored": {"taken": TakesResetsInThePadding},
    "the_reverse_half_is_the_flipped_sequence": {
        "not flipped": after(GRU, "_run_layer", read_in_reverse)
    },
    "empty_inputs_work": {"no steps refused": with_input(not_empty)},
    "the_trace_satisfies_the_equations": {
        "r and z swapped": after(GRU, "_weights", by_rows(lambda r, z, n: [z, r, n])),
        "z and 1 - z swapped": after(GRU, "_weights", by_rows(lambda r, z, n: [r, -z, n])),
        "no b_hh": after(GRU, "_weights", changed("b_hh", torch.zeros_like)),
        "no b_ih": (
            after(LSTM, "_weights", changed("b_ih", torch.zeros_like)),
            {"layer_norm": True},
        ),
        "1 - z": after(GRU, "trace", lambda trace, layer: trace._replace(update=1 - trace.update)),
        "no zoneout in eval mode": (ZonesOutInTrainingAlone, {"zoneout": 0.3}),
    },
    "the_final_state_is_the_last_traced": {
        "another layer": TracesAnotherLayer,
        "h_n and c_n swapped": after(LSTM, "forward", final(lambda pair: pair[::-1])),
    },
    "the_output_is_the_traced_state": {
        "a step late": after(GRU, "_run", output(lambda output: output.roll(1, -3)))
    },
    "models_equal_separate_layers": {"shared weights": after(GRU, "_weights", shared)},
    "models_take_one_input_and_masks_of_their_own": {
        "shared masks": (after(GRU, "_given", shared_masks), {"recurrent_dropout": 0.5})
    },
    "a_learned_state_of_zero_is_none": {
        "a constant": after(
            RNN, "_initial", lambda found, layer: [(h + layer.learned_state,) for (h,) in found]
        )
    },
    "two_layers_are_one_on_the_other": {
        "no residual": (ForgetsTheResidual, {"residual": True}),
    },
    "eval_mode_draws_nothing": {"masks": (DrawsInEval, {"zoneout": 0.3})},
    "rates_of_zero_draw_nothing": {
        "a number": with_input(lambda x, layer: x + 0 * torch.rand(())),
    },
    "the_seed_makes_the_masks": {
        "a clock": (DrawsFromAClock, {"input_dropout": 0.5}),
        "no masks": (after(GRU, "_given", without("drop")), {"recurrent_dropout": 0.5}),
    },
    "zoneout_keeps_what_its_mask_says": {
        "mask of the step before": after(RNN, "_keeps", each(lambda keep: keep.roll(1, -3))),
        "mask of step 0 for all": after(
            LSTM, "_keeps", each(lambda keep: keep.narrow(-3, 0, 1).expand(keep.shape).clone())
        ),
        "masks of h and c swapped": after(LSTM, "_keeps", swapped),
    },
    "input_dropout_is_one_mask": {"new at every step": DrawsMasksAtEveryStep},
    "recurrent_dropout_is_one_mask": {
        "new at every step": DrawsMasksAtEveryStep,
        "none": after(GRU, "_given", without("drop")),
    },
    "candidate_dropout_is_one_mask": {
        "new at every step": DrawsMasksAtEveryStep,
        "taken without a candidate": TakesACandidateDropout,
    },
    "dropout_between_layers_is_new_at_every_step": {"the same": DropsTheSameAtEveryStep},
    "gradients_are_derivatives": {
        "none of the state": after(GRU, "_states", states(lambda h: (h.detach(),))),
        "one percent off": after(GRU, "_weights", changed("w_hh", scaled_gradient)),
    },
    "vmap_over_inputs_equals_a_loop": {
        "a value read": with_input(lambda x, layer: x + 0 * x.sum().item())
    },
    "vmap_over_parameters_equals_a_loop": {
        "a value read": after(GRU, "_weights", changed("w_hh", lambda w: w + 0 * w.sum().item()))
    },
    "vmap_of_grad_gives_each_samples_gradient": {
        "a value read": with_input(lambda x, layer: x + 0 * x.sum().item())
    },
    "tangents_are_finite_differences": {"dropped": with_input(detached_in_forward_mode)},
    "a_compiled_layer_equals_it": {
        "a broken graph": with_input(in_a_broken_graph),
        "no gradient": with_input(
            lambda x, layer: x.detach() if torch.compiler.is_compiling() else x
        ),
    },
    "an_exported_layer_runs_at_every_length": {
        "a fixed time": with_input(
            lambda x, layer: x.reshape(4, *x.shape[1:]) if torch.compiler.is_exporting() else x
        )
    },
}
"""By the name of the check: the class, or the class and its options."""
