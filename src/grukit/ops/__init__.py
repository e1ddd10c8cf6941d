"""Numerics on tensors: for each recurrence its cell written down, and its backends."""

from grukit.ops.gru import gru
from grukit.ops.lstm import lstm
from grukit.ops.mingru import mingru
from grukit.ops.rnn import rnn

RECURRENCES = {recurrence.cell.name: recurrence for recurrence in (gru, lstm, rnn, mingru)}

__all__ = ["RECURRENCES", "gru", "lstm", "mingru", "rnn"]
