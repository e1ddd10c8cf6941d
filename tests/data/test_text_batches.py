from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from grukit.data import text_batches
from grukit.data.text_batches import TextItems, alike, padded


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=200),
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_the_same_items_in_batches_alike(lengths, size, together, seed):
    lengths = np.array(lengths)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(lengths)))
    before = text_batches._SORTED_TOGETHER
    text_batches._SORTED_TOGETHER = together
    try:
        found = alike(lengths, order, size)
        again = alike(lengths, order, size)
    finally:
        text_batches._SORTED_TOGETHER = before
    assert torch.equal(found, again)
    assert sorted(found.tolist()) == sorted(order.tolist())
    left = len(order) % size
    assert torch.equal(found[len(found) - left :], order[len(order) - left :])
    for part, given_part in zip(
        found.split(size * together), order.split(size * together), strict=True
    ):
        assert sorted(part.tolist()) == sorted(given_part.tolist())
        batches = [lengths[batch.numpy()] for batch in part.split(size) if len(batch) == size]
        batches.sort(key=lambda batch: (batch.min(), batch.max()))
        for shorter, longer in pairwise(batches):
            assert shorter.max() <= longer.min()


def test_little_is_padded_and_batches_come_by_chance():
    lengths = np.random.default_rng(0).integers(1, 500, size=5000)
    order = torch.from_numpy(np.random.default_rng(1).permutation(5000))
    batches = alike(lengths, order, 20).split(20)
    padding = 1 - sum(lengths[batch.numpy()].sum() for batch in batches) / sum(
        20 * lengths[batch.numpy()].max() for batch in batches
    )
    assert padding < 0.02
    firsts = np.array([lengths[batch.numpy()].mean() for batch in batches[:50]])
    assert abs(np.corrcoef(firsts, np.arange(50))[0, 1]) < 0.3


def test_rows_of_tokens_become_a_batch():
    rows = [np.array([1, 2, 3]), np.array([], np.int64), np.array([4], np.uint16)]
    tokens, lengths = padded(rows)
    assert tokens.tolist() == [[1, 2, 3], [0, 0, 0], [4, 0, 0]]
    assert lengths.tolist() == [3, 0, 1]
    assert (tokens.dtype, lengths.dtype) == (torch.int64, torch.int64)
    items = TextItems(rows, np.array([0, 1, 2]))
    batch = items.batch(torch.tensor([2, 1]))
    assert (batch.tokens.tolist(), batch.lengths.tolist()) == ([[4], [0]], [1, 0])
    assert batch.targets.tolist() == [2, 1]
    assert len(items) == 3
    assert padded([rows[1]])[0].shape == (1, 0)
    assert padded([])[0].shape == (0, 0)
