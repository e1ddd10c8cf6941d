"""Recurrent layers and cells that take the place of torch.nn's."""

from grukit.nn.cells import GRUCell, LSTMCell, RNNCell
from grukit.nn.gru import GRU, GRUTrace
from grukit.nn.lstm import LSTM, LSTMTrace
from grukit.nn.rnn import RNN, RNNTrace

LAYERS = (GRU, LSTM, RNN)
CELLS = (GRUCell, LSTMCell, RNNCell)
"""Every kind: the tests of conformance and the tables of the documentation go through them."""

__all__ = [
    "CELLS",
    "GRU",
    "LAYERS",
    "LSTM",
    "RNN",
    "GRUCell",
    "GRUTrace",
    "LSTMCell",
    "LSTMTrace",
    "RNNCell",
    "RNNTrace",
]
