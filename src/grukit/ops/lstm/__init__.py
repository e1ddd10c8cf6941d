"""The LSTM over a whole sequence: one layer, one direction."""

from grukit.ops.lstm.reference import LSTM
from grukit.ops.native import int8, native
from grukit.ops.recurrence import Recurrence

lstm = Recurrence(LSTM, (native(LSTM), int8(LSTM)))
