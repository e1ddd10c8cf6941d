"""The layers by the names of their cells: what the `cell` of an estimator or a comparison is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from grukit.nn.gru import GRU
from grukit.nn.lstm import LSTM
from grukit.nn.mingru import MinGRU
from grukit.nn.rnn import RNN

LAYER_OF: Mapping[str, Callable[..., Any]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "gru_before": partial(GRU, reset_after=False),
    "mingru": MinGRU,
}
"""By "rnn", "lstm", "gru", "gru_before" or "mingru" a layer, with the arguments that all have. In
"gru_before" the reset gate acts on the state before the product, as in Cho et al. 2014
(arXiv:1406.1078v3), in "gru" on the product."""
