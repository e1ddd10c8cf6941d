"""Layers and cells from and to torch.nn."""

from __future__ import annotations

import pytest
import torch
from convert_cases import INPUT, B, H, T, assert_same_weights, compare, run, states_of

from grukit import nn
from grukit.core.errors import ParameterError
from grukit.nn import LSTM, RNN
from grukit.nn.cells import GRUCell, LSTMCell, RNNCell
from grukit.nn.convert import from_torch, to_torch

KINDS = {
    "gru": (torch.nn.GRU, {}),
    "lstm": (torch.nn.LSTM, {}),
    "lstm with a projection": (torch.nn.LSTM, {"proj_size": 3}),
    "rnn tanh": (torch.nn.RNN, {}),
    "rnn relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
}
CELLS = {
    "gru": (torch.nn.GRUCell, GRUCell, {}),
    "lstm": (torch.nn.LSTMCell, LSTMCell, {}),
    "rnn tanh": (torch.nn.RNNCell, RNNCell, {}),
    "rnn relu": (torch.nn.RNNCell, RNNCell, {"nonlinearity": "relu"}),
}
every_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])


def run_torch(layer, x, states):
    with torch.no_grad():
        output, final = layer(x, states if isinstance(layer, torch.nn.LSTM) else states[0])
    return (output, *(final if isinstance(final, tuple) else (final,)))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@every_bias
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_layers(kind, num_layers, bidirectional, bias):
    make, own = KINDS[kind]
    theirs = make(INPUT, H, num_layers, bias=bias, bidirectional=bidirectional, **own).eval()
    ours = from_torch(theirs)
    x, states = torch.randn(T, B, INPUT), list(states_of(ours))
    if own.get("proj_size"):
        states[0] = states[0][..., : own["proj_size"]].contiguous()
    states = tuple(states)
    wanted = run_torch(theirs, x, states)
    compare(run(ours, x, states), wanted)
    again = to_torch(ours)
    assert type(again) is make
    for got, exact in zip(run_torch(again, x, states), wanted, strict=True):
        assert torch.equal(got, exact)
    assert_same_weights(from_torch(again), ours)


@every_bias
@pytest.mark.parametrize("kind", CELLS)
def test_cells(kind, bias):
    make, own_kind, own = CELLS[kind]
    theirs = make(INPUT, H, bias, **own)
    ours = from_torch(theirs)
    assert type(ours) is own_kind
    x, h = torch.randn(B, INPUT), torch.randn(B, H)
    state = (h, torch.randn(B, H)) if make is torch.nn.LSTMCell else h
    torch.testing.assert_close(ours(x, state), theirs(x, state))
    again = to_torch(ours)
    assert type(again) is make
    torch.testing.assert_close(again(x, state), theirs(x, state), rtol=0, atol=0)


def test_settings_mode_dtype_and_what_is_frozen_come_along():
    theirs = torch.nn.GRU(5, 4, 2, batch_first=True, dropout=0.25, dtype=torch.float64).eval()
    theirs.weight_hh_l1.requires_grad_(False)
    for layer in (from_torch(theirs), to_torch(from_torch(theirs))):
        assert (layer.batch_first, layer.dropout, layer.training) == (True, 0.25, False)
        frozen = [name for name, value in layer.named_parameters() if not value.requires_grad]
        assert frozen == ["weight_hh_l1"]
        assert layer.weight_ih_l0.dtype == torch.float64


def test_the_copy_is_independent():
    theirs = torch.nn.GRU(5, 4)
    ours = from_torch(theirs)
    with torch.no_grad():
        theirs.weight_ih_l0.zero_()
    assert ours.weight_ih_l0.abs().sum() > 0


class Own(torch.nn.GRU):
    pass


REFUSED = {
    "reset before": (nn.GRU(5, 4, reset_after=False), "reset_after must be True"),
    "sizes per layer": (nn.GRU(5, [4, 3]), "hidden_size must be one size"),
    "a projection": (nn.GRU(5, 4, proj_size=3), "torch.nn.GRU has no proj_size"),
    "layer norm": (LSTM(5, 4, layer_norm=True), "torch.nn.LSTM has no layer_norm"),
    "zoneout": (LSTM(5, 4, zoneout=(0.0, 0.5)), r"no zoneout, so it must be off, got \(0.0, 0.5\)"),
    "recurrent dropout": (
        RNN(5, 4, recurrent_dropout=0.5),
        "torch.nn.RNN has no recurrent_dropout",
    ),
    "candidate dropout": (nn.GRU(5, 4, candidate_dropout=0.5), "no candidate_dropout"),
    "input dropout": (nn.GRU(5, 4, 2, input_dropout=(0.0, 0.5)), "no input_dropout"),
    "a learned state": (nn.GRU(5, 4, learned_state=True), "no learned_state"),
    "residual": (nn.GRU(5, 4, 2, residual=True), "no residual"),
    "models": (nn.GRU(5, 4, models=3), "no models"),
    "an option of a cell": (GRUCell(5, 4, layer_norm=True), "torch.nn.GRUCell has no layer_norm"),
    "a layer of torch": (torch.nn.GRU(5, 4), "layer must be a GRU, LSTM or RNN of grukit.nn"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_torch_does_not_have_is_refused(what):
    layer, message = REFUSED[what]
    with pytest.raises(ParameterError, match=message):
        to_torch(layer)


@pytest.mark.parametrize("module", [Own(5, 4), nn.GRU(5, 4), torch.nn.Linear(5, 4), None])
def test_what_is_no_layer_of_torch_is_refused(module):
    with pytest.raises(ParameterError, match=r"module must be a GRU, LSTM or RNN of torch\.nn"):
        from_torch(module)


def test_options_that_are_off_are_no_reason():
    layer = LSTM(5, 4, 2, zoneout=(0.0, 0.0), input_dropout=(0.0, 0.0))
    assert type(to_torch(layer)) is torch.nn.LSTM
