"""When the tokens of a known text are said: the best of its alignments (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from grukit.core.errors import DataError, must_be
from grukit.ops.ctc.contract import BLANK


class Alignment(NamedTuple):
    """Where each of U tokens begins and ends, and how likely it is there.

    start, end: int64 [U], the first frame and the one after the last. score: float64 [U], the mean
    of ln of its chance in these frames. log_chance: that of the whole path, blanks among it.
    """

    start: np.ndarray
    end: np.ndarray
    score: np.ndarray
    log_chance: float


def least_frames(tokens: Sequence[int] | np.ndarray) -> int:
    """The frames that a text needs: one for a token, and a blank between two that are equal."""
    own = np.asarray(tokens)
    return len(own) + int((own[1:] == own[:-1]).sum())


def align(log_probs: np.ndarray, tokens: Sequence[int] | np.ndarray) -> Alignment:
    """The likeliest way to say the tokens in frames [T, V], ln of the chances of tokens.

    >>> x = np.log([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.8, 0.2]])
    >>> start, end, score, log_chance = align(x, [1])
    >>> start, end, score.round(2)
    (array([1]), array([3]), array([-0.29]))

    Of alignments that are as likely, tokens begin as late as they can. DataError for frames that
    are too few, or in which the text cannot be said.
    """
    x, own = np.asarray(log_probs, np.float64), np.asarray(tokens, np.int64)
    if len(x) < (least := least_frames(own)):
        raise DataError(must_be("frames", f"at least {least} for {len(own)} tokens", len(x)))
    path = np.full(2 * len(own) + 1, BLANK)
    path[1::2] = own
    # From a token straight to the next, unless they are equal.
    skips = np.zeros(len(path), bool)
    skips[3::2] = own[1:] != own[:-1]
    # Before the first frame the path is at the blank before the first token.
    best = np.full(len(path), -np.inf)
    best[0] = 0.0
    steps = np.zeros((len(x), len(path)), np.int8)
    for frame, row in enumerate(x):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf, -np.inf], best[:-2]])[: len(path)], -np.inf)
        step = np.where(one > best, 1, 0)
        came = np.maximum(best, one)
        step = np.where(two > came, 2, step)
        steps[frame] = step
        best = np.maximum(came, two) + row[path]
    at = len(path) - 1
    if len(own) and best[-2] >= best[-1]:
        at -= 1
    if best[at] == -np.inf:
        raise DataError(must_be("the text", "possible in these frames", own.tolist()))
    start, end = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    score, log_chance = np.zeros(len(own)), float(best[at])
    for frame in range(len(x) - 1, -1, -1):
        if at % 2:
            token = at // 2
            end[token] = end[token] or frame + 1
            start[token] = frame
            score[token] += x[frame, own[token]]
        at -= steps[frame, at]
    return Alignment(start, end, score / np.maximum(end - start, 1), log_chance)
