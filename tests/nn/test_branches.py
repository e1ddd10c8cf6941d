from __future__ import annotations

import pytest
import torch

from grukit.nn import GRU, LSTM
from grukit.nn.branches import branches
from grukit.nn.by_name import LAYER_OF

ROWS, BRANCHES, INPUTS, HIDDEN = 3, 4, 5, 6


def states(layer, batch: int = ROWS):
    leading = () if layer.models is None else (layer.models,)
    shape = (*leading, layer.num_layers, batch, HIDDEN)
    h = torch.randn(shape, requires_grad=True)
    return (h, torch.randn(shape, requires_grad=True)) if isinstance(layer, LSTM) else h


def one_by_one(layer, x, state):
    """The layer itself, on one branch after the other."""
    return torch.cat([layer(x[..., s : s + 1, :], state)[0] for s in range(x.shape[-2])], dim=-2)


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("models", [None, 2])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_each_branch_is_a_step_of_the_layer(cell, models, layers, bias):
    layer = LAYER_OF[cell](INPUTS, HIDDEN, layers, bias=bias, batch_first=True, models=models)
    layer = layer.double()
    leading = () if models is None else (models,)
    of_branch = torch.randn(*leading, 1, BRANCHES, INPUTS, dtype=torch.float64, requires_grad=True)
    of_row = torch.randn(*leading, ROWS, 1, INPUTS, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        state = states(layer)
    state = tuple(s.double().requires_grad_() for s in (state if cell == "lstm" else (state,)))
    given = state if cell == "lstm" else state[0]
    found = branches(layer, [of_branch, of_row], given)
    wanted = one_by_one(layer, of_branch + of_row, given)
    torch.testing.assert_close(found, wanted)
    leaves = (of_branch, of_row, *state, *layer.parameters())
    seed = torch.randn_like(wanted)
    torch.testing.assert_close(
        torch.autograd.grad(found, leaves, seed), torch.autograd.grad(wanted, leaves, seed)
    )


def test_no_rows_and_no_branches():
    layer = GRU(INPUTS, HIDDEN, batch_first=True)
    for rows, count in ((0, BRANCHES), (ROWS, 0)):
        x = torch.randn(rows, count, INPUTS)
        assert branches(layer, [x], states(layer, rows)).shape == (rows, count, HIDDEN)


def test_dropout_between_layers_while_training():
    layer = GRU(INPUTS, HIDDEN, 2, dropout=0.5, batch_first=True)
    x, h = torch.randn(ROWS, BRANCHES, INPUTS), states(layer)
    assert not torch.equal(branches(layer, [x], h), branches(layer, [x], h))
    layer.eval()
    torch.testing.assert_close(branches(layer, [x], h), one_by_one(layer, x, h))


def test_autocast_changes_nothing_but_the_input():
    layer = GRU(INPUTS, HIDDEN, batch_first=True)
    x, h = torch.randn(ROWS, BRANCHES, INPUTS).bfloat16(), states(layer)
    with torch.autocast("cpu", torch.bfloat16):
        found = branches(layer, [x], h.bfloat16())
    torch.testing.assert_close(found, one_by_one(layer, x.float(), h.bfloat16().float()))
