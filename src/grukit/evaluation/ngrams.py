"""What a language model must beat: n-grams."""

from __future__ import annotations

import numpy as np


def ngram_surprise(train: np.ndarray, test: np.ndarray, order: int, vocabulary: int) -> np.ndarray:
    """-log of the chance of each token of `test`, float64 [N], by counts in `train`.

    >>> train, test = np.array([0, 1, 0, 1, 0, 1]), np.array([0, 1, 1])
    >>> ngram_surprise(train, test, order=2, vocabulary=2).round(2)
    array([0.69, 0.13, 1.79])

    An order of 1 counts tokens alone, one of 5 those after the same four. Orders are interpolated
    as by Witten and Bell (1991): the more kinds of tokens have followed a context, the more weight
    has the shorter one; below all is 1 / vocabulary.
    """
    border = len(train) + order
    tokens = np.concatenate([train, np.full(order, vocabulary), test]).astype(np.int64)
    chances = np.full(len(test), 1 / vocabulary)
    contexts = np.zeros(len(tokens), np.int64)
    for length in range(order):
        if length:
            before = contexts[:-1] * (vocabulary + 1) + tokens[:-1]
            contexts[1:] = np.unique(before, return_inverse=True)[1] + 1
            contexts[0] = 0
        pairs = np.unique(contexts * (vocabulary + 1) + tokens, return_inverse=True)[1]
        learned, asked = slice(length, len(train)), slice(border, None)
        of_pair = np.bincount(pairs[learned], minlength=pairs.max() + 1)
        of_context = np.bincount(contexts[learned], minlength=contexts.max() + 1)
        first = np.unique(pairs[learned], return_index=True)[1] + length
        kinds = np.bincount(contexts[first], minlength=contexts.max() + 1)
        seen, kind = of_context[contexts[asked]], kinds[contexts[asked]]
        backed = (of_pair[pairs[asked]] + kind * chances) / np.maximum(seen + kind, 1)
        chances = np.where(seen > 0, backed, chances)
    return -np.log(chances)
