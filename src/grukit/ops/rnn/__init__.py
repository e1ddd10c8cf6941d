"""The plain RNN over a whole sequence: one layer, one direction."""

from grukit.ops.native import int8, native
from grukit.ops.recurrence import Recurrence
from grukit.ops.rnn.reference import RNN

rnn = Recurrence(RNN, (native(RNN), int8(RNN)))
