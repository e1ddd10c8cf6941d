"""GRU-D: a GRU for input with gaps, at regular or irregular times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from grukit.core.errors import ParameterError, must_be
from grukit.nn.arguments import checked_lengths
from grukit.nn.cells.gru import GRUCell

State = tuple[Tensor, Tensor]
"""The hidden state [B, H] and the last observation of every column [B, I]."""

# Decays begin slow: where everything is observed, at delays of 1, little is forgotten by them.
_FIRST_DECAY = 0.1


def delays(mask: Tensor, times: Tensor | None = None) -> Tensor:
    """How long ago each column was last observed: delta of Che et al. 2018, [T, B, I].

    d_1 = 0, and d_t = s_t - s_(t-1) + (1 - m_(t-1)) d_(t-1), at times s. An observation counts from
    the next step on; until the first, the delay counts from the first step.

    mask: [T, B, I], 1 or True where observed.
    times: s, [T] or [T, B], not falling, in any unit; by default steps.

    >>> mask = torch.tensor([1, 0, 0, 1, 1]).reshape(5, 1, 1)
    >>> delays(mask).flatten()
    tensor([0., 1., 2., 3., 1.])
    """
    dtype = torch.get_default_dtype() if times is None else times.dtype
    step = torch.arange(mask.shape[0], device=mask.device)
    times = step.to(dtype) if times is None else times
    times = (times[:, None, None] if times.dim() == 1 else times[..., None]).expand(mask.shape)
    observed = torch.where(mask.bool(), step[:, None, None], 0).cummax(0).values
    before = torch.cat([torch.zeros_like(observed[:1]), observed[:-1]])
    return times - times.gather(0, before)


class GRUDCell(nn.Module):
    """One step of a GRU-D (Che et al. 2018, arXiv:1606.01865).

    >>> cell = GRUDCell(input_size=3, hidden_size=20)
    >>> x, mask = torch.randn(8, 3), torch.rand(8, 3) < 0.5
    >>> h, last = cell(x, mask, torch.zeros(8, 3))
    >>> h, last = cell(x, mask, torch.ones(8, 3), (h, last))
    >>> h.shape, last.shape
    (torch.Size([8, 20]), torch.Size([8, 3]))

    Takes the arguments of `GRUD`, whose equations these are; no time axis.
    """

    mean: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        mean: Tensor | Sequence[float] | None = None,
        reset_after: bool = False,
    ) -> None:
        super().__init__()
        where: dict[str, Any] = {"device": device, "dtype": dtype}
        self.input_size, self.hidden_size = input_size, hidden_size
        self.gru = GRUCell(2 * input_size, hidden_size, bias, reset_after=reset_after, **where)
        self.input_decay_weight = nn.Parameter(torch.empty(input_size, **where))
        self.input_decay_bias = nn.Parameter(torch.empty(input_size, **where))
        self.hidden_decay_weight = nn.Parameter(torch.empty(hidden_size, input_size, **where))
        self.hidden_decay_bias = nn.Parameter(torch.empty(hidden_size, **where))
        values = (
            torch.zeros(input_size, **where) if mean is None else torch.as_tensor(mean, **where)
        )
        if values.shape != (input_size,):
            raise ParameterError(must_be("mean", f"of shape [{input_size}]", list(values.shape)))
        self.register_buffer("mean", values.to(self.input_decay_weight.dtype).clone())
        self._reset_decays()

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.gru.reset_parameters()
        self._reset_decays()

    def forward(self, x: Tensor, mask: Tensor, delta: Tensor, state: State | None = None) -> State:
        """The state after a step; x, mask and delta are [B, I]."""
        check_observed(self, x, mask, delta, 2)
        before, last = self.first_state(x) if state is None else state
        last = torch.where(mask.bool(), x, last)
        given = self.filled(last, mask, delta)
        return self.gru(given, before * self.hidden_decay(delta)), last

    def first_state(self, x: Tensor) -> State:
        """Zeros, and the mean as the last observation; for x [..., B, I]."""
        return x.new_zeros((x.shape[-2], self.hidden_size)), self.mean.expand(x.shape[-2:])

    def filled(self, last: Tensor, mask: Tensor, delta: Tensor) -> Tensor:
        """What the GRU reads, [..., B, 2 I]: the decayed observations beside the mask.

        last: the last observation of each column, this step's own where it is observed.
        """
        delta = delta.to(last.dtype)
        decay = torch.exp(-relu(self.input_decay_weight * delta + self.input_decay_bias))
        decay = torch.where(mask.bool(), 1.0, decay)
        return torch.cat([decay * last + (1 - decay) * self.mean, mask.to(last.dtype)], dim=-1)

    def hidden_decay(self, delta: Tensor) -> Tensor:
        """The factors of the hidden state, [..., B, H]."""
        delta = delta.to(self.hidden_decay_weight.dtype)
        of_delta = nn.functional.linear(delta, self.hidden_decay_weight, self.hidden_decay_bias)
        return torch.exp(-relu(of_delta))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"

    def _reset_decays(self) -> None:
        # Positive, since a decay at 0 has no gradient.
        nn.init.uniform_(self.input_decay_weight, 0.0, _FIRST_DECAY)
        nn.init.uniform_(self.hidden_decay_weight, 0.0, _FIRST_DECAY / self.input_size)
        nn.init.zeros_(self.input_decay_bias)
        nn.init.zeros_(self.hidden_decay_bias)


class GRUD(nn.Module):
    """A GRU-D layer: what is missing fades from the input and from the state.

    >>> layer = GRUD(input_size=3, hidden_size=20)
    >>> x, mask = torch.randn(5, 8, 3), torch.rand(5, 8, 3) < 0.5
    >>> output, (h, last) = layer(x, mask, delays(mask))
    >>> output.shape, h.shape, last.shape
    (torch.Size([5, 8, 20]), torch.Size([8, 20]), torch.Size([8, 3]))

    Che, Purushotham, Cho, Sontag and Liu 2018, Recurrent Neural Networks for Multivariate Time
    Series with Missing Values (arXiv:1606.01865). With m the mask, d the time
    since the last observation (`delays`), x' that observation and x~ the mean,

        g_x = exp(-max(0, w_x * d_t + b_x))
        x^_t = m_t * x_t + (1 - m_t) * (g_x * x'_t + (1 - g_x) * x~)
        g_h = exp(-max(0, W_h d_t + b_h))
        h^ = g_h * h_{t-1}
        r_t = sigmoid(W_r x^_t + U_r h^ + V_r m_t + b_r)
        z_t = sigmoid(W_z x^_t + U_z h^ + V_z m_t + b_z)
        n_t = tanh(W x^_t + U (r_t * h^) + V m_t + b)
        h_t = (1 - z_t) * n_t + z_t * h^

    where z_t is 1 - z_t of the paper, as everywhere here. Until a column is first observed, x' is
    its mean. The last four lines are a step of `GRUCell` with reset_after=False, whose input is
    [x^, m] and whose state is h^: its parameters are those of ``cell.gru``. A step is a call of
    its own, so the layer takes several times as long as a `GRU`.

    input_size, hidden_size: I and H. bias: of the GRU; the decays always have theirs.
    batch_first: x, mask, delta and the output are [B, T, ...].
    mean: x~, [I]; zeros by default, right for standardized input. It is kept in the state dict.
    reset_after: if True, U acts before the reset gate does, as in torch.nn.GRU.

    delta may be in any unit; the decays begin slow for delays of about 1 where all is observed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        mean: Tensor | Sequence[float] | None = None,
        reset_after: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.batch_first = batch_first
        self.cell = GRUDCell(
            input_size, hidden_size, bias, device, dtype, mean=mean, reset_after=reset_after
        )

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.cell.reset_parameters()

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        delta: Tensor,
        hx: State | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor, State]:
        """The hidden state at every step [T, B, H], and the state after the last.

        x: [T, B, I], [B, T, I] with batch_first; anything, also NaN, where not observed.
        mask: like x, bool or 0 and 1: where x was observed. delta: like x, from `delays`.
        hx: the state before the first step, as this gives it; by default zeros and the mean.
        lengths: [B], how many steps of each sequence count; output past them is zero, and the
            state is that at the length.

        Raises ParameterError for shapes that do not fit.
        """
        check_observed(self, x, mask, delta, 3)
        if self.batch_first:
            x, mask, delta = (part.transpose(0, 1) for part in (x, mask, delta))
        counts = None
        if lengths is not None:
            steps = torch.arange(len(x), device=x.device)[:, None]
            counts = (steps < checked_lengths(lengths, x))[..., None]
        h, last = self.cell.first_state(x) if hx is None else hx
        observed = mask.bool() if counts is None else mask.bool() & counts
        seen = _carried(x, observed, last)
        given, decays = self.cell.filled(seen, mask, delta), self.cell.hidden_decay(delta)
        outputs = []
        for step, (of_x, decay) in enumerate(zip(given, decays, strict=True)):
            new = self.cell.gru(of_x, decay * h)
            h = new if counts is None else torch.where(counts[step], new, h)
            outputs.append(new if counts is None else torch.where(counts[step], new, 0.0))
        output = torch.stack(outputs) if outputs else x.new_zeros((0, *h.shape))
        last = seen[-1] if len(seen) else last
        return (output.transpose(0, 1) if self.batch_first else output), (h, last)

    def extra_repr(self) -> str:
        return "batch_first=True" if self.batch_first else ""


def check_observed(layer: Any, x: Tensor, mask: Tensor, delta: Tensor, dims: int) -> None:
    """Raise ParameterError unless the three are alike, of `dims` axes and the layer's size."""
    if x.dim() != dims or x.shape[-1] != layer.input_size:
        wanted = f"of {dims} axes, the last of size {layer.input_size}"
        raise ParameterError(must_be("x", wanted, list(x.shape)))
    for name, part in (("mask", mask), ("delta", delta)):
        if part.shape != x.shape:
            raise ParameterError(
                must_be(name, f"of the shape of x, {list(x.shape)}", list(part.shape))
            )


def _carried(x: Tensor, observed: Tensor, last: Tensor) -> Tensor:
    """The last observation of every column at every step, [T, B, I]; `last` before the first."""
    step = torch.arange(1, len(x) + 1, device=x.device)[:, None, None]
    newest = torch.where(observed, step, 0).cummax(0).values if len(x) else step.expand(x.shape)
    return torch.cat([last[None], x]).gather(0, newest)
