"""The scan of the minGRU: right where others overflow, and the same numbers however it is run."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import logsigmoid

from grukit.ops import RECURRENCES, mingru
from grukit.ops.contract import SAVE_ALL, SAVE_NOTHING, Arguments
from grukit.ops.sequence import definition

STEPS = 10_000
BACKENDS = ["scan"]


def backend(name):
    return next(found for found in RECURRENCES["mingru"].backends if found.name == name)


def long(gate, units=4):
    """A long sequence of one input for each row of the gates; update gates near sigmoid(gate)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(STEPS, 1, 2 * units, generator=generator)
    x[..., :units] += gate
    return Arguments(x, torch.ones(1, units), torch.eye(2 * units))


def of_paper(tensors):
    """Appendix B of Feng et al. 2024, with our z: everything as logarithms (Heinsen 2023)."""
    x_z, v = tensors.x.chunk(2, dim=-1)
    log_n = torch.where(v >= 0, (torch.relu(v) + 0.5).log(), logsigmoid(v))
    carried = logsigmoid(x_z).cumsum(0)
    values = torch.cat([tensors.h0.log()[None], logsigmoid(-x_z) + log_n - carried])
    return (carried + values.logcumsumexp(0)[1:]).exp()


def of_products(tensors):
    """The same by products of the gates and a division."""
    x_z, v = tensors.x.chunk(2, dim=-1)
    z, n = torch.sigmoid(x_z), torch.where(v >= 0, v + 0.5, torch.sigmoid(v))
    carried = z.cumprod(0)
    return carried * (tensors.h0 + ((1 - z) * n / carried).cumsum(0))


def error(got, wanted):
    """The largest, relative to the state."""
    return ((got.double() - wanted).abs() / wanted.abs()).max().item()


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("gate", [-12.0, -3.0, 0.0, 3.0])
def test_ten_thousand_steps_in_float32(name, gate):
    """The products of the gates of so many steps are far below the smallest float."""
    tensors, variant = long(gate), "positive"
    wanted = definition(mingru.cell, tensors.map_floats(torch.Tensor.double), variant)[0]
    output, final, _ = backend(name).forward(tensors, variant, False, SAVE_NOTHING)
    own = error(output, wanted)
    assert own < 2e-6
    assert torch.equal(output[-1], final)
    assert not of_products(tensors).isfinite().all()
    # The sum of the logarithms is so large that its last digit is seen in the state.
    assert error(of_paper(tensors), wanted) > 50 * own


@pytest.mark.parametrize("name", BACKENDS)
def test_gates_that_are_all_open_or_shut(name):
    """z is 0 or 1 exactly, where a logarithm would be infinite."""
    for gate in (-200.0, 200.0):
        tensors, variant = long(gate), "plain"
        output, final, reserve = backend(name).forward(tensors, variant, False, SAVE_ALL)
        n = tensors.x[..., 4:]
        assert torch.equal(output, n if gate < 0 else torch.ones_like(n))
        found = backend(name).backward(
            tensors,
            torch.ones_like(output),
            (torch.zeros_like(final),),
            output,
            reserve,
            variant,
            False,
            SAVE_ALL,
            ("x", "h0"),
        )
        assert found["x"].isfinite().all()
        assert found["h0"].unique().tolist() == [0.0 if gate < 0 else STEPS]
