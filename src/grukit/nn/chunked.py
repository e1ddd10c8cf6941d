"""Both directions of time with a bounded look into the future."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer


class ChunkedBidirectional(nn.Module):
    """A layer that reads ahead without end, and one that reads back within chunks of time.

    >>> from grukit.nn import GRU
    >>> layer = ChunkedBidirectional(GRU(10, 20), GRU(10, 20), chunk=16)
    >>> output, state = layer(torch.zeros(50, 3, 10), lengths=[50, 2, 4])
    >>> output.shape, state.shape
    (torch.Size([50, 3, 40]), torch.Size([1, 3, 20]))

    So a stream can be answered chunk by chunk, with most of what both directions are good for
    (as Zhang et al. 2016, arXiv:1510.08983, without frames that chunks share). The chunks of all
    sequences are read back side by side.

    forward, backward: layers as `Bidirectional` takes, of time first.
    chunk: steps; the first begins with the input.

    Raises ParameterError for a chunk below 1 and for layers with batch_first.
    """

    batch_first = False

    def __init__(self, forward: nn.Module, backward: nn.Module, chunk: int) -> None:
        super().__init__()
        check({"chunk": chunk}, {"chunk": integer(at_least=1)})
        if forward.batch_first or backward.batch_first:
            raise ParameterError(must_be("batch_first", "False", True))
        self.forward_layer, self.backward_layer, self.chunk = forward, backward, chunk

    def forward(
        self,
        input: Tensor,
        hx: Any = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: None = None,
    ) -> tuple[Tensor, Any]:
        """[T, B, I] to the outputs of both at every step, and the state of the one that reads
        ahead; with it the next call goes on, where this one ended with a whole chunk.

        lengths: [B], how many steps count; output past them is zero. resets: none.
        """
        if resets is not None:
            raise ParameterError(must_be("resets", "None for chunks", "some"))
        if lengths is not None:
            lengths = torch.as_tensor(lengths, device=input.device)
        ahead, state = self.forward_layer(input, hx, lengths=lengths)
        return torch.cat([ahead, self._back(input, lengths)], dim=-1), state

    def _back(self, input: Tensor, lengths: Tensor | None) -> Tensor:
        steps, batch, size = self.chunk, input.shape[1], len(input)
        count = -(-size // steps)
        chunks = self._as_chunks(pad(input, (0, 0, 0, 0, 0, count * steps - size)), count)
        ends = torch.full((batch,), size, device=input.device) if lengths is None else lengths
        first = steps * torch.arange(count, device=input.device)[:, None]
        inside = (ends - first).clamp(0, steps).flatten()
        # Where each step comes from: what counts of a chunk is turned round, and so is the rest.
        order = (inside - 1 - torch.arange(steps, device=input.device)[:, None]) % steps
        back, _ = self.backward_layer(_taken(chunks, order), lengths=inside)
        back = _taken(back, order).unflatten(1, (count, batch)).transpose(0, 1)
        return back.flatten(0, 1)[:size]

    def _as_chunks(self, input: Tensor, count: int) -> Tensor:
        """[count * chunk, B, I] to [chunk, count * B, I]."""
        return input.unflatten(0, (count, self.chunk)).transpose(0, 1).flatten(1, 2)


def _taken(steps: Tensor, order: Tensor) -> Tensor:
    """Steps [T, N, I] in the order [T, N]."""
    return steps.gather(0, order[..., None].expand(-1, -1, steps.shape[-1]))
