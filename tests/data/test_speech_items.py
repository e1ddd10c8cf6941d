from __future__ import annotations

import numpy as np
import torch

from grukit.data.speech_items import SpeechItems

RANDOM = np.random.default_rng(0)
ROWS = [RANDOM.normal(size=(n, 3)).astype(np.float32) for n in RANDOM.integers(1, 90, 64)]
TARGETS = [np.arange(1, 1 + len(row) // 4) for row in ROWS]
ITEMS = SpeechItems(ROWS.__getitem__, [len(row) / 100 for row in ROWS], TARGETS)


def test_a_batch_holds_what_was_asked_for_in_its_order():
    order = [5, 60, 0]
    batch = ITEMS.batch(torch.tensor(order))
    for row, at in enumerate(order):
        length, count = batch.lengths[row], batch.target_lengths[row]
        np.testing.assert_array_equal(batch.frames[row, :length], ROWS[at])
        np.testing.assert_array_equal(batch.targets[row, :count], TARGETS[at])
        assert not batch.frames[row, length:].any()
        assert not batch.targets[row, count:].any()


def test_batches_are_of_about_equal_length_and_lose_nothing():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    arranged = ITEMS.arranged(order, 8)
    assert sorted(arranged.tolist()) == list(range(64))
    spread = [np.ptp([len(ROWS[at]) for at in part]) for part in arranged.split(8)]
    assert np.mean(spread) < 15
    assert np.mean([np.ptp([len(ROWS[at]) for at in part]) for part in order.split(8)]) > 50
