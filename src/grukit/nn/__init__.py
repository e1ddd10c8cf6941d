"""Recurrent layers and cells that take the place of torch.nn's, and what composes them."""

from grukit.nn import convert, init
from grukit.nn.bidirectional import Bidirectional
from grukit.nn.cells import GRUCell, LSTMCell, MinGRUCell, RNNCell
from grukit.nn.gru import GRU, GRUTrace
from grukit.nn.gru_d import GRUD, GRUDCell, delays
from grukit.nn.lstm import LSTM, LSTMTrace
from grukit.nn.mingru import MinGRU, MinGRUTrace
from grukit.nn.models import stack_models, unstack_models
from grukit.nn.quantization import quantize
from grukit.nn.rnn import RNN, RNNTrace
from grukit.nn.stack import Stack

LAYERS = (GRU, LSTM, RNN, MinGRU)
CELLS = (GRUCell, LSTMCell, RNNCell, MinGRUCell)
"""Every kind: the tests of conformance and the tables of the documentation go through them."""

__all__ = [
    "CELLS",
    "GRU",
    "GRUD",
    "LAYERS",
    "LSTM",
    "RNN",
    "Bidirectional",
    "GRUCell",
    "GRUDCell",
    "GRUTrace",
    "LSTMCell",
    "LSTMTrace",
    "MinGRU",
    "MinGRUCell",
    "MinGRUTrace",
    "RNNCell",
    "RNNTrace",
    "Stack",
    "convert",
    "delays",
    "init",
    "quantize",
    "stack_models",
    "unstack_models",
]
