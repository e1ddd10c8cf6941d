"""Many texts as batches of about equal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# So many batches are sorted by length together: more pad less, and mix texts less.
_SORTED_TOGETHER = 50


class TextBatch(NamedTuple):
    """tokens int64 [B, T], padded with zeros; lengths int64 [B]; targets [B] or [B, C]."""

    tokens: Tensor
    lengths: Tensor
    targets: Tensor


class TextItems:
    """Texts, as rows of tokens, with their targets, as training data.

    >>> items = TextItems([np.array([5, 6]), np.array([7])], np.array([1, 0]))
    >>> items.batch(torch.tensor([1, 0])).tokens.tolist()
    [[7, 0], [5, 6]]
    """

    def __init__(self, rows: Sequence[np.ndarray], targets: np.ndarray) -> None:
        self._rows, self._targets = rows, torch.as_tensor(targets)
        self._lengths = lengths_of(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Tensor) -> TextBatch:
        tokens, lengths = padded([self._rows[index] for index in indices.tolist()])
        return TextBatch(tokens, lengths, self._targets[indices])

    def arranged(self, order: Tensor, size: int) -> Tensor:
        return alike(self._lengths, order, size)


def lengths_of(rows: Sequence[np.ndarray]) -> np.ndarray:
    """How many tokens each row has, int64 [N]."""
    return np.array([len(row) for row in rows], np.int64)


def padded(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Rows of tokens as one int64 [B, T], padded with zeros at the end, and their lengths [B]."""
    lengths = lengths_of(rows)
    tokens = np.zeros((len(rows), lengths.max(initial=0)), np.int64)
    for place, row in zip(tokens, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(tokens), torch.from_numpy(lengths)


def alike(lengths: np.ndarray, order: Tensor, size: int) -> Tensor:
    """The items of `order` again, each `size` of them, which are a batch, about equally long.

    Batches follow each other by chance as far as `order` is by chance, and depend on nothing else.
    Fewer than `size` items come last.

    lengths: int64, of all items. order: int64, the items to arrange.

    >>> alike(np.array([9, 1, 8, 2, 7]), torch.arange(5), size=2).tolist()
    [2, 0, 1, 3, 4]
    """
    parts = []
    for part in order.split(size * _SORTED_TOGETHER):
        whole = len(part) - len(part) % size
        by_length = np.argsort(lengths[part[:whole].numpy()], kind="stable").reshape(-1, size)
        by_chance = by_length[np.argsort(by_length.min(1))]
        parts += [part[:whole][torch.from_numpy(by_chance.ravel())], part[whole:]]
    return torch.cat(parts) if parts else order
