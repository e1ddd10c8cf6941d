"""Texts with their translations, as batches of about equal length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from grukit.data.chunks import IGNORED
from grukit.data.text_batches import alike, lengths_of, padded


class PairBatch(NamedTuple):
    """A batch of sources with what is to be written.

    source int64 [B, S] and lengths [B], each with the end; written int64 [B, T], the target after
    the end of another text; answers int64 [B, T], the token that comes next, IGNORED beyond.
    """

    source: Tensor
    lengths: Tensor
    written: Tensor
    answers: Tensor


class TextPairs:
    """Pairs of texts as training data.

    pairs: a row of source and one of target, of tokens, or of what `encode` makes tokens of each
        time.
    end: the token that ends a text, and that the decoder begins with.
    """

    def __init__(
        self,
        pairs: Sequence[Sequence[np.ndarray]],
        end: int,
        encode: Callable[[np.ndarray], np.ndarray] = lambda row: row,
    ) -> None:
        self._pairs, self._end, self._encode = pairs, end, encode
        source, target = (lengths_of([pair[side] for pair in pairs]) for side in (0, 1))
        self._lengths = source * (target.max(initial=0) + 1) + target

    def __len__(self) -> int:
        return len(self._pairs)

    def batch(self, indices: Tensor) -> PairBatch:
        end, pairs = [self._end], [self._pairs[at] for at in indices.tolist()]
        sources = [np.concatenate([self._encode(source), end]) for source, _ in pairs]
        targets = [np.concatenate([end, self._encode(target), end]) for _, target in pairs]
        source, lengths = padded(sources)
        target, target_lengths = padded(targets)
        counts = torch.arange(1, target.shape[1]) < target_lengths[:, None]
        answers = torch.where(counts, target[:, 1:], IGNORED)
        return PairBatch(source, lengths, target[:, :-1], answers)

    def arranged(self, order: Tensor, size: int) -> Tensor:
        return alike(self._lengths, order, size)
