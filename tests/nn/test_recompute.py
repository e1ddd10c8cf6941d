"""Layers that keep the states alone for their backward pass."""

from __future__ import annotations

import pytest
import torch
from torch.utils import _pytree as pytree

from grukit.nn import GRU, LSTM, RNN

LENGTHS = [6, 0, 3]
OPTIONS = {
    "layer_norm": True,
    "zoneout": 0.2,
    "recurrent_dropout": 0.2,
    "learned_state": True,
    "num_layers": 2,
    "bidirectional": True,
}


def training_step(layer, x):
    """Every gradient, and the number of values kept for them."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output, final = layer(x, lengths=LENGTHS)
    loss = output.square().sum() + sum(state.sin().sum() for state in pytree.tree_leaves(final))
    return torch.autograd.grad(loss, list(layer.parameters())), sum(kept.values())


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["plain", "options"])
@pytest.mark.parametrize(
    ("kind", "gates"), [(GRU, 4), (LSTM, 4), (RNN, 1)], ids=["GRU", "LSTM", "RNN"]
)
def test_the_same_gradients_from_less(kind, gates, options):
    layers = [
        kind(4, 16, dtype=torch.float64, recompute=recompute, **options)
        for recompute in (False, True)
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    (wanted, whole), (got, small) = (training_step(layer, x) for layer in layers)
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)
    assert whole - small == len(layers[0].all_weights) * gates * 6 * 3 * 16
