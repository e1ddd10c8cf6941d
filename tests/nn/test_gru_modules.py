"""What a module must survive: meta, copies, parametrizations, hooks of other kinds."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import parametrizations

from grukit.nn import GRU, GRUTrace


def test_meta():
    layer = GRU(3, 4, 2, bidirectional=True, device="meta")
    x = torch.empty(5, 2, 3, device="meta", requires_grad=True)
    output, h_n = layer(x, lengths=torch.tensor([5, 2]))
    assert output.shape == (5, 2, 8)
    assert h_n.shape == (4, 2, 4)
    output.sum().backward()
    assert x.grad.device.type == "meta"
    layer.to_empty(device="cpu").reset_parameters()
    assert layer(torch.zeros(5, 2, 3))[0].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_of_the_module_is_the_dtype_of_its_results(dtype):
    output, h_n = GRU(3, 4).to(dtype)(torch.zeros(5, 2, 3, dtype=dtype))
    assert output.dtype == h_n.dtype == dtype


def test_a_parametrized_weight_is_used():
    layer, x = GRU(3, 4), torch.randn(5, 2, 3)
    plain = layer(x)[0]
    parametrizations.weight_norm(layer, "weight_hh_l0")
    torch.testing.assert_close(layer(x)[0], plain)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
    assert not torch.allclose(layer(x)[0], plain)


def test_lengths_of_any_integer_type_or_a_list():
    layer, x = GRU(3, 4), torch.randn(5, 2, 3)
    wanted = layer(x, lengths=torch.tensor([2, 5]))[0]
    for lengths in ([2, 5], (2, 5), torch.tensor([2, 5], dtype=torch.int32)):
        assert torch.equal(layer(x, lengths=lengths)[0], wanted)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_trace_is_laid_out_as_the_input(batch_first):
    layer = GRU(3, 4, batch_first=batch_first)
    sizes = (2, 5) if batch_first else (5, 2)
    trace = layer.trace(torch.randn(*sizes, 3), lengths=[1, 5])
    assert isinstance(trace, GRUTrace)
    assert trace._fields == ("reset", "update", "memory", "hidden")
    for part in trace:
        assert part.shape == (*sizes, 4)
        padding = part[0, 1:] if batch_first else part[1:, 0]
        assert not padding.any()
    assert all(part.shape == (5, 4) for part in layer.trace(torch.randn(5, 3)))
    empty = layer.trace(torch.empty(*((2, 0) if batch_first else (0, 2)), 3))
    assert all(part.numel() == 0 for part in empty)


def test_a_trace_has_gradients():
    layer, x = GRU(3, 4), torch.randn(5, 2, 3, requires_grad=True)
    layer.trace(x).update.sum().backward()
    assert x.grad.abs().max() > 0
