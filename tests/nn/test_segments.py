from __future__ import annotations

import pytest
import torch

from grukit.nn.by_name import LAYER_OF
from grukit.nn.segments import SegmentForecaster

LEVELS = (0.1, 0.5, 0.9)
LOOKBACK, HORIZON, SEGMENT = 10, 7, 4


def network(known: int = 2, static: int = 3, **options) -> SegmentForecaster:
    torch.manual_seed(0)
    sizes = {"segment": SEGMENT, "hidden_size": 16, **options}
    return SegmentForecaster(5, known, static, HORIZON, LEVELS, **sizes)


def inputs(batch: int = 5, known: int = 2, static: int = 3) -> list[torch.Tensor]:
    sizes = ((batch, LOOKBACK, 5), (batch, HORIZON, known), (batch, static))
    return [torch.randn(size, requires_grad=True) for size in sizes]


def by_hand(model: SegmentForecaster, past, future, static) -> torch.Tensor:
    """One window at a time, one segment after another, with the layer's own recurrence."""
    answers = []
    for at in range(len(past)):
        rows = torch.cat([torch.zeros(2, 5), past[at]])
        entered = [model.of_past(rows[start : start + 4].flatten()).relu() for start in (0, 4, 8)]
        _, state = model.encoder(torch.stack(entered)[None])
        ahead = torch.cat([future[at], torch.zeros(1, 2)])
        steps = []
        for place in range(2):
            known = model.of_known(ahead[4 * place : 4 * place + 4].flatten())
            asked = model.of_place[place] + known + model.of_static(static[at])
            output, _ = model.encoder(asked[None, None], state)
            steps += list(model.of_segment(output[0, 0]).view(4, -1))
        answers.append(model.head(torch.stack(steps[:7])))
    return torch.stack(answers)


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("layers", [1, 2])
def test_parallel_decoding_equals_a_loop_over_windows_and_segments(cell, layers):
    model, given = network(cell=cell, num_layers=layers), inputs()
    torch.testing.assert_close(model(*given), by_hand(model, *given))


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("static", [0, 3])
@pytest.mark.parametrize("segment", [1, 3, 7])
def test_quantiles_for_every_step(known, static, segment):
    model = network(known, static, segment=segment)
    assert model(*inputs(5, known, static)).shape == (5, HORIZON, 3)
    assert model(*inputs(0, known, static)).shape == (0, HORIZON, 3)


def test_every_input_and_parameter_counts():
    given, model = inputs(), network(num_layers=2, series=3, series_embedding=2)
    model(*given, torch.tensor([0, 1, 2, -1, 0])).square().sum().backward()
    for tensor in (*given, *model.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0


def test_what_is_known_ahead_changes_its_own_segment_alone():
    past, future, static = inputs()
    model = network()
    later = future.detach().clone()
    later[:, 5] += 1
    changed = (model(past, later, static) != model(past, future, static)).any(-1)
    assert changed[:, 4:].all()
    assert not changed[:, :4].any()


def test_dropout_acts_in_training_only():
    given, model = inputs(), network(dropout=0.5)
    assert not torch.equal(model(*given), model(*given))
    model.eval()
    assert torch.equal(model(*given), model(*given))
