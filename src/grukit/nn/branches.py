"""One step of a layer from one state to many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import dropout

from grukit.nn.layer import Layer
from grukit.ops.contract import Arguments
from grukit.ops.projection import over_time, product, rows
from grukit.ops.transforms import autocast_off


def branches(layer: Layer, inputs: Sequence[Tensor], state: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The output of one step from the state of a row, for each of its S inputs, [B, S, H].

    >>> from grukit.nn import GRU
    >>> layer = GRU(10, 20, batch_first=True)
    >>> x, h = torch.randn(3, 4, 10), torch.randn(1, 3, 20)
    >>> apart, _ = layer(x[:, 2:3], h)
    >>> torch.allclose(branches(layer, [x], h)[:, 2:3], apart, atol=1e-6)
    True

    What branches share is multiplied once: the state of a row, and each summand of the inputs as
    it is, since the product of a sum is the sum of the products.

    layer: in one direction, with a step of one recurrent product or none (no GRU with
        reset_after=False), and no option but layers, dropout between them, biases and models.
    inputs: summands of the inputs, [B or 1, S or 1, I], with models [K, B or 1, S or 1, I].
    """
    columns = [part.unbind(-3) for part in (state if isinstance(state, tuple) else (state,))]
    with autocast_off(inputs[0].device):
        for index in range(layer.num_layers):
            if index:
                inputs = [dropout(inputs[0], layer.dropout, layer.training)]
            inputs = [_step(layer, index, inputs, [column[index] for column in columns])]
    return inputs[0]


def _step(layer: Layer, index: int, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> Tensor:
    call = Arguments(inputs[0], states[0], **layer._weights(index, False))
    w_ih, dtype = call.w_ih, call.w_ih.dtype
    before = [state.to(dtype) for state in states]
    shares = [over_time(lambda x: product(x, w_ih), part.to(dtype)) for part in inputs]
    if call.b_ih is not None:
        shares.append(rows(call.b_ih).unsqueeze(-2))
    recurrent = []
    if call.w_hh is not None:
        b_hh = None if call.b_hh is None else rows(call.b_hh)
        of_h = product(before[0], call.w_hh, b_hh).unsqueeze(-2)
        recurrent = [lambda _: of_h]
    new, _ = layer.recurrence.cell.step(
        reduce(torch.add, shares),
        tuple(state.unsqueeze(-2) for state in before),
        None,
        recurrent,
        call,
        layer._variant,
    )
    return new[0]
