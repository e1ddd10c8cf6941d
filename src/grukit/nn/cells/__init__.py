"""Cells know one step."""

from grukit.nn.cells.gru import GRUCell
from grukit.nn.cells.lstm import LSTMCell
from grukit.nn.cells.mingru import MinGRUCell
from grukit.nn.cells.rnn import RNNCell

__all__ = ["GRUCell", "LSTMCell", "MinGRUCell", "RNNCell"]
