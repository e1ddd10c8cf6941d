"""GRU-D against a loop written from the paper, its gradients, and what a gap may not leak."""

from __future__ import annotations

import pytest
import torch
from torch import nn as torch_nn

from grukit.core.errors import ParameterError
from grukit.nn import GRU, GRUD, GRUDCell, delays

T, B, INPUT, H = 7, 4, 3, 5


def series(seed: int = 0):
    """x, NaN where not observed, the mask, and irregular times."""
    random = torch.Generator().manual_seed(seed)
    mask = torch.rand(T, B, INPUT, generator=random) < 0.5
    x = torch.randn(T, B, INPUT, generator=random, dtype=torch.float64)
    times = torch.rand(T, B, generator=random, dtype=torch.float64).cumsum(0)
    return torch.where(mask, x, torch.nan), mask, times


def layer(**options) -> GRUD:
    torch.manual_seed(1)
    made = GRUD(INPUT, H, dtype=torch.float64, mean=[0.5, -1.0, 2.0], **options)
    for parameter in made.parameters():  # of all signs, so that some decays are cut off at 1
        torch_nn.init.normal_(parameter, std=0.7)
    return made


def paper(made: GRUD, x, mask, times, swap: bool = False):
    """The equations of arXiv:1606.01865 one number at a time, z as 1 - z of the paper."""
    cell = made.cell
    w, u = cell.gru.weight_ih.chunk(3), cell.gru.weight_hh.chunk(3)
    b = (cell.gru.bias_ih + cell.gru.bias_hh).chunk(3)
    if swap:
        w, u, b = (w[1], w[0], w[2]), (u[1], u[0], u[2]), (b[1], b[0], b[2])
    outputs = torch.zeros(T, B, H, dtype=torch.float64)
    zero = torch.zeros((), dtype=torch.float64)
    for at in range(B):
        h, last = torch.zeros(H, dtype=torch.float64), cell.mean.clone()
        delta = torch.zeros(INPUT, dtype=torch.float64)
        for t in range(T):
            if t:
                step = times[t, at] - times[t - 1, at]
                delta = torch.where(mask[t - 1, at], step, step + delta)
            filled = []
            for i in range(INPUT):
                if mask[t, at, i]:
                    last[i] = x[t, at, i]
                    filled.append(x[t, at, i])
                    continue
                exponent = cell.input_decay_weight[i] * delta[i] + cell.input_decay_bias[i]
                g = torch.exp(-torch.maximum(zero, exponent))
                filled.append(g * last[i] + (1 - g) * cell.mean[i])
            exponent = cell.hidden_decay_weight @ delta + cell.hidden_decay_bias
            h = torch.exp(-torch.maximum(zero, exponent)) * h
            given = torch.cat([torch.stack(filled), mask[t, at].double()])
            r = torch.sigmoid(w[0] @ given + u[0] @ h + b[0])
            keep = torch.sigmoid(w[1] @ given + u[1] @ h + b[1])
            n = torch.tanh(w[2] @ given + u[2] @ (r * h) + b[2])
            h = (1 - keep) * n + keep * h
            outputs[t, at] = h
    return outputs


def test_it_is_the_paper():
    made, (x, mask, times) = layer(), series()
    with torch.no_grad():
        output, (h, last) = made(x, mask, delays(mask, times))
        torch.testing.assert_close(output, paper(made, x, mask, times), rtol=0, atol=1e-14)
        assert torch.equal(h, output[-1])
        swapped = paper(made, x, mask, times, swap=True)
    assert (output - swapped).abs().max() > 0.01
    for at in range(B):
        for i in range(INPUT):
            seen = x[mask[:, at, i], at, i]
            assert last[at, i] == (seen[-1] if len(seen) else made.cell.mean[i])


def test_delays_are_those_of_the_paper():
    _, mask, times = series()
    expected = torch.zeros(T, B, INPUT, dtype=torch.float64)
    for t in range(1, T):
        step = (times[t] - times[t - 1])[:, None]
        expected[t] = step + torch.where(mask[t - 1], 0.0, expected[t - 1])
    torch.testing.assert_close(delays(mask, times), expected)
    torch.testing.assert_close(delays(mask, times[:, 0])[:, 0], expected[:, 0])
    assert delays(mask[:0]).shape == (0, B, INPUT)


def test_gradients():
    made, (x, mask, times) = layer(), series()
    x = torch.where(mask, x, 0.3).requires_grad_()
    delta = delays(mask, times).requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: made(given[0], mask, given[1])[0], (x, delta))
    (d_x,) = torch.autograd.grad(made(x, mask, delta)[0].sum(), x)
    assert (d_x[~mask] == 0).all()


def test_what_is_not_observed_is_not_read_even_backwards():
    made, (x, mask, times) = layer(), series()
    delta = delays(mask, times)
    outputs, gradients = [], []
    for filling in (torch.nan, 0.0, 1e30):
        output, _ = made(torch.where(mask, x, filling), mask, delta)
        outputs.append(output)
        gradients.append(torch.autograd.grad(output.square().sum(), list(made.parameters())))
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    for one, other in zip(gradients[0], gradients[2], strict=True):
        assert torch.equal(one, other)
        assert one.isfinite().all()


@pytest.mark.parametrize("reset_after", [False, True])
def test_without_gaps_and_decays_it_is_a_gru(reset_after):
    made = layer(reset_after=reset_after)
    plain = GRU(2 * INPUT, H, reset_after=reset_after, dtype=torch.float64)
    plain.load_state_dict({f"{n}_l0": p for n, p in made.cell.gru.state_dict().items()})
    for name, parameter in made.cell.named_parameters():
        if "decay" in name:
            torch_nn.init.constant_(parameter, -1.0)
    x = torch.randn(T, B, INPUT, dtype=torch.float64)
    mask = torch.ones_like(x)
    output, _ = made(x, mask, delays(mask))
    torch.testing.assert_close(output, plain(torch.cat([x, mask], -1))[0])


def test_step_by_step_and_in_chunks_it_is_the_same():
    made, (x, mask, times) = layer(), series()
    delta = delays(mask, times)
    whole, (h, last) = made(x, mask, delta)
    first, state = made(x[:3], mask[:3], delta[:3])
    second, state = made(x[3:], mask[3:], delta[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    one = None
    for t in range(T):
        one = made.cell(x[t], mask[t], delta[t], one)
        torch.testing.assert_close(one[0], whole[t])
    for end in (one, state):
        torch.testing.assert_close(end, (h, last))


def test_lengths_and_batch_first():
    made, (x, mask, times) = layer(), series()
    delta = delays(mask, times)
    whole, _ = made(x, mask, delta)
    output, (h, last) = made(x, mask, delta, lengths=[7, 0, 3, 5])
    for at, length in enumerate([7, 0, 3, 5]):
        torch.testing.assert_close(output[:length, at], whole[:length, at])
        assert (output[length:, at] == 0).all()
        alone = made(*(part[:length, at : at + 1] for part in (x, mask, delta)))[1]
        torch.testing.assert_close((h[at], last[at]), (alone[0][0], alone[1][0]))
    made.batch_first = True
    turned, _ = made(*(part.transpose(0, 1) for part in (x, mask, delta)))
    torch.testing.assert_close(turned.transpose(0, 1), whole)


def test_all_parameters_start_with_a_gradient():
    made, (x, mask, times) = GRUD(INPUT, H, dtype=torch.float64), series()
    made(x, mask, delays(mask, times))[0].square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    before = [parameter.clone() for parameter in made.parameters()]
    made.reset_parameters()
    changed = [not torch.equal(a, b) for a, b in zip(before, made.parameters(), strict=True)]
    assert sum(changed) == len(changed) - 2  # the biases of the decays are zero again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x": torch.zeros(T, B, INPUT + 1)},
            r"x must be of 3 axes, the last of size 3, got \[7, 4, 4\]",
        ),
        ({"x": torch.zeros(B, INPUT)}, r"x must be of 3 axes"),
        ({"mask": torch.zeros(T, B, 1)}, r"mask must be of the shape of x, \[7, 4, 3\], got"),
        ({"delta": torch.zeros(T, B)}, "delta must be of the shape of x"),
        ({"lengths": [8, 1, 1, 1]}, "lengths must be from 0 to T = 7"),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    given = {name: torch.zeros(T, B, INPUT) for name in ("x", "mask", "delta")}
    with pytest.raises(ParameterError, match=message):
        GRUD(INPUT, H)(**{**given, **change})
    with pytest.raises(ParameterError, match=r"mean must be of shape \[3\], got \[2\]"):
        GRUDCell(INPUT, H, mean=[0.0, 0.0])
