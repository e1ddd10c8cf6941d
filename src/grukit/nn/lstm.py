"""The LSTM layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from torch import Tensor

from grukit.nn.arguments import LayerOptions
from grukit.nn.layer import Layer
from grukit.ops import lstm


class LSTMTrace(NamedTuple):
    """What one layer and direction computed at every step, each [T, B, H].

    The input gate i, the forget gate f, the memory content g, the output gate o, the cell
    state c and the hidden state h of the equations; h is [T, B, P] with a projection. Steps past a
    sequence's length are zero.
    """

    input: Tensor
    forget: Tensor
    memory: Tensor
    output: Tensor
    cell: Tensor
    hidden: Tensor


class LSTM(Layer):
    """An LSTM layer that takes the place of torch.nn.LSTM.

    >>> import torch
    >>> layer = LSTM(input_size=10, hidden_size=20, num_layers=2)
    >>> output, (h_n, c_n) = layer(torch.zeros(5, 3, 10))
    >>> output.shape, h_n.shape, c_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]), torch.Size([2, 3, 20]))

    Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, without peepholes,
    as in torch, cuDNN and Keras:

        i_t = sigmoid(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)
        f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)
        g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)
        o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    States are pairs (h, c). Arguments, their errors, parameter names, the state dict and the
    initial weights for a seed are those of torch.nn.LSTM, with `proj_size` P: h_t =
    W_hr (o_t * tanh(c_t)), of size P (Sak et al. 2014, arXiv:1402.1128). Beyond torch's:

    hidden_size: may be a list with one size per layer; h and c are then tuples with one
        [D, B, H] for each.
    layer_norm: Ba et al. 2016 (arXiv:1607.06450), on both projections before the biases, with
        gains g, over the rows of all gates together: norm(W x) * g_i + b_i and
        norm(W h) * g_h + b_h; and on the cell state: h_t = o_t * tanh(norm(c_t) * g_c + b_c).
    zoneout: Krueger et al. 2017 (arXiv:1606.01305). With h~_t and c~_t the h_t and c_t above,
        h_t = k_t * h_{t-1} + (1 - k_t) * h~_t, and c_t likewise with a mask of its own; k_t is 1
        with this probability, anew for every step, sequence and unit; in eval mode k is the
        probability itself. One number for both, or a pair (hidden, cell).
    recurrent_dropout: Gal and Ghahramani 2016 (arXiv:1512.05287). h_{t-1} * m enters the
        recurrent products, with m 0 with this probability, else 1 / (1 - rate), the same for
        all steps and gates.
    candidate_dropout: Semeniuta et al. 2016 (arXiv:1603.05118). c_t = f_t * c_{t-1} + i_t *
        (g_t * m), with one m for all steps.
    input_dropout: x_t * m enters each layer, with one m for all steps (Gal and Ghahramani
        2016); a number, or one for each layer.
    learned_state: the states before the first step where hx is None, and those at a reset, are
        parameters, zero at first.
    residual: from the second layer on a layer's input is added to its output.
    models: K models in one call, each with its own parameters [K, ...]; see forward.
    recompute: keep only the states for the backward pass, which computes the rest again: less
        memory, more time.
    backend: the backend that forward must use, but under function transforms; None leaves the
        choice to dispatch.

    Masks are drawn from torch's global generator: torch.manual_seed makes them again.
    """

    recurrence = lstm
    Trace = LSTMTrace

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
        **options: Unpack[LayerOptions],
    ) -> None:
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
            variant="",
            **options,
        )
