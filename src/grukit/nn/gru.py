"""The GRU layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack, overload

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from grukit.nn.arguments import LayerOptions, check_flags
from grukit.nn.layer import Layer
from grukit.ops import gru


class GRUTrace(NamedTuple):
    """What one layer and direction computed at every step, each [T, B, H].

    The reset gate r, the update gate z, the current memory content n and the final hidden
    state h of the four equations. Steps past a sequence's length are zero.
    """

    reset: Tensor
    update: Tensor
    memory: Tensor
    hidden: Tensor


class GRU(Layer):
    """A GRU layer that takes the place of torch.nn.GRU.

    >>> import torch
    >>> layer = GRU(input_size=10, hidden_size=20, num_layers=2)
    >>> output, h_n = layer(torch.zeros(5, 3, 10))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))

    Which GRU this is: with r the reset gate, z the update gate and n the current memory
    content,

        r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
        n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))
        h_t = (1 - z_t) * n_t + z_t * h_{t-1}

    as in torch, cuDNN and Keras' default.

    Arguments, their errors, parameter names, the state dict and the initial weights for a
    seed are those of torch.nn.GRU; it is not a subclass of it, since torch.compile refuses
    those. Beyond torch's:

    hidden_size: may be a list with one size per layer; the states are then tuples with one
        [D, B, H] for each.
    reset_after: if False, as in Cho et al. 2014 (arXiv:1406.1078v3), the reset gate acts before
        the product: n_t = tanh(W_in x_t + b_in + W_hn (r_t * h_{t-1}) + b_hn).
    proj_size: P; the output and what enters the recurrent products is p_t = W_hr h_t, of size P,
        while the state h_t is carried on whole. Only with reset_after.
    layer_norm: Ba et al. 2016 (arXiv:1607.06450), on both projections before the biases, with
        gains g: norm(W x) * g_i + b_i and norm(W h) * g_h + b_h. The rows of r and z are
        normalized together, those of n on their own.
    zoneout: Krueger et al. 2017 (arXiv:1606.01305). With h~_t the h_t above, h_t = k_t * h_{t-1}
        + (1 - k_t) * h~_t, where k_t is 1 with this probability, anew for every step, sequence
        and unit; in eval mode k is the probability itself.
    recurrent_dropout: Gal and Ghahramani 2016 (arXiv:1512.05287). h_{t-1} * m enters the
        recurrent products, with m 0 with this probability, else 1 / (1 - rate), the same for
        all steps and gates; z_t * h_{t-1} is not dropped.
    candidate_dropout: Semeniuta et al. 2016 (arXiv:1603.05118). h_t = (1 - z_t) * (n_t * m) +
        z_t * h_{t-1}, with one m for all steps.
    input_dropout: x_t * m enters each layer, with one m for all steps (Gal and Ghahramani
        2016); a number, or one for each layer.
    learned_state: the state before the first step where hx is None, and the state at a reset, is
        a parameter, zero at first.
    residual: from the second layer on a layer's input is added to its output.
    models: K models in one call, each with its own parameters [K, ...]; see forward.
    recompute: keep only the states for the backward pass, which computes the rest again: less
        memory, more time.
    backend: the backend that forward must use, but under function transforms; None leaves the
        choice to dispatch.

    Masks are drawn from torch's global generator: torch.manual_seed makes them again.
    """

    recurrence = gru
    Trace = GRUTrace

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int = 0,
        reset_after: bool = True,
        **options: Unpack[LayerOptions],
    ) -> None:
        check_flags(reset_after=reset_after)
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
            variant="after" if reset_after else "before",
            **options,
        )
        self.reset_after = reset_after

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(self, input: PackedSequence, hx: Any = None) -> tuple[PackedSequence, Tensor]: ...

    def forward(
        self,
        input: Any,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> Any:
        return super().forward(input, hx, lengths=lengths, resets=resets)

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        return {"reset_after": (self.reset_after, True)}
