"""grukit.nn.GRU and GRUCell against torch.nn's, values and every gradient.

The tolerance is measured: our error against torch's own float64 result may be a small
multiple of the error that torch makes in the same dtype.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from grukit.nn import GRU, GRUCell
from grukit.testing import compare, gradients
from grukit.testing.gradients import random_like

DTYPES = [torch.float64, torch.float32, torch.bfloat16]
LENGTHS = {"padded": None, "sorted": (7, 5, 5, 1), "unsorted": (2, 7, 1, 4)}


def results(layer, x, state, dtype, packing=None):
    """Outputs and gradients of input, state and parameters; x is [T, B, I] or [B, T, I]."""
    layer = copy.deepcopy(layer).to(dtype)
    x, state = (t.to(dtype, copy=True).requires_grad_() for t in (x, state))
    given = x
    if packing:
        given = pack_padded_sequence(
            x, torch.tensor(packing), layer.batch_first, enforce_sorted=packing == LENGTHS["sorted"]
        )
    output, h_n = layer(given, state)
    if isinstance(output, PackedSequence):
        output = output.data
    inputs = {"input": x, "hx": state, **dict(layer.named_parameters())}
    seeds = [seed.bfloat16().to(dtype) for seed in random_like([output.double(), h_n.double()])]
    return {"output": output, "h_n": h_n, **gradients([output, h_n], inputs, seeds)}


def compare_with_torch(ours, theirs, x, state, dtype, packing=None):
    ours.load_state_dict(theirs.state_dict(), strict=True)
    # What bfloat16 holds exactly, so that all start from the same numbers.
    for module in (ours, theirs):
        for parameter in module.parameters():
            parameter.data = parameter.data.bfloat16().float()
    x, state = x.bfloat16(), state.bfloat16()
    oracle = results(theirs, x, state, torch.float64, packing)
    plain = results(theirs, x, state, dtype, packing)
    got = results(ours, x, state, dtype, packing)
    assert got.keys() == oracle.keys()
    for name, value in got.items():
        compare(value, oracle[name], plain[name], what=name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("packing", LENGTHS)
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_gru(num_layers, bidirectional, bias, batch_first, packing, dtype):
    arguments = (5, 8, num_layers, bias, batch_first, 0.0, bidirectional)
    x = torch.randn((4, 7, 5) if batch_first else (7, 4, 5))
    state = torch.randn(num_layers * (1 + bidirectional), 4, 8)
    ours, theirs = GRU(*arguments), torch.nn.GRU(*arguments)
    compare_with_torch(ours, theirs, x, state, dtype, LENGTHS[packing])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_an_unbatched_gru(dtype):
    x, state = torch.randn(7, 5), torch.randn(4, 8)
    ours, theirs = (kind(5, 8, 2, bidirectional=True) for kind in (GRU, torch.nn.GRU))
    compare_with_torch(ours, theirs, x, state, dtype)


@pytest.mark.parametrize("packing", ["sorted", "unsorted"])
def test_a_packed_sequence_comes_back_as_torchs(packing):
    theirs = torch.nn.GRU(5, 8)
    ours = GRU(5, 8)
    ours.load_state_dict(theirs.state_dict())
    packed = pack_padded_sequence(
        torch.randn(7, 4, 5), torch.tensor(LENGTHS[packing]), enforce_sorted=packing == "sorted"
    )
    for a, b in zip(ours(packed)[0], theirs(packed)[0], strict=True):
        if b is None:
            assert a is None
        else:
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("arguments", [(1, True, False), (3, False, True), (2, True, True)])
def test_the_state_dict_goes_both_ways(arguments):
    layers, bias, bidirectional = arguments
    options = {"num_layers": layers, "bias": bias, "bidirectional": bidirectional}
    ours, theirs = GRU(5, 8, **options), torch.nn.GRU(5, 8, **options)
    before = copy.deepcopy(ours.state_dict())
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.reset_parameters()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert list(ours.state_dict()) == list(before)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name])


class Step(torch.nn.Module):
    """A cell as a layer of one step, so that one comparison serves both."""

    batch_first = False

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, state):
        h = self.cell(x[0], state[0])
        return h[None], h[None]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_gru_cell(bias, dtype):
    x, state = torch.randn(1, 4, 5), torch.randn(1, 4, 8)
    ours, theirs = GRUCell(5, 8, bias), torch.nn.GRUCell(5, 8, bias)
    compare_with_torch(Step(ours), Step(theirs), x, state, dtype)


def test_an_unbatched_cell_and_a_cell_without_a_state():
    ours, theirs = GRUCell(5, 8), torch.nn.GRUCell(5, 8)
    ours.load_state_dict(theirs.state_dict())
    x, h = torch.randn(4, 5), torch.randn(8)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x[0], h), theirs(x[0], h))


def test_a_cell_step_by_step_is_the_layer():
    layer, cell = GRU(5, 8, reset_after=False), GRUCell(5, 8, reset_after=False)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x, h = torch.randn(6, 4, 5), torch.zeros(4, 8)
    steps = []
    for step in x:
        h = cell(step, h)
        steps.append(h)
    torch.testing.assert_close(torch.stack(steps), layer(x)[0])


def test_parity_sees_a_scaled_gradient():
    class Scaled(GRU):
        def _weights(self, layer, reverse):
            weights = super()._weights(layer, reverse)
            w_hh = weights["w_hh"]
            return weights | {"w_hh": w_hh + 0.05 * (w_hh - w_hh.detach())}

    x, state = torch.randn(7, 4, 5), torch.randn(1, 4, 8)
    for dtype in DTYPES:
        with pytest.raises(AssertionError, match="dweight_hh_l0"):
            compare_with_torch(Scaled(5, 8), torch.nn.GRU(5, 8), x, state, dtype)
