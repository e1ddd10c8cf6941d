"""The minGRU layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from torch import Tensor

from grukit.nn.arguments import LayerOptions, check_flags
from grukit.nn.layer import Layer
from grukit.ops import mingru


class MinGRUTrace(NamedTuple):
    """What one layer and direction computed at every step, each [T, B, H].

    The update gate z, the memory content n and the hidden state h. Steps past a sequence's length
    are zero.
    """

    update: Tensor
    memory: Tensor
    hidden: Tensor


class MinGRU(Layer):
    """A minGRU layer: a GRU whose gates see the input alone, so that time is computed in parallel.

    >>> import torch
    >>> layer = MinGRU(input_size=10, hidden_size=20, num_layers=2)
    >>> output, h_n = layer(torch.zeros(5, 3, 10))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))

    The network of Feng et al. 2024 (arXiv:2410.01201): with z the update gate and n the memory
    content,

        z_t = sigmoid(W_iz x_t + b_iz)
        n_t = W_in x_t + b_in
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    There is no reset gate, no recurrent weight and no tanh. As in every GRU here z carries the past
    on; the paper writes h_t = (1 - z_t) * h_{t-1} + z_t * n_t, which is this with the rows of z and
    their bias negated.

    It is called like GRU and takes the same arguments. Its parameters are ``weight_ih`` [2H, I] and
    ``bias_ih`` [2H], rows in the order z, n, with the suffixes of torch; the initial weights are
    drawn from U(-1/sqrt(H), 1/sqrt(H)). Of the options of GRU:

    positive: if True, n_t = g(W_in x_t + b_in) with g(v) = v + 0.5 for v >= 0, else sigmoid(v), so
        that memory and state stay above 0: the form of the paper's appendix B, which computes it in
        log space. Here nothing is divided and no logarithm taken, so that both forms are stable.
    layer_norm: on the product before the bias, norm(W x) * g_i + b_i, for each of z and n on its
        own.
    zoneout, candidate_dropout, input_dropout, learned_state, residual, a list as hidden_size,
        models, recompute, backend: as in GRU.

    There is neither recurrent_dropout, since nothing of the state enters a product, nor proj_size.
    """

    recurrence = mingru
    Trace = MinGRUTrace

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        positive: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        check_flags(positive=positive)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            variant="positive" if positive else "plain",
            **options,
        )
        self.positive = positive

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        return {"positive": (self.positive, False)}
