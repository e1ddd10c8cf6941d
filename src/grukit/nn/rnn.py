"""The plain RNN layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Unpack

from torch import Tensor

from grukit.nn.arguments import LayerOptions, check_nonlinearity
from grukit.nn.layer import Layer
from grukit.ops import rnn


class RNNTrace(NamedTuple):
    """What one layer and direction computed at every step, each [T, B, H].

    The memory content, which is the state before zoneout and projection, and the hidden state,
    [T, B, P] with a projection. Steps past a sequence's length are zero.
    """

    memory: Tensor
    hidden: Tensor


class RNN(Layer):
    """A plain recurrent layer that takes the place of torch.nn.RNN.

    >>> import torch
    >>> layer = RNN(input_size=10, hidden_size=20, num_layers=2, nonlinearity="relu")
    >>> output, h_n = layer(torch.zeros(5, 3, 10))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))

    The network of Elman 1990:

        h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

    or relu in the place of tanh. Arguments, their errors, parameter names, the state dict and
    the initial weights for a seed are those of torch.nn.RNN. Beyond torch's:

    hidden_size: may be a list with one size per layer; the states are then tuples with one
        [D, B, H] for each.
    proj_size: P; with m_t the h_t above, h_t = W_hr m_t, of size P.
    layer_norm: Ba et al. 2016 (arXiv:1607.06450), on both projections before the biases, with
        gains g: norm(W x) * g_i + b_i and norm(W h) * g_h + b_h.
    zoneout: Krueger et al. 2017 (arXiv:1606.01305). With h~_t the h_t above, h_t = k_t * h_{t-1}
        + (1 - k_t) * h~_t, where k_t is 1 with this probability, anew for every step, sequence
        and unit; in eval mode k is the probability itself.
    recurrent_dropout: Gal and Ghahramani 2016 (arXiv:1512.05287). h_{t-1} * m enters the
        recurrent product, with m 0 with this probability, else 1 / (1 - rate), the same for
        all steps.
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

    There is no candidate_dropout: a plain RNN has no candidate apart from its state. Masks are
    drawn from torch's global generator: torch.manual_seed makes them again.
    """

    recurrence = rnn
    Trace = RNNTrace

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        proj_size: int = 0,
        **options: Unpack[LayerOptions],
    ) -> None:
        check_nonlinearity(nonlinearity)
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
            variant=nonlinearity,
            **options,
        )
        self.nonlinearity = nonlinearity

    def _own_settings(self) -> dict[str, tuple[Any, Any]]:
        return {"nonlinearity": (self.nonlinearity, "tanh")}
