"""The GRU over a whole sequence: one layer, one direction."""

from grukit.ops.gru.op import BACKENDS, gru
from grukit.ops.gru.reference import gru_reference, gru_trace

__all__ = ["BACKENDS", "gru", "gru_reference", "gru_trace"]
