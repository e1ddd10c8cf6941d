"""Numerics on tensors: for each recurrence a contract, its definition, and its backends."""

from grukit.ops.gru import BACKENDS as _GRU_BACKENDS
from grukit.ops.gru import gru, gru_reference, gru_trace

BACKENDS = {"gru": _GRU_BACKENDS}

__all__ = ["BACKENDS", "gru", "gru_reference", "gru_trace"]
