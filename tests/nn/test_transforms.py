"""Every cell of docs/reference/transforms.md: the table layers x options x transforms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transform_checks
import transform_table as table
from torch.autograd import forward_ad
from transform_checks import CHECKS, Case

from grukit.nn import layer as layers
from grukit.ops import RECURRENCES, recurrence
from grukit.ops.contract import Arguments

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)
SHOWN = table.shown(table.PAGE.read_text())
every_layer = pytest.mark.parametrize("layer", table.LAYERS)


@pytest.mark.parametrize(("layer", "row", "transform"), table.CELLS)
def test_a_cell_is_as_shown(layer, row, transform):
    assert SHOWN[layer, row, transform] == table.outcome(layer, row, transform)


def test_the_page_shows_every_cell_and_nothing_else():
    assert SHOWN.keys() == set(table.CELLS)
    text = table.PAGE.read_text()
    assert text == table.page(SHOWN)
    for cell in (table.CELLS[0], table.CELLS[-1]):
        for other in (table.Outcome(False, "not yet"), table.Outcome(True, "with care")):
            changed = table.page(SHOWN | {cell: other})
            assert changed != text
            assert table.shown(changed)[cell] == other


def test_nothing_is_refused_but_options_that_a_layer_does_not_have():
    refused = {(layer, row) for (layer, row, _), found in SHOWN.items() if not found.works}
    assert refused == {
        ("GRU, reset before the product", "proj_size"),
        ("RNN, tanh", "candidate_dropout, training"),
        ("RNN, relu", "candidate_dropout, training"),
        ("MinGRU", "proj_size"),
        ("MinGRU", "recurrent_dropout, training"),
    }


def results(case, training):
    case.layer.train(training)
    torch.manual_seed(0)
    return case.run(dict(case.layer.named_parameters()), case.inputs())


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        assert torch.equal(one, other)


@every_layer
@pytest.mark.parametrize("row", table.STEADY)
def test_a_row_without_a_mode_does_the_same_in_both(layer, row):
    if SHOWN[layer, row, "export"].works:
        case = table.case(layer, row)
        assert_equal(results(case, True), results(case, False))


@every_layer
@pytest.mark.parametrize("name", table.DROPOUT)
def test_dropout_does_nothing_in_eval_mode(layer, name):
    row, options = f"{name}, training", table.DROPOUT[name]
    if SHOWN[layer, row, "export"].works:
        case = table.case(layer, row)
        without = {option: value for option, value in options.items() if "dropout" not in option}
        plain = Case(table.LAYERS[layer], without, training=True)
        plain.layer.load_state_dict(case.layer.state_dict())
        assert_equal(results(case, False), results(plain, True))
        with pytest.raises(AssertionError):
            assert_equal(results(case, True), results(plain, True))


# Sabotage: layers that are wrong under a transform alone, each of which must turn its cells red.


def changed_if(happens):
    """Layers whose output differs a little where something happens."""

    def install(patch):
        forward = layers.Layer.forward

        def wrong(*arguments, **options):
            output, final = forward(*arguments, **options)
            return (output * (1 + 1e-5) if happens() else output), final

        patch.setattr(layers.Layer, "forward", wrong)

    return install


def without_gate(patch):
    """Transforms meet a backend that reads memory, as one in another language does."""
    reference = RECURRENCES["gru"].backends[-1]

    def forward(tensors, *others):
        read = [None if t is None else torch.from_numpy(t.detach().numpy()) for t in tensors]
        return reference.forward(Arguments(*read), *others)

    patch.setattr(RECURRENCES["gru"], "backends", (replace(reference, forward=forward),))
    patch.setattr(recurrence, "needs_definition", lambda: False)


def without_second_derivative(patch):
    forward = layers.Layer.forward

    def wrong(*arguments, **options):
        output, final = forward(*arguments, **options)
        output.register_hook(lambda d: None if d is None else d.detach())
        return output, final

    patch.setattr(layers.Layer, "forward", wrong)


def with_masks(draw):
    """Layers that draw their dropout masks otherwise."""

    def install(patch):
        drop_mask = layers.drop_mask
        patch.setattr(layers, "drop_mask", lambda *about: draw(drop_mask, *about))

    return install


def twice_if_compiled(drop_mask, *about):
    unused = 0 * drop_mask(*about) if torch.compiler.is_compiling() else 0
    return drop_mask(*about) + unused


def never_random(drop_mask, like, shape, rate):
    return like.new_ones(shape).cumsum(-1).remainder(2) / (1 - rate)


def shared_if_mapped(drop_mask, *about):
    mask = drop_mask(*about)
    if torch._C._are_functorch_transforms_active():
        return 2 - 0 * mask
    return mask


COMPILED = ["compile, inference", "compile, training", "export"]
MAPPED = ["vmap over inputs", "vmap over parameters", "per-sample gradient"]
DROPS = "recurrent_dropout, training"
SABOTAGE = {
    "compiled": (changed_if(torch.compiler.is_compiling), "plain", COMPILED),
    "transformed": (
        changed_if(torch._C._are_functorch_transforms_active),
        "plain",
        [*MAPPED, "jvp"],
    ),
    "dual numbers": (changed_if(lambda: forward_ad._current_level >= 0), "plain", ["jvp"]),
    "no gate": (without_gate, "plain", [*MAPPED, "jvp"]),
    "no second derivative": (without_second_derivative, "plain", ["double backward"]),
    "masks drawn twice": (with_masks(twice_if_compiled), DROPS, COMPILED),
    "masks of no chance": (with_masks(never_random), DROPS, MAPPED),
    "masks that samples share": (with_masks(shared_if_mapped), DROPS, MAPPED),
}


@pytest.mark.parametrize(
    ("fault", "transform"),
    [(fault, transform) for fault, (_, _, hit) in SABOTAGE.items() for transform in hit],
)
def test_a_wrong_layer_turns_its_cell_red(fault, transform, monkeypatch):
    install, row, _ = SABOTAGE[fault]
    install(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_cell_is_as_shown("GRU", row, transform)


def test_every_check_has_a_sabotage():
    assert {transform for _, _, hit in SABOTAGE.values() for transform in hit} == set(CHECKS)


def test_only_errors_of_the_layer_are_reasons(monkeypatch):
    def broken(case):
        return transform_checks.attempt(lambda: case.no_such_thing)

    monkeypatch.setitem(CHECKS, "export", broken)
    with pytest.raises(AttributeError):
        table.outcome("GRU", "plain", "export")
