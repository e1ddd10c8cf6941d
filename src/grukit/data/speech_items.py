"""Speech and its transcripts as training data, in batches of about equal length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grukit.data.text_batches import alike, padded


class SpeechBatch(NamedTuple):
    """A batch of speech: frames float32 [B, T, F], padded with zeros, and how many count, [B];
    targets int64 [B, U], tokens padded with zeros, and how many count, [B]."""

    frames: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor


class SpeechItems:
    """Recordings, read when they are needed, and the tokens of their transcripts.

    >>> rows = [np.ones((4, 2), np.float32), np.ones((3, 2), np.float32)]
    >>> items = SpeechItems(rows.__getitem__, [4, 3], [np.array([5, 6]), np.array([7])])
    >>> batch = items.batch(torch.tensor([1, 0]))
    >>> batch.frames.shape, batch.lengths.tolist(), batch.targets.tolist()
    (torch.Size([2, 4, 2]), [3, 4], [[7, 0], [5, 6]])

    read: the frames of item i, float32 [T, F]; what it draws by chance comes from torch's own
        random numbers, so that a resumed training reads the same.
    sizes: about how long each item is, in any unit.
    """

    def __init__(
        self,
        read: Callable[[int], np.ndarray],
        sizes: Sequence[float],
        targets: Sequence[np.ndarray],
    ) -> None:
        self._read, self._targets = read, targets
        # `alike` sorts integers.
        self._sizes = np.argsort(np.argsort(sizes, kind="stable"), kind="stable")

    def __len__(self) -> int:
        return len(self._targets)

    def batch(self, indices: Tensor) -> SpeechBatch:
        at = indices.tolist()
        return SpeechBatch(
            *stacked([self._read(i) for i in at]), *padded([self._targets[i] for i in at])
        )

    def arranged(self, order: Tensor, size: int) -> Tensor:
        return alike(self._sizes, order, size)


def stacked(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frames [T, F] of several as one float32 [B, T, F], padded with zeros, and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int64)
    frames = np.zeros((len(rows), lengths.max(initial=0), rows[0].shape[1]), np.float32)
    for place, row in zip(frames, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(frames), torch.from_numpy(lengths)
