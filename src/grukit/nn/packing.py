"""PackedSequence in and out."""

from __future__ import annotations

from typing import Any

from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from grukit.core.errors import ParameterError


def run_packed(
    layer: Any, packed: PackedSequence, hx: Any, lengths: Any, resets: Any
) -> tuple[PackedSequence, Any]:
    """The layer's results for a packed input, by way of a padded one."""
    if lengths is not None or resets is not None:
        raise ParameterError("lengths and resets must be None for a PackedSequence")
    if packed.data.dim() != 2:
        raise RuntimeError(f"input must have 2 dimensions, got {packed.data.dim()}")
    batch_first, order = layer.batch_first, packed.sorted_indices
    input, lengths = pad_packed_sequence(packed, batch_first)
    output, state = layer.forward(input, hx, lengths=lengths)
    if output.dim() != 3:
        raise ParameterError("input must be padded, with lengths=, for several models")
    if order is not None:
        output = output.index_select(0 if batch_first else 1, order)
        lengths = lengths[order.to(lengths.device)]
    data = pack_padded_sequence(output, lengths, batch_first).data
    return PackedSequence(data, packed.batch_sizes, order, packed.unsorted_indices), state
