"""check_cell passes every cell with every option, and goes red for every sabotage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from grukit.nn import CELLS, LAYERS, GRUCell, LSTMCell, RNNCell
from grukit.nn.masks import Masks
from grukit.testing import cell_checks, check_cell
from grukit.testing.cells import GRAPHS, layer_of
from grukit.testing.options import EVERYTHING, OPTIONS, factories, factory_of, refusal, table
from grukit.testing.running import failures, run

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"
CASES = {case: f for case, f in factories(CELLS, OPTIONS).items() if refusal(f) is None}


@pytest.mark.parametrize("case", CASES, ids=": ".join)
def test_every_cell_with_every_option(case):
    """Graphs, which take long to compile, are of the plain cells and of those with all options."""
    graphs = case[1] in ("plain", EVERYTHING)
    run([check for check in cell_checks() if graphs or check not in GRAPHS], CASES[case])


def test_a_cell_refuses_what_its_layer_refuses():
    of_layers = factories(LAYERS, OPTIONS)
    for (form, option), factory in factories(CELLS, OPTIONS).items():
        assert refusal(factory) == refusal(of_layers[form.replace("Cell", ""), option])


def test_the_page_has_the_table():
    wanted = table(CELLS, OPTIONS)
    assert wanted in PAGE.read_text(encoding="utf-8"), f"{PAGE} must have this table:\n{wanted}"


def test_every_cell_has_its_layer():
    assert tuple(map(layer_of, CELLS)) == LAYERS


class Tampered:
    """A recurrence that gets change(x, given) in the place of its arguments."""

    def __init__(self, recurrence, change):
        self.cell, self.recurrence, self.change = recurrence.cell, recurrence, change

    def __call__(self, x, *, variant, **given):
        x, given = self.change(x, given)
        return self.recurrence(x, variant=variant, **given)


def tampered(kind, change):
    """The kind of cell, whose recurrence gets change(x, given)."""
    return type(change.__name__, (kind,), {"recurrence": Tampered(kind.recurrence, change)})


def with_docstring(text):
    """A class that pytest does not find, since it would run the example."""
    return type("with_docstring", (GRUCell,), {"__doc__": text})


def by_rows(given, change):
    """The arguments with `change` made to the list [r, z, n] of the rows of each weight."""
    weights = {name: given[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh")}
    return given | {name: torch.cat(change(list(w.chunk(3)))) for name, w in weights.items()}


def swaps_reset_and_update(x, given):
    return x, by_rows(given, lambda w: [w[1], w[0], w[2]])


def swaps_update_and_its_complement(x, given):
    return x, by_rows(given, lambda w: [w[0], -w[1], w[2]])


def drops_a_bias(x, given):
    return x, given | {"b_hh": torch.zeros_like(given["b_hh"])}


def ignores_the_state(x, given):
    return x, given | {"h0": torch.zeros_like(given["h0"])}


def forgets_the_gradient_of_the_state(x, given):
    return x, given | {"h0": given["h0"].detach()}


def scales_a_gradient(x, given):
    return x, given | {"w_ih": 1.01 * given["w_ih"] - 0.01 * given["w_ih"].detach()}


def mixes_the_batch(x, given):
    return x + 1e-3 * x.mean(-2, keepdim=True), given


def sorts_the_batch(x, given):
    return x.sort(-2).values, given


def reads_a_value(x, given):
    return x + 0 * x.sum().item(), given


def reads_a_weight(x, given):
    return x + 0 * given["w_ih"].sum().item(), given


def detaches_in_forward_mode(x, given):
    dual = torch.autograd.forward_ad.unpack_dual(x).tangent is not None
    return x.detach() if dual else x, given


def breaks_the_graph(x, given):
    torch._dynamo.graph_break()
    return x, given


def is_another_when_compiled(x, given):
    return x + 1 if torch.compiler.is_compiling() else x, given


def draws_in_eval(x, given):
    torch.rand(())
    return x, given


def zones_out_in_training_alone(x, given):
    zoneout = given.get("keep_h")
    return x, given | {"keep_h": None if zoneout is None or zoneout.numel() == 1 else zoneout}


def takes_one_zoneout_mask_for_all(x, given):
    keeps = {name: keep[:, :1].expand(keep.shape).clone() for name, keep in _keeps(given).items()}
    return x, given | keeps


def swaps_the_zoneout_masks(x, given):
    keeps = _keeps(given)
    return x, given | dict(zip(keeps, list(keeps.values())[::-1], strict=True))


def _keeps(given):
    return {name: t for name, t in given.items() if name.startswith("keep")}


class SwapsItsStates(LSTMCell):
    def forward(self, *args, **options):
        return super().forward(*args, **options)[::-1]


class GivesHAlone(LSTMCell):
    def forward(self, *args, **options):
        return super().forward(*args, **options)[0]


class DoublesItsState(GRUCell):
    def forward(self, *args, **options):
        return super().forward(*args, **options).double()


class ForgetsTheUnbatchedState(GRUCell):
    def forward(self, input, hx=None, masks=None):
        return super().forward(input, hx if input.dim() > 1 else None, masks)


class StartsFromOnes(GRUCell):
    def _states(self, x, hx, batched):
        states = super()._states(x, hx, batched)
        return tuple(h + 1 for h in states) if hx is None else states


class IgnoresItsLearnedState(LSTMCell):
    def _states(self, x, hx, batched):
        states = super()._states(x, hx, batched)
        return states[0], torch.zeros_like(states[1]) if hx is None else states[1]


class DrawsMasksAtEveryStep(GRUCell):
    def _checked(self, masks, batch):
        return self.masks(batch)


class NeedsNoMasks(GRUCell):
    def _checked(self, masks, batch):
        return masks or Masks()


class DrawsMasksInEval(GRUCell):
    def masks(self, batch):
        self.training, training = True, self.training
        masks = super().masks(batch)
        self.training = training
        return masks


class ForgetsToScale(GRUCell):
    def masks(self, batch):
        return Masks(*(None if mask is None else mask.sign() for mask in super().masks(batch)))


class DrawsFromAClock(GRUCell):
    def masks(self, batch):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random.getrandbits(30))
            return super().masks(batch)


class StartsFromTheSameWeights(GRUCell):
    def reset_parameters(self):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().reset_parameters()


class KeepsAParameterAside(GRUCell):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = 1 + torch.rand(()).item()

    def forward(self, input, hx=None, masks=None):
        return super().forward(self.scale * input, hx, masks)


class SharesItsCopies(RNNCell):
    def __deepcopy__(self, memo):
        return self


SABOTAGE = [
    (tampered(GRUCell, swaps_reset_and_update), {}, "steps_equal_the_layer"),
    (tampered(GRUCell, swaps_update_and_its_complement), {}, "steps_equal_the_layer"),
    (tampered(LSTMCell, drops_a_bias), {}, "steps_equal_the_layer"),
    (tampered(RNNCell, ignores_the_state), {}, "steps_equal_the_layer"),
    (tampered(RNNCell, zones_out_in_training_alone), {"zoneout": 0.3}, "steps_equal_the_layer"),
    (DrawsMasksAtEveryStep, {}, "steps_equal_the_layer"),
    (SwapsItsStates, {}, "steps_equal_the_layer"),
    (with_docstring("A cell."), {}, "the_docstring_example_runs"),
    (with_docstring(">>> GRUCell(1, 2)\nGRUCell(1, 3)"), {}, "the_docstring_example_runs"),
    (GivesHAlone, {}, "shapes_and_dtypes_are_as_promised"),
    (DoublesItsState, {}, "shapes_and_dtypes_are_as_promised"),
    (ForgetsTheUnbatchedState, {}, "unbatched_is_a_batch_of_one"),
    (StartsFromOnes, {}, "no_state_is_a_fresh_state"),
    (IgnoresItsLearnedState, {"learned_state": True}, "no_state_is_a_fresh_state"),
    (tampered(GRUCell, mixes_the_batch), {}, "sequences_do_not_see_each_other"),
    (tampered(GRUCell, sorts_the_batch), {}, "sequences_do_not_see_each_other"),
    (NeedsNoMasks, {}, "masks_must_be_given_in_training"),
    (DrawsMasksInEval, {}, "masks_must_be_given_in_training"),
    (ForgetsToScale, {}, "masks_must_be_given_in_training"),
    (DrawsFromAClock, {}, "masks_must_be_given_in_training"),
    (tampered(GRUCell, draws_in_eval), {}, "masks_must_be_given_in_training"),
    (tampered(GRUCell, takes_one_zoneout_mask_for_all), {}, "zoneout_keeps_what_its_mask_says"),
    (tampered(LSTMCell, swaps_the_zoneout_masks), {}, "zoneout_keeps_what_its_mask_says"),
    (StartsFromTheSameWeights, {}, "the_same_seed_gives_the_same_cell"),
    (KeepsAParameterAside, {}, "the_state_dict_carries_everything"),
    (SharesItsCopies, {}, "copies_compute_alike"),
    (tampered(GRUCell, forgets_the_gradient_of_the_state), {}, "gradients_are_derivatives"),
    (tampered(LSTMCell, scales_a_gradient), {}, "gradients_are_derivatives"),
    (tampered(GRUCell, reads_a_value), {}, "vmap_over_inputs_equals_a_loop"),
    (tampered(GRUCell, reads_a_weight), {}, "vmap_over_parameters_equals_a_loop"),
    (tampered(GRUCell, reads_a_value), {}, "vmap_of_grad_gives_each_samples_gradient"),
    (tampered(GRUCell, detaches_in_forward_mode), {}, "tangents_are_finite_differences"),
    (tampered(GRUCell, breaks_the_graph), {}, "a_compiled_cell_equals_it"),
    (tampered(GRUCell, is_another_when_compiled), {}, "a_compiled_cell_equals_it"),
]


@pytest.mark.parametrize(
    ("cell", "options", "name"), SABOTAGE, ids=[f"{c.__name__}: {name}" for c, _, name in SABOTAGE]
)
def test_a_sabotaged_cell_is_caught(cell, options, name):
    checks = [check for check in cell_checks() if check.__name__ == name]
    assert failures(checks, factory_of(cell, options))


def test_what_is_tampered_with_nothing_passes():
    cell = tampered(GRUCell, lambda x, given: (x, given))
    cell.__doc__ = GRUCell.__doc__
    assert failures(cell_checks(), cell).keys() == {"copies_compute_alike"}, "cannot be pickled"


def test_every_check_has_its_sabotage():
    assert {name for _, _, name in SABOTAGE} == {check.__name__ for check in cell_checks()}


def test_check_cell_lists_what_failed():
    with pytest.raises(AssertionError, match=r"steps_equal_the_layer: .* differs by "):
        check_cell(SwapsItsStates)
