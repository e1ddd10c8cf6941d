from __future__ import annotations

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.augmentation import Augmentation, quietest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

OFF = Augmentation(
    **{f.name: 0 for f in fields(Augmentation) if f.name.endswith(("share", "masks"))},
    speed=0.0,
    gain=0.0,
    pauses=0.0,
    noise=0.0,
    stretch=0.0,
    warp=0.0,
    equalizer=0.0,
)
RATE = 8000


def tone(seconds: float = 2.0, pitch: float = 1000.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(round(RATE * seconds)) / RATE)).astype("f4")


def decibels(samples: np.ndarray) -> float:
    return float(10 * np.log10((samples.astype(np.float64) ** 2).mean()))


def test_all_off_changes_nothing():
    frames = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    assert np.array_equal(OFF.of_samples(tone(), RATE), tone())
    assert np.array_equal(OFF.stretched(frames), frames)
    assert np.array_equal(OFF.equalized(frames), frames)
    assert np.array_equal(OFF.masked(frames), frames)


def test_only_torch_decides():
    frames = np.ones((50, 20), np.float32)

    def drawn() -> list[np.ndarray]:
        every = Augmentation(noise=1.0)
        return [every.of_samples(tone(), RATE), every.stretched(frames), every.masked(frames)]

    torch.manual_seed(3)
    first = drawn()
    torch.manual_seed(3)
    np.random.seed(99)
    again, other = drawn(), drawn()
    assert all(map(np.array_equal, first, again))
    assert not any(map(np.array_equal, first, other))
    assert all(array.dtype == np.float32 for array in first)


def test_speed_moves_length_and_pitch_together():
    found = []
    for _ in range(20):
        samples = replace(OFF, speed=0.2).of_samples(tone(), RATE)
        power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        found.append((2 * RATE / len(samples), power.argmax() * RATE / len(samples) / 1000))
    speeds, pitches = np.array(found).T
    assert np.abs(speeds / pitches - 1).max() < 2e-3
    assert 0.8 <= speeds.min() < 0.9
    assert 1.1 < speeds.max() <= 1.2


def test_gain_is_drawn_within_its_decibels():
    gains = [
        decibels(replace(OFF, gain=6.0).of_samples(tone(), RATE)) - decibels(tone())
        for _ in range(50)
    ]
    assert -6 <= min(gains) < -4 < 4 < max(gains) <= 6


@pytest.mark.parametrize("files", [0, 2])
def test_noise_has_the_ratio_asked_for(tmp_path, files):
    paths = [str(tmp_path / f"{at}.wav") for at in range(files)]
    for path in paths:
        soundfile.write(path, np.random.default_rng(0).normal(size=4000) / 10, RATE)
    one = replace(OFF, noise=1.0, lowest_snr=7.0, highest_snr=7.0, noise_files=paths)
    noise = one.of_samples(tone(), RATE) - tone()
    assert decibels(tone()) - decibels(noise) == pytest.approx(7, abs=0.2)


def test_noise_comes_as_often_as_asked():
    some = replace(OFF, noise=0.3)
    changed = [not np.array_equal(some.of_samples(tone(0.1), RATE), tone(0.1)) for _ in range(300)]
    assert 0.2 < np.mean(changed) < 0.4


def test_pauses_are_as_quiet_as_the_recording_ever_is():
    samples = tone(1.0)
    samples[4000:4400] *= 1e-3
    found = [replace(OFF, pauses=0.5).of_samples(samples, RATE) for _ in range(20)]
    lengths = np.array([len(one) for one in found])
    assert RATE <= lengths.min() < lengths.max() <= 2 * RATE
    for one in found:
        start = np.correlate(one, samples, "valid").argmax()
        assert np.array_equal(one[start : start + RATE], samples)
        if start > 800:
            assert decibels(one[:start]) == pytest.approx(
                20 * np.log10(quietest(samples, RATE)), abs=2
            )


@pytest.mark.parametrize("samples", [np.zeros(400, "f4"), np.zeros(0, "f4"), np.zeros(3, "f4")])
def test_silence_stays_silence(samples):
    torch.manual_seed(0)
    found = Augmentation(noise=1.0).of_samples(samples, RATE)
    assert np.array_equal(found, np.zeros(len(found), np.float32))


@given(st.integers(1, 60), st.integers(1, 30), st.floats(0, 1), st.floats(0, 1))
def test_masks_are_whole_frames_and_features(count, size, time_share, feature_share):
    one = replace(
        OFF, time_masks=1, time_share=time_share, feature_masks=1, feature_share=feature_share
    )
    frames = np.random.default_rng(0).uniform(1, 2, (count, size)).astype(np.float32)
    gone = one.masked(frames) == 0
    rows, columns = gone.all(1), gone.all(0)
    assert np.array_equal(gone, rows[:, None] | columns[None, :])
    if not columns.all():
        assert rows.sum() <= time_share * count
        assert np.abs(np.diff(np.concatenate([[0], rows, [0]]).astype(int))).sum() in (0, 2)
    if not rows.all():
        assert columns.sum() <= feature_share * size


def test_masks_fall_everywhere():
    one = replace(OFF, time_masks=1, time_share=0.2)
    gone = np.mean([one.masked(np.ones((20, 1), "f4"))[:, 0] == 0 for _ in range(2000)], axis=0)
    assert gone.min() > 0.02
    assert gone.mean() == pytest.approx(0.1, abs=0.01)


def test_stretched_features_lie_on_the_same_line():
    frames = np.linspace(0, 1, 101, dtype=np.float32)[:, None] * np.array([[1.0, 2.0]], "f4")
    lengths = set()
    for _ in range(50):
        found = replace(OFF, stretch=0.1).stretched(frames)
        lengths.add(len(found))
        line = np.linspace(0, 1, len(found))[:, None] * np.array([[1.0, 2.0]])
        assert np.abs(found - line).max() < 1e-6
    assert min(lengths) in range(91, 95)
    assert max(lengths) in range(107, 112)
    assert len(OFF.stretched(frames[:1])) == 1


def test_settings_go_through_json():
    one = Augmentation(noise_files=("a.wav",))
    assert Augmentation(**json.loads(json.dumps(asdict(one)))) == one


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": 1.0}, "speed must be a number of at least 0 and below 1, got 1.0"),
        ({"noise": 1.5}, "noise must be a number of at least 0 and of at most 1, got 1.5"),
        ({"time_masks": -1}, "time_masks must be an integer of at least 0, got -1"),
        ({"lowest_snr": 50.0}, r"lowest_snr must be at most highest_snr \(40.0\), got 50.0"),
    ],
)
def test_settings_outside_their_rules_are_refused(settings, message):
    with pytest.raises(ParameterError, match=message):
        Augmentation(**settings)


def test_a_missing_noise_file_is_named():
    with pytest.raises(DataError, match=r"nowhere\.wav"):
        replace(OFF, noise=1.0, noise_files=("nowhere.wav",)).of_samples(tone(), RATE)


def test_a_warp_moves_frequencies_and_keeps_their_order():
    bands = np.exp(-((np.arange(40) - 20.0) ** 2) / 8).astype(np.float32)[None].repeat(3, 0)
    torch.manual_seed(0)
    peaks = [int(replace(OFF, warp=0.2).warped(bands)[0].argmax()) for _ in range(200)]
    assert 16 <= min(peaks) < 18
    assert 22 < max(peaks) <= 25
    assert np.array_equal(OFF.warped(bands), bands)


def test_an_equalizer_adds_one_smooth_curve_to_all_frames():
    bands = np.random.default_rng(0).normal(size=(7, 40)).astype(np.float32)
    one = replace(OFF, equalizer=3.0)
    curves = []
    for _ in range(300):
        added = one.equalized(bands) - bands
        assert np.abs(added - added[0]).max() < 1e-5
        curves.append(added[0])
    every = np.array(curves)
    decibels = 10 * every / np.log(10)
    # The variance of a cosine of the first five, whose squares fall as 1 / k, is 1 / 2.
    wanted = 3.0 * np.sqrt(sum(1 / k for k in range(1, 6)) / 2)
    assert np.sqrt((decibels**2).mean()) == pytest.approx(wanted, rel=0.1)
    assert np.abs(every.mean(1)).max() < 1e-5, "no louder as a whole"
    assert np.diff(every).std() < 0.25 * every.std(), "smooth from band to band"
    assert OFF.equalized(bands) is bands


def test_cepstra_are_changed_as_the_bands_they_stand_for():
    bands = np.random.default_rng(0).normal(size=(7, 40)).astype(np.float32)
    angles = np.outer(np.arange(40), np.arange(40) + 0.5) * np.pi / 40
    cosines = np.sqrt(2 / 40) * np.cos(angles)
    cosines[0] /= np.sqrt(2)
    cepstra = (bands @ cosines.T).astype(np.float32)
    one = replace(OFF, warp=0.3, equalizer=3.0, feature_masks=1, feature_share=0.5)
    for change in (one.warped, one.equalized, one.masked):
        torch.manual_seed(3)
        of_bands = change(bands)
        torch.manual_seed(3)
        of_cepstra = change(cepstra, cepstra=True)
        assert np.abs(of_bands - bands).max() > 0.1
        np.testing.assert_allclose(of_cepstra @ cosines, of_bands, atol=1e-5)
    torch.manual_seed(3)
    assert one.warped(cepstra[:, :13], cepstra=True).shape == (7, 13)
