"""The LSTM over a whole sequence: one layer, one direction."""

from grukit.ops.lstm.reference import LSTM
from grukit.ops.recurrence import Recurrence

lstm = Recurrence(LSTM)
