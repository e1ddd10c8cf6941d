"""Recurrent layers and cells that take the place of torch.nn's."""

from grukit.nn.cells import GRUCell, LSTMCell, RNNCell
from grukit.nn.gru import GRU, GRUTrace
from grukit.nn.lstm import LSTM, LSTMTrace
from grukit.nn.rnn import RNN, RNNTrace

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "GRUTrace",
    "LSTMCell",
    "LSTMTrace",
    "RNNCell",
    "RNNTrace",
]
