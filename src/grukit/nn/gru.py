"""The GRU layer: stacked, in one or both directions, over whole sequences."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from grukit.core.errors import ParameterError, must_be
from grukit.nn.cells.gru import check_flags, describe
from grukit.ops import gru, gru_trace
from grukit.ops.transforms import autocast_arguments, autocast_dtype, autocast_off


class GRUTrace(NamedTuple):
    """What one layer and direction computed at every step, each [T, B, H].

    The reset gate r, the update gate z, the current memory content n and the final hidden
    state h of the four equations. Steps past a sequence's length are zero.
    """

    reset: Tensor
    update: Tensor
    memory: Tensor
    hidden: Tensor


class GRU(nn.Module):
    """A GRU layer that takes the place of torch.nn.GRU.

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

    as in torch, cuDNN and Keras' default. With ``reset_after=False``, as in Cho et al. 2014
    (arXiv:1406.1078v3), n_t = tanh(W_in x_t + b_in + W_hn (r_t * h_{t-1}) + b_hn).

    Arguments, their errors, parameter names, the state dict and the initial weights for a
    seed are those of torch.nn.GRU; it is not a subclass of it, since torch.compile refuses
    those. Beyond torch's:

    reset_after: where the reset gate acts, see above.
    backend: the backend the op must use; None leaves the choice to dispatch.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
        backend: str | None = None,
    ) -> None:
        super().__init__()
        flags = {"bias": bias, "batch_first": batch_first, "reset_after": reset_after}
        _check_arguments(input_size, hidden_size, num_layers, dropout, flags)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.reset_after = reset_after
        self.backend = backend

        made = {"device": device, "dtype": dtype}
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else hidden_size * self._directions
            for reverse in range(self._directions):
                shapes = {"weight_ih": (inputs,), "weight_hh": (hidden_size,)}
                if bias:
                    shapes |= {"bias_ih": (), "bias_hh": ()}
                for name, shape in shapes.items():
                    parameter = nn.Parameter(torch.empty((3 * hidden_size, *shape), **made))
                    setattr(self, _name(name, layer, bool(reverse)), parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter from U(-1/sqrt(H), 1/sqrt(H)), as torch does."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do; here for code written for torch.nn.GRU."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of each layer and direction, in the order of torch.nn.GRU."""
        return [
            [weight for weight in self._weights(layer, reverse) if weight is not None]
            for layer in range(self.num_layers)
            for reverse in self._reverses
        ]

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(
        self, input: PackedSequence, hx: Tensor | None = None
    ) -> tuple[PackedSequence, Tensor]: ...

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Output of the last layer at every step, and the final state of every layer.

        input: [T, B, I], [B, T, I] with ``batch_first``, [T, I] unbatched, or a
            PackedSequence. T and B may be 0.
        hx: state before the first step [L * D, B, H] ([L * D, H] unbatched); zero if None.
        lengths: [B], in any order and on any device, how many steps of each sequence count;
            0 is allowed. Output past a length is zero, h_n is the state at the length.
        resets: bool, [T, B] ([B, T], [T] as the input): a new sequence starts at this step,
            from a zero state. With these several sequences lie end to end in one row.

        Returns output [T, B, D * H], laid out as the input, and h_n [L * D, B, H]. Raises
        ValueError or RuntimeError, as torch.nn.GRU, for arguments that do not fit.
        """
        if isinstance(input, PackedSequence):
            if lengths is not None or resets is not None:
                raise ParameterError("lengths and resets must be None for a PackedSequence")
            return self._forward_packed(input, hx)
        x, state, lengths, resets = self._time_major(input, hx, lengths, resets)
        output, final = self._run(x, state, lengths, resets)
        if input.dim() == 2:
            return output[:, 0], final[:, 0]
        return (output.transpose(0, 1) if self.batch_first else output), final

    def trace(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        *,
        layer: int = 0,
        reverse: bool = False,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> GRUTrace:
        """Gates, memory content and hidden state of one layer and direction at every step.

        Takes the arguments of ``forward``, except a PackedSequence, and applies no dropout;
        each part of the record is [T, B, H], laid out as the input. Raises ParameterError if
        there is no such layer or direction.
        """
        if isinstance(input, PackedSequence):
            raise ParameterError("input must be padded, with lengths=, got a PackedSequence")
        if not 0 <= layer < self.num_layers:
            raise ParameterError(must_be("layer", f"from 0 to {self.num_layers - 1}", layer))
        if reverse not in self._reverses:
            raise ParameterError(must_be("reverse", "False for one direction", reverse))
        x, state, lengths, resets = self._time_major(input, hx, lengths, resets)
        for below in range(layer):
            x, _ = self._run_layer(below, x, state, lengths, resets)
        h0 = state[layer * self._directions + int(reverse)]
        x, h0, w_ih, w_hh, b_ih, b_hh = autocast_arguments(x, h0, *self._weights(layer, reverse))
        with autocast_off(x.device):
            parts = gru_trace(
                x, h0, w_ih, w_hh, b_ih, b_hh, lengths, resets, self.reset_after, reverse
            )
        if input.dim() == 2:
            return GRUTrace(*(part[:, 0] for part in parts))
        if self.batch_first:
            return GRUTrace(*(part.transpose(0, 1) for part in parts))
        return GRUTrace(*parts)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + describe(
            num_layers=(self.num_layers, 1),
            bias=(self.bias, True),
            batch_first=(self.batch_first, False),
            dropout=(self.dropout, 0.0),
            bidirectional=(self.bidirectional, False),
            reset_after=(self.reset_after, True),
            backend=(self.backend, None),
        )

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _reverses(self) -> tuple[bool, ...]:
        return (False, True) if self.bidirectional else (False,)

    def _weights(self, layer: int, reverse: bool) -> tuple[Any, Any, Any, Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = [getattr(self, _name(name, layer, reverse), None) for name in names]
        return weights[0], weights[1], weights[2], weights[3]

    def _run(
        self, x: Tensor, state: Tensor, lengths: Tensor | None, resets: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        finals = []
        for layer in range(self.num_layers):
            x, ends = self._run_layer(layer, x, state, lengths, resets)
            finals += ends
            if layer < self.num_layers - 1:
                x = dropout(x, self.dropout, self.training)
        return x, torch.stack(finals)

    def _run_layer(
        self,
        layer: int,
        x: Tensor,
        state: Tensor,
        lengths: Tensor | None,
        resets: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        ends = [
            gru(
                x,
                state[layer * self._directions + int(reverse)],
                *self._weights(layer, reverse),
                lengths,
                resets,
                reset_after=self.reset_after,
                reverse=reverse,
                backend=self.backend,
            )
            for reverse in self._reverses
        ]
        outputs = [output for output, _ in ends]
        return (outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)), [
            final for _, final in ends
        ]

    def _time_major(
        self,
        input: Tensor,
        hx: Tensor | None,
        lengths: Tensor | Sequence[int] | None,
        resets: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """The arguments as [T, B, I], [L * D, B, H], [B] and [T, B]."""
        if input.dim() not in (2, 3):
            raise ValueError(f"GRU: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        if hx is not None and hx.dim() != input.dim():
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx should also be {input.dim()}-D but got {hx.dim()}-D tensor"
            )
        x = input[:, None] if not batched else input.transpose(0, 1) if self.batch_first else input
        if hx is not None and not batched:
            hx = hx[:, None]
        state = self._state(x, hx, batch=x.shape[1])
        if lengths is not None:
            lengths = _checked_lengths(lengths, x)
        if resets is not None:
            if resets.shape != input.shape[:-1] or resets.dtype != torch.bool:
                got = (list(resets.shape), resets.dtype)
                raise ParameterError(
                    must_be("resets", f"bool of shape {list(input.shape[:-1])}", got)
                )
            resets = resets.to(x.device)
            if not batched:
                resets = resets[:, None]
            elif self.batch_first:
                resets = resets.transpose(0, 1)
        return x, state, lengths, resets

    def _state(self, x: Tensor, hx: Tensor | None, batch: int) -> Tensor:
        """The initial state, after the checks that torch.nn.GRU makes on input and state."""
        dtype = self.weight_ih_l0.dtype
        casts = autocast_dtype(x) is not None
        if x.dtype != dtype and not casts:
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({x.dtype})"
            )
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {x.shape[-1]}"
            )
        expected = (self.num_layers * self._directions, batch, self.hidden_size)
        if hx is None:
            return x.new_zeros(expected)
        if hx.shape != expected:
            raise RuntimeError(f"Expected hidden size {expected}, got {list(hx.shape)}")
        if hx.dtype != x.dtype and not casts:
            raise RuntimeError(f"hx must be {x.dtype}, as the input, got {hx.dtype}")
        return hx

    def _forward_packed(
        self, packed: PackedSequence, hx: Tensor | None
    ) -> tuple[PackedSequence, Tensor]:
        data, batch_sizes, order, inverse = packed
        if data.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {data.dim()}")
        state = self._state(data, hx, batch=int(batch_sizes[0]))
        if order is not None:
            state = state.index_select(1, order)
        x, lengths = pad_packed_sequence(PackedSequence(data, batch_sizes))
        output, final = self._run(x, state, lengths.to(x.device), None)
        again = pack_padded_sequence(output, lengths)
        if inverse is not None:
            final = final.index_select(1, inverse)
        return PackedSequence(again.data, batch_sizes, order, inverse), final


def _name(name: str, layer: int, reverse: bool) -> str:
    return f"{name}_l{layer}{'_reverse' if reverse else ''}"


def _checked_lengths(lengths: Tensor | Sequence[int], x: Tensor) -> Tensor:
    """Lengths as int64 on the device of x; values are checked where that costs no wait."""
    time, batch = x.shape[:2]
    lengths = torch.as_tensor(lengths)
    if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
        got = (list(lengths.shape), lengths.dtype)
        raise ParameterError(must_be("lengths", f"integers of shape [{batch}]", got))
    readable = (
        lengths.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
    )
    if readable and batch and not (int(lengths.min()) >= 0 and int(lengths.max()) <= time):
        raise ParameterError(must_be("lengths", f"from 0 to T = {time}", lengths.tolist()))
    return lengths.to(device=x.device, dtype=torch.int64)


def _check_arguments(
    input_size: Any, hidden_size: Any, num_layers: Any, drop: Any, flags: dict[str, Any]
) -> None:
    """The checks of torch.nn.GRU, with its types of error."""
    is_number = isinstance(drop, numbers.Real) and not isinstance(drop, bool)
    if not is_number or not 0 <= float(drop) <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            f"element being zeroed, got {drop!r}"
        )
    check_flags(**flags)
    for name, value in {"input_size": input_size, "hidden_size": hidden_size}.items():
        if not isinstance(value, int):
            raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero, got {value}")
    if num_layers <= 0:
        raise ValueError(f"num_layers must be greater than zero, got {num_layers}")
    if drop and num_layers == 1:
        warnings.warn(
            "dropout acts between layers, so a non-zero dropout expects num_layers greater "
            f"than 1, but got dropout={drop} and num_layers={num_layers}",
            stacklevel=3,
        )
