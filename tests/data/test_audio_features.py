from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.audio_features import Features

pytest.importorskip("kaldi_native_fbank")


def noise(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, size).astype(np.float32)


def log_mel_reference(samples: np.ndarray, features: Features) -> np.ndarray:
    """One window [S] as log-mel energies in float64, written from Kaldi's documentation."""
    frame = samples.astype(np.float64) * 32768
    frame -= frame.mean()
    frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
    count = len(frame)
    frame *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(count) / (count - 1))) ** 0.85
    size = 1 << (count - 1).bit_length()
    power = np.abs(np.fft.rfft(frame, size)) ** 2
    mel = 1127 * np.log1p(np.arange(size // 2 + 1) * features.rate / size / 700)
    low, high = (1127 * np.log1p(f / 700) for f in (20, features.rate / 2))
    corners = np.linspace(low, high, features.bins + 2)
    energies = []
    for left, middle, right in zip(corners, corners[1:], corners[2:], strict=False):
        rising, falling = (mel - left) / (middle - left), (right - mel) / (right - middle)
        energies.append(power @ np.clip(np.minimum(rising, falling), 0, None))
    return np.log(np.maximum(energies, np.finfo(np.float32).eps))


def mfcc_reference(log_mel: np.ndarray, coefficients: int) -> np.ndarray:
    count = len(log_mel)
    orders = np.arange(coefficients)[:, None]
    cosines = np.cos(np.pi * orders * (np.arange(count) + 0.5) / count) * np.sqrt(2 / count)
    cosines[0] = np.sqrt(1 / count)
    return (cosines @ log_mel) * (1 + 11 * np.sin(np.pi * orders[:, 0] / 22))


@pytest.mark.parametrize("features", [Features(), Features(rate=8000, bins=23), Features(bins=80)])
def test_log_mel_is_what_a_plain_computation_gives(features):
    samples = noise(features.rate)
    found = features.of(samples)
    hop, window = round(features.hop * features.rate), round(features.window * features.rate)
    assert found.shape == (1 + (len(samples) - window) // hop, features.bins)
    for at in (0, 1, len(found) - 1):
        expected = log_mel_reference(samples[at * hop : at * hop + window], features)
        assert np.abs(found[at] - expected).max() < 2e-4


def test_mfcc_is_what_a_plain_computation_gives():
    features = Features(kind="mfcc", bins=23)
    assert features.size == 13
    samples = noise(1600)
    expected = mfcc_reference(log_mel_reference(samples[160:560], features), 13)
    assert np.abs(features.of(samples)[1] - expected).max() < 2e-3


@given(st.lists(st.integers(0, 5000), max_size=12), st.sampled_from(["log-mel", "mfcc"]))
def test_pieces_give_the_frames_of_the_whole(sizes, kind):
    features, samples = Features(kind=kind, rate=8000), noise(20_000)
    stream, at, parts = features.stream(), 0, []
    for size in [*sizes, len(samples)]:
        parts.append(stream.push(samples[at : at + size]))
        at += size
    parts.append(stream.finish())
    assert all(part.dtype == np.float32 for part in parts)
    assert np.array_equal(np.concatenate(parts), features.of(samples))


def test_silence_is_finite_and_short_sound_has_no_frame():
    features = Features()
    assert np.isfinite(features.of(np.zeros(16000, np.float32))).all()
    assert np.isfinite(Features(kind="mfcc").of(np.zeros(16000))).all()
    for size in (0, 1, 399):
        assert features.of(noise(size)).shape == (0, 40)
    assert features.of(noise(400)).shape == (1, 40)


def test_a_stream_lets_go_of_what_it_gave():
    stream = Features(rate=8000).stream()
    for _ in range(3):
        count = len(stream.push(noise(8000)))
    assert count == 100
    with pytest.raises(RuntimeError, match="already removed"):
        stream._extractor.get_frame(297)


def test_hops_are_whole_samples():
    assert Features(rate=11025).hop == 110 / 11025
    assert Features().hop == 0.01
    assert Features().window == 0.025


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "plp"}, "kind must be one of 'log-mel', 'mfcc', got 'plp'"),
        ({"kind": "mfcc", "coefficients": 41}, r"coefficients must be at most .* \(40\), got 41"),
        ({"bins": 1}, "bins must be an integer of at least 2, got 1"),
        ({"hop_ms": 0}, "hop_ms must be a number above 0, got 0"),
        ({"hop_ms": 0.01}, "must be long enough for a sample at this rate"),
    ],
)
def test_settings_outside_their_rules_are_refused(settings, message):
    with pytest.raises(ParameterError, match=message):
        Features(**settings)


def test_more_bins_than_a_window_can_tell_apart_are_refused():
    with pytest.raises(ParameterError, match=r"bins must be fewer, for windows of 400 samples"):
        Features(bins=128).of(noise(16000))


@pytest.mark.parametrize("samples", [np.zeros((2, 5)), np.zeros(5, np.int16), [0.0, np.nan]])
def test_samples_that_are_none_are_refused(samples):
    with pytest.raises(DataError, match="samples must be"):
        Features().of(samples)
