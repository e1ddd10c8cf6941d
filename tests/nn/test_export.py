"""torch.export of plain layers with symbolic batch and time, and .pt2 files.

Every option is in test_transforms.py.
"""

from __future__ import annotations

import io

import pytest
import torch
from torch.export import Dim, export

from grukit.nn import GRU, LSTM, RNN

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"
)
TIME, BATCH = Dim("time"), Dim("batch")
SIZES = ((5, 3), (17, 2), (2, 9))
WAYS = [(GRU, True), (GRU, False), (LSTM, False), (RNN, False)]
every_way = pytest.mark.parametrize(
    ("kind", "strict"), WAYS, ids=[f"{kind.__name__}-{'strict' * strict}" for kind, strict in WAYS]
)


def through_a_file(program):
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    return torch.export.load(buffer)


@every_way
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_program_runs_at_every_length_and_batch(kind, strict, batch_first):
    layer = kind(4, 5, 2, batch_first=batch_first, bidirectional=True).eval()
    axes = {0: BATCH, 1: TIME} if batch_first else {0: TIME, 1: BATCH}
    with torch.no_grad():
        program = export(
            layer, (torch.randn(6, 7, 4),), dynamic_shapes={"input": axes}, strict=strict
        )
        loaded = through_a_file(program)
        ops = [node for node in loaded.graph.nodes if "grukit." in str(node.target)]
        assert len(ops) == 4
        for sizes in SIZES:
            x = torch.randn(*sizes, 4)
            for runs in (program, loaded):
                torch.testing.assert_close(runs.module()(x), layer(x))


@every_way
def test_a_program_with_state_lengths_and_resets(kind, strict):
    layer = kind(4, 5).eval()

    def inputs(time, batch):
        state = torch.randn(1, batch, 5)
        return {
            "input": torch.randn(time, batch, 4),
            "hx": (state, state.sin()) if kind is LSTM else state,
            "lengths": torch.randint(0, time + 1, (batch,)),
            "resets": torch.rand(time, batch) < 0.3,
        }

    shapes = {
        "input": {0: TIME, 1: BATCH},
        "hx": ({1: BATCH}, {1: BATCH}) if kind is LSTM else {1: BATCH},
        "lengths": {0: BATCH},
        "resets": {0: TIME, 1: BATCH},
    }
    with torch.no_grad():
        program = export(layer, (), inputs(6, 7), dynamic_shapes=shapes, strict=strict)
        loaded = through_a_file(program)
        for sizes in SIZES:
            given = inputs(*sizes)
            torch.testing.assert_close(loaded.module()(**given), layer(**given))
