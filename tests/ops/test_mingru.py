"""The scan of the minGRU: right where others overflow, and the same numbers however it is run."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import logsigmoid

from grukit.nn import MinGRU
from grukit.ops import RECURRENCES, mingru
from grukit.ops.contract import SAVE_ALL, SAVE_NOTHING, Arguments
from grukit.ops.sequence import definition

STEPS = 10_000
BACKENDS = [pytest.param("native", marks=pytest.mark.needs_core), "scan"]


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


@pytest.mark.needs_core
def test_the_core_is_the_first_choice():
    names = [backend.name for backend in RECURRENCES["mingru"].backends]
    assert names == ["native", "scan", "reference"]
    layer = MinGRU(3, 4)
    assert layer.explain(torch.zeros(5, 2, 3)).splitlines()[0] == "native: can run it"
    reason = "native: it computes in float32, not in torch.float64"
    assert layer.double().explain(torch.zeros(5, 2, 3).double()).splitlines()[0] == reason


@pytest.mark.needs_core
@pytest.mark.parametrize("positive", [False, True])
def test_steps_of_a_stream_are_the_sequence(positive):
    """Through chunks of time, whose first states the core finds by themselves."""
    torch.manual_seed(0)
    layer = MinGRU(3, 4, num_layers=2, positive=positive)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("bias"):
                parameter[:4] += 4
        x = torch.randn(1200, 2, 3)
        output, final = layer(x)
        state, steps = None, []
        for one in x:
            step, state = layer.step(one, state)
            steps.append(step)
    # 4e-7 was seen, of states up to 1.4.
    torch.testing.assert_close(torch.stack(steps), output, rtol=0, atol=2e-6)
    torch.testing.assert_close(state, final, rtol=0, atol=2e-6)


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
