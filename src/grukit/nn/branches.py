"""One step of a layer from one state to many."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

import torch
from torch import Tensor
from torch.nn.functional import dropout

from grukit.nn.layer import Layer
from grukit.ops.contract import Arguments
from grukit.ops.projection import over_time, product, rows
from grukit.ops.sequence import recurrent_projections
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

    layer: in one direction, with no option but layers, dropout between them, biases and models, and
        of a GRU the place of its reset gate.
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
    shares = [over_time(lambda x: product(x, w_ih), part.to(dtype)) for part in inputs]
    if call.b_ih is not None:
        shares.append(rows(call.b_ih).unsqueeze(-2))
    cell, variant = layer.recurrence.cell, layer._variant
    recurrent = [partial(over_time, own) for own in recurrent_projections(cell, call, variant)]
    old = tuple(state.to(dtype).unsqueeze(-2) for state in states)
    new, _ = cell.step(reduce(torch.add, shares), old, old[0], recurrent, call, variant)
    return new[0]
