from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError
from grukit.data.normalization import Normalization

RANDOM = np.random.default_rng(0)
RECORDINGS = [RANDOM.normal(5, 3, (n, 4)).astype(np.float32) for n in (300, 50, 700)]


def test_the_statistics_are_those_of_all_frames():
    every = np.concatenate(RECORDINGS).astype(np.float64)
    learned = Normalization.learn(iter(RECORDINGS))
    np.testing.assert_allclose(learned.mean, every.mean(0), rtol=1e-12)
    np.testing.assert_allclose(learned.deviation, every.std(0), rtol=1e-9)


def test_a_recording_loses_its_own_mean():
    learned = Normalization.learn(RECORDINGS)
    shifted = learned.whole(RECORDINGS[0] + np.float32(100))
    np.testing.assert_allclose(shifted, learned.whole(RECORDINGS[0]), atol=1e-4)
    assert abs(shifted.mean(0)).max() < 1e-5
    assert learned.whole(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_a_constant_feature_stays_finite():
    constant = np.full((10, 2), 7.3, np.float32)
    assert (Normalization.learn([constant]).whole(constant) == 0).all()
    with pytest.raises(DataError, match="at least one frame"):
        Normalization.learn([])


@given(st.lists(st.integers(0, 300), max_size=6))
def test_a_stream_does_not_depend_on_its_pieces(cuts):
    learned, frames = Normalization.learn(RECORDINGS), RECORDINGS[2]
    pieces = np.split(frames, sorted(cut for cut in cuts if cut < len(frames)))
    whole, stream = learned.stream().push(frames), learned.stream()
    np.testing.assert_array_equal(np.concatenate([stream.push(p) for p in pieces]), whole)


def test_a_running_mean_is_of_the_past_and_follows_a_change():
    learned = Normalization.learn(RECORDINGS)
    frames = np.concatenate([RECORDINGS[2]] * 8)
    other = frames.copy()
    other[3000:] += 50
    before, after = (learned.stream().push(x) for x in (frames, other))
    np.testing.assert_array_equal(before[:3000], after[:3000])
    assert abs(after[3000]).min() > 10
    assert abs(after[-100:].mean(0)).max() < 2


def test_by_level_only_loudness_is_taken_away():
    learned = Normalization.learn(RECORDINGS)
    frames = RECORDINGS[2]
    found = learned.by_level(frames)
    np.testing.assert_allclose(learned.by_level(frames + 5), found, atol=1e-4)
    tilted = frames + np.linspace(-3, 3, frames.shape[1], dtype=np.float32)
    assert np.abs(learned.by_level(tilted) - found).max() > 0.1
    assert np.abs(learned.whole(tilted) - learned.whole(frames)).max() < 1e-4
    assert learned.by_level(frames[:0]).shape == (0, frames.shape[1])
