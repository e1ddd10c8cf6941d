"""Forced alignment against all alignments, one by one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ctc_cases import posteriors
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError
from grukit.ops.ctc.alignment import align, least_frames


def best_of_all(x, tokens):
    """The chance of the best path that says the tokens."""
    chances = [
        sum(float(x[frame, token]) for frame, token in enumerate(way))
        for way in itertools.product(range(x.shape[1]), repeat=len(x))
        if [token for token, _ in itertools.groupby(way) if token] == tokens
    ]
    return max(chances, default=-np.inf)


@given(st.integers(0, 10**6), st.integers(0, 6), st.lists(st.integers(1, 2), max_size=4))
def test_the_best_alignment_is_found(seed, frames, tokens):
    x = posteriors(seed, frames, 3, 2.0)
    wanted = best_of_all(x, tokens)
    if frames < least_frames(tokens):
        assert wanted == -np.inf
        with pytest.raises(DataError, match="frames must be at least"):
            align(x, tokens)
        return
    found = align(x, tokens)
    assert found.log_chance == pytest.approx(wanted, abs=1e-5)
    path = np.zeros(frames, np.int64)
    for token, start, end in zip(tokens, found.start, found.end, strict=True):
        assert (path[start:end] == 0).all()
        assert start < end
        path[start:end] = token
    assert [t for t, _ in itertools.groupby(path.tolist()) if t] == tokens
    assert x[np.arange(frames), path].sum() == pytest.approx(found.log_chance, abs=1e-5)
    for token, start, end, score in zip(tokens, found.start, found.end, found.score, strict=True):
        assert score == pytest.approx(float(x[start:end, token].mean()), abs=1e-6)


def test_what_cannot_be_said_is_told():
    x = np.log(np.array([[0.5, 0.5, 1e-9], [0.5, 0.5, 1e-9]]))
    x[:, 2] = -np.inf
    with pytest.raises(DataError, match=r"the text must be possible in these frames, got \[2\]"):
        align(x, [2])
    with pytest.raises(DataError, match="frames must be at least 3 for 2 tokens, got 2"):
        align(x, [1, 1])
