"""A long row of tokens, cut so that many places of it are read side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

IGNORED = -1
"""The target of a step that does not count."""


class Chunk(NamedTuple):
    """T steps of B lanes: int64 tokens [B, T], int64 targets [B, T], IGNORED where there is none.

    resets: bool [B, T], the steps at which a new text begins; None where none does.
    """

    tokens: Tensor
    targets: Tensor
    resets: Tensor | None


class Chunks:
    """The targets of N tokens, all but the first, in B lanes of about equal length.

    Items are to be taken one at a time and in order, each going on from the state of the one
    before it.

    tokens: [N], in memory or in a mapped file. start: the token that begins a text.
    """

    def __init__(self, tokens: np.ndarray, lanes: int, length: int, start: int) -> None:
        self._tokens, self._length, self._start = tokens, length, start
        targets = len(tokens) - 1
        lanes = max(1, min(lanes, targets))
        self._stride = -(-targets // lanes)
        self._first = np.arange(lanes) * self._stride

    def __len__(self) -> int:
        return -(-self._stride // self._length)

    def batch(self, indices: Tensor) -> Chunk:
        (index,) = indices.tolist()
        steps = np.arange(index * self._length, min((index + 1) * self._length, self._stride))
        at = self._first[:, None] + steps
        last = len(self._tokens) - 1
        tokens = self._tokens[np.minimum(at, last)].astype(np.int64)
        targets = self._tokens[np.minimum(at + 1, last)].astype(np.int64)
        targets[at + 1 > last] = IGNORED
        starts = tokens == self._start
        return Chunk(
            torch.from_numpy(tokens),
            torch.from_numpy(targets),
            torch.from_numpy(starts) if starts.any() else None,
        )
