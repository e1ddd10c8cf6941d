"""`explain` tells of a layer's call what its backends say of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM

OPTIONS = {"num_layers": 2, "bidirectional": True, "zoneout": 0.1, "recurrent_dropout": 0.1}
LENGTHS = [5, 0]


@pytest.fixture
def asked(monkeypatch):
    """The calls that a backend was asked about, and has refused."""
    calls = []

    def why_not(call):
        calls.append(call)
        return ("it refuses everything",)

    for kind in (GRU, LSTM):
        reference = kind.recurrence.backends[-1]
        backends = (replace(reference, name="picky", why_not=why_not), reference)
        monkeypatch.setattr(kind.recurrence, "backends", backends)
    return calls


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("kind", [GRU, LSTM])
def test_it_asks_what_the_call_asks(kind, recompute, training, asked):
    layer = kind(3, 4, recompute=recompute, **OPTIONS).train(training)
    x = torch.randn(5, 2, 3)
    with torch.set_grad_enabled(training):
        layer(x, lengths=LENGTHS)
        wanted = list(asked)
        asked.clear()
        before = torch.get_rng_state()
        for index in range(2):
            for reverse in (False, True):
                options = {"layer": index, "reverse": reverse, "lengths": LENGTHS}
                text = layer.explain(x, **options)
                assert text == "picky: it refuses everything\nreference: can run it"
    assert asked == wanted
    assert len(wanted) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_there_must_be_such_a_layer_and_direction():
    layer, x = GRU(3, 4), torch.randn(5, 2, 3)
    with pytest.raises(ParameterError, match="layer must be from 0 to 0, got 1"):
        layer.explain(x, layer=1)
    with pytest.raises(ParameterError, match="reverse must be False for one direction, got True"):
        layer.explain(x, reverse=True)
