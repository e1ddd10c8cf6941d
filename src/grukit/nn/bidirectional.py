"""Two layers on one sequence, one of them from its end to its beginning."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import PackedSequence

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, one_of
from grukit.nn.composition import check_widths, shared_batch_first, states_of_parts
from grukit.nn.packing import run_packed


class Bidirectional(nn.Module):
    """Any layer in both directions of time (Schuster and Paliwal 1997).

    >>> from grukit.nn import GRU
    >>> layer = Bidirectional(GRU(input_size=10, hidden_size=20))
    >>> output, (ahead, back) = layer(torch.zeros(5, 3, 10), lengths=[5, 2, 4])
    >>> output.shape, ahead.shape, back.shape
    (torch.Size([5, 3, 40]), torch.Size([1, 3, 20]), torch.Size([1, 3, 20]))

    The layer backward reads every sequence from its last step to its first; lengths and resets
    say where those are. Its output is put back in the order of the input.

    forward: the layer that reads ahead: a module that is called as layer(input, hx=None, *,
        lengths=None, resets=None), gives (output, state) and has batch_first.
    backward: the layer that reads back; a copy of forward with parameters of its own, drawn by
        its reset_parameters(), if None. The same layer twice shares its parameters.
    merge: "concat" the outputs (forward first), or take their "sum" or "mean".

    The parts are the attributes forward_layer and backward_layer. Raises ParameterError for
    parts that are no layers or differ in batch_first.
    """

    def __init__(
        self, forward: nn.Module, backward: nn.Module | None = None, merge: str = "concat"
    ) -> None:
        super().__init__()
        check({"merge": merge}, {"merge": one_of("concat", "sum", "mean")})
        if backward is None:
            backward = copy.deepcopy(forward)
            if not hasattr(backward, "reset_parameters"):
                wanted = "a layer, since forward has no reset_parameters() to draw a copy by"
                raise ParameterError(must_be("backward", wanted, None))
            backward.reset_parameters()  # type: ignore[operator]
        self.batch_first = shared_batch_first((forward, backward))
        self.forward_layer = forward
        self.backward_layer = backward
        self.merge = merge

    def reset_parameters(self) -> None:
        """Draw the parameters of both layers."""
        self.forward_layer.reset_parameters()  # type: ignore[operator]
        self.backward_layer.reset_parameters()  # type: ignore[operator]

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Sequence[Any] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, tuple[Any, Any]]:
        """Merged output at every step, and the pair of the final states of both layers.

        input: [T, B, I], [B, T, I] with batch_first, [T, I] unbatched, or a PackedSequence.
            T and B may be 0.
        hx: the pair of states before the first step of each layer, each as that layer takes it
            or None. The layer backward starts from its own at the end of the sequence.
        lengths: [B], in any order and on any device, how many steps of each sequence count;
            0 is allowed. Output past a length is zero, as the layers'.
        resets: bool, [T, B] ([B, T], [T] as the input): a new sequence starts at this step.

        Returns (output, (state forward, state backward)). Raises ParameterError for an hx that
        is no pair, and what the layers raise.
        """
        if isinstance(input, PackedSequence):
            return run_packed(self, input, hx, lengths, resets)
        state_ahead, state_back = states_of_parts(hx, 2)
        ahead, state_ahead = self.forward_layer(input, state_ahead, lengths=lengths, resets=resets)

        time = -3 if input.dim() > 2 and not self.batch_first else -2
        order = None if lengths is None else self._order(input, lengths, time)
        reversed_input = _reverse(input, time, order)
        if resets is not None:
            resets = torch.as_tensor(resets, device=input.device)
            resets = _reverse_resets(resets, time, order)
        back, state_back = self.backward_layer(
            reversed_input, state_back, lengths=lengths, resets=resets
        )
        back = _reverse(back, time, order)

        return self._merge(ahead, back), (state_ahead, state_back)

    def extra_repr(self) -> str:
        return "" if self.merge == "concat" else f"merge={self.merge!r}"

    def _order(self, input: Tensor, lengths: Tensor | Sequence[int], time: int) -> Tensor:
        """The step each step is taken from, as wide as the input but for its features.

        Modulo T the steps that count and the padding are each reversed among themselves.
        """
        steps = torch.arange(input.shape[time], device=input.device)
        lengths = torch.as_tensor(lengths, device=input.device)
        order = (lengths.unsqueeze(-2) - 1 - steps[:, None]) % input.shape[time]
        if input.dim() == 2:
            return order
        return (order.mT if self.batch_first else order)[..., None]

    def _merge(self, ahead: Tensor, back: Tensor) -> Tensor:
        if self.merge == "concat":
            return torch.cat([ahead, back], dim=-1)
        check_widths(f"merge={self.merge!r}", ahead, back)
        return ahead + back if self.merge == "sum" else (ahead + back) / 2


def _reverse(x: Tensor, time: int, order: Tensor | None) -> Tensor:
    """x in reversed time, within the lengths; its own inverse."""
    if order is None:
        return x.flip(time)
    wide, index = torch.broadcast_tensors(x, order)
    return wide.gather(time, index)


def _reverse_resets(resets: Tensor, time: int, order: Tensor | None) -> Tensor:
    """The starts in reversed time: a sequence that starts at step t makes t - 1 start one.

    In reversed time that is one step later than t. What falls beyond a length is not read.
    """
    resets = _reverse(resets[..., None], time, order).movedim(time, -1)
    return pad(resets, (1, 0))[..., :-1].movedim(-1, time)[..., 0]
