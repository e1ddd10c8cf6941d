"""Every layer and cell against torch.nn's: values, final states and every gradient.

The tolerance is measured: our error against torch's own float64 result may be a small
multiple of the error that torch makes in the same dtype.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import grukit.nn
from grukit.nn import GRU, LSTM, RNN
from grukit.testing import compare, gradients
from grukit.testing.gradients import random_like

pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning"
)

LAYERS = {
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
    "lstm projected": ("LSTM", {"proj_size": 3}),
    "rnn": ("RNN", {}),
    "rnn relu": ("RNN", {"nonlinearity": "relu"}),
}
CELLS = {
    "gru": ("GRUCell", {}),
    "lstm": ("LSTMCell", {}),
    "rnn": ("RNNCell", {}),
    "rnn relu": ("RNNCell", {"nonlinearity": "relu"}),
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
LENGTHS = {"padded": None, "sorted": (7, 5, 5, 1), "unsorted": (2, 7, 1, 4)}


def pair(kind, **options):
    """Ours and torch's, with the same weights: numbers that bfloat16 holds exactly."""
    name, own = kind
    theirs = getattr(torch.nn, name)(5, 8, **own, **options)
    ours = getattr(grukit.nn, name)(5, 8, **own, **options)
    for parameter in theirs.parameters():
        parameter.data = parameter.data.bfloat16().float()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def states(module, *sizes):
    """h, and for an LSTM c, of random numbers."""
    h = torch.randn(*sizes, module.proj_size or 8)
    return (h, torch.randn(*sizes, 8)) if "LSTM" in type(module).__name__ else (h,)


def tensors(results):
    """Those of an output, a state, or both; of a PackedSequence its data."""
    if isinstance(results, PackedSequence):
        return [results.data]
    if isinstance(results, torch.Tensor):
        return [results]
    return [tensor for part in results for tensor in tensors(part)]


def pack(x, packing, batch_first=False):
    return pack_padded_sequence(
        x, torch.tensor(LENGTHS[packing]), batch_first, enforce_sorted=packing == "sorted"
    )


def results(module, x, state, dtype, packing="padded"):
    """What a call gives, and the gradients of input, state and parameters."""
    module = copy.deepcopy(module).to(dtype)
    x, *state = (t.bfloat16().to(dtype).requires_grad_() for t in (x, *state))
    given = x if packing == "padded" else pack(x, packing, module.batch_first)
    found = tensors(module(given, tuple(state) if len(state) == 2 else state[0]))
    values = {f"result {index}": value.detach() for index, value in enumerate(found)}
    sources = {"input": x, **dict(zip(("h0", "c0"), state, strict=False))}
    sources |= dict(module.named_parameters())
    seeds = [seed.bfloat16().to(dtype) for seed in random_like([t.double() for t in found])]
    return {**values, **gradients(found, sources, seeds)}


def compare_with_torch(ours, theirs, x, state, dtype, packing="padded"):
    # Near the kink of relu the rounding of bfloat16 decides the gradient.
    values_only = getattr(theirs, "nonlinearity", "tanh") == "relu" and dtype == torch.bfloat16
    oracle = results(theirs, x, state, torch.float64, packing)
    plain = results(theirs, x, state, dtype, packing)
    got = results(ours, x, state, dtype, packing)
    assert got.keys() == oracle.keys()
    for name, value in got.items():
        if values_only and name.startswith("d"):
            continue
        compare(value, oracle[name], plain[name], what=name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("packing", LENGTHS)
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer(kind, num_layers, bidirectional, bias, batch_first, packing, dtype):
    ours, theirs = pair(
        LAYERS[kind],
        num_layers=num_layers,
        bidirectional=bidirectional,
        bias=bias,
        batch_first=batch_first,
    )
    x = torch.randn((4, 7, 5) if batch_first else (7, 4, 5))
    state = states(ours, num_layers * (1 + bidirectional), 4)
    compare_with_torch(ours, theirs, x, state, dtype, packing)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_an_unbatched_layer(kind, dtype):
    ours, theirs = pair(LAYERS[kind], num_layers=2, bidirectional=True)
    compare_with_torch(ours, theirs, torch.randn(7, 5), states(ours, 4), dtype)


@pytest.mark.parametrize("packing", LENGTHS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_without_a_state(kind, packing):
    ours, theirs = pair(LAYERS[kind], num_layers=2, bidirectional=True)
    x = torch.randn(7, 4, 5)
    given = x if packing == "padded" else pack(x, packing)
    torch.testing.assert_close(ours(given), theirs(given))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("packing", ["sorted", "unsorted"])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_packed_sequence_comes_back_as_torchs(kind, packing, batch_first):
    ours, theirs = pair(LAYERS[kind], batch_first=batch_first)
    packed = pack(torch.randn((4, 7, 5) if batch_first else (7, 4, 5)), packing, batch_first)
    got, wanted = ours(packed)[0], theirs(packed)[0]
    assert isinstance(got, PackedSequence)
    for a, b in zip(got, wanted, strict=True):
        if b is None:
            assert a is None
        else:
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
@pytest.mark.parametrize("kind", LAYERS)
def test_the_seed_gives_torchs_dropout(kind, batch_first, bidirectional):
    """On the CPU: there is no such promise elsewhere."""
    ours, theirs = pair(
        LAYERS[kind],
        num_layers=3,
        dropout=0.5,
        batch_first=batch_first,
        bidirectional=bidirectional,
    )
    x = torch.randn(7, 4, 5)
    torch.manual_seed(1)
    wanted = theirs(x)
    torch.manual_seed(1)
    torch.testing.assert_close(ours(x), wanted)
    assert not torch.equal(ours(x)[0], wanted[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("batch", [(4,), ()], ids=["batched", "unbatched"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("kind", CELLS)
def test_a_cell(kind, bias, batch, dtype):
    ours, theirs = pair(CELLS[kind], bias=bias)
    compare_with_torch(ours, theirs, torch.randn(*batch, 5), states(ours, *batch), dtype)


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_without_a_state(kind):
    ours, theirs = pair(CELLS[kind])
    for x in (torch.randn(4, 5), torch.randn(5)):
        torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_step_by_step_is_torchs_layer(kind):
    """The names of a cell's parameters are the layer's without the suffix."""
    ours, _ = pair(CELLS[kind])
    _, theirs = pair(LAYERS[kind])
    ours.load_state_dict({k.removesuffix("_l0"): v for k, v in theirs.state_dict().items()})
    x, state, outputs = torch.randn(6, 4, 5), None, []
    for step in x:
        state = ours(step, state)
        outputs.append(tensors(state)[0])
    output, final = theirs(x)
    torch.testing.assert_close(torch.stack(outputs), output)
    torch.testing.assert_close(torch.stack(tensors(state)), torch.cat(tensors(final)))


@pytest.mark.parametrize("layer", [GRU, LSTM, RNN])
def test_parity_sees_a_scaled_gradient(layer):
    class Scaled(layer):
        def _weights(self, layer, reverse):
            weights = super()._weights(layer, reverse)
            w_hh = weights["w_hh"]
            return weights | {"w_hh": w_hh + 0.05 * (w_hh - w_hh.detach())}

    ours, theirs = Scaled(5, 8), getattr(torch.nn, layer.__name__)(5, 8)
    ours.load_state_dict(theirs.state_dict())
    x, state = torch.randn(7, 4, 5), states(theirs if layer is LSTM else ours, 1, 4)
    for dtype in DTYPES:
        with pytest.raises(AssertionError, match="dweight_hh_l0"):
            compare_with_torch(ours, theirs, x, state, dtype)
