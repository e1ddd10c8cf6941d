"""Layers to convert, and how near two results must be."""

from __future__ import annotations

import torch

from grukit.nn import GRU, LSTM, RNN
from grukit.testing.parity import assert_close

FORMS = {
    "gru reset after": (GRU, {"reset_after": True}),
    "gru reset before": (GRU, {"reset_after": False}),
    "lstm": (LSTM, {}),
    "rnn tanh": (RNN, {"nonlinearity": "tanh"}),
    "rnn relu": (RNN, {"nonlinearity": "relu"}),
}
T, B, INPUT, H = 6, 3, 5, 4


def random_layer(form, num_layers=1, bias=True, bidirectional=False, inputs=INPUT, **options):
    kind, own = FORMS[form]
    layer = kind(inputs, H, num_layers, bias=bias, bidirectional=bidirectional, **own, **options)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    return layer


def states_of(layer, batch=B):
    """A random state before the first step: (h,), or (h, c) for an LSTM."""
    shape = (layer.num_layers * (1 + layer.bidirectional), batch, layer.hidden_size)
    return tuple(torch.randn(shape) for _ in range(1 + isinstance(layer, LSTM)))


def run(layer, x, states=None, lengths=None):
    """(output, h_n) or (output, h_n, c_n) of a layer of ours."""
    hx = None if states is None else states if isinstance(layer, LSTM) else states[0]
    with torch.no_grad():
        output, final = layer.eval()(x, hx, lengths=lengths)
    return (output, *(final if isinstance(layer, LSTM) else (final,)))


def compare(got, wanted):
    """AssertionError unless output and states are within 1e-5 of the other library's."""
    assert len(got) == len(wanted)
    for name, own, other in zip(("output", "h_n", "c_n"), got, wanted, strict=False):
        assert_close(own, torch.as_tensor(other), name, within=1e-5)


def assert_same_weights(got, wanted):
    """AssertionError unless both layers are of one kind and have exactly the same weights."""
    assert type(got) is type(wanted)
    assert repr(got) == repr(wanted)
    for (name, own), (other_name, other) in zip(
        got.state_dict().items(), wanted.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert own.dtype == other.dtype
        assert torch.equal(own, other), name
