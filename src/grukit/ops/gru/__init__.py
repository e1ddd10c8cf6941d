"""The GRU over a whole sequence: one layer, one direction."""

from grukit.ops.gru.reference import GRU
from grukit.ops.native import int8, native
from grukit.ops.recurrence import Recurrence

gru = Recurrence(GRU, (native(GRU), int8(GRU)))
