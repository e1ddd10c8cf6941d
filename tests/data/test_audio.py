from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.data.audio import AudioStream, audio_blocks, read_audio

soundfile = pytest.importorskip("soundfile")
soxr = pytest.importorskip("soxr")


def tone(rate: int, seconds: float = 1.0, pitch: float = 440.0) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)


def written(path: Path, samples: np.ndarray, rate: int, **options: str) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def spectrum_peak(samples: np.ndarray, rate: int) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(power.argmax() * rate / len(samples))


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("wav", 3.1e-5), ("flac", 3.1e-5), ("ogg", 0.02), ("mp3", 0.02)]
)
def test_each_kind_of_file_is_read(tmp_path, kind, tolerance):
    samples = tone(16000)
    found = read_audio(written(tmp_path / f"a.{kind}", samples, 16000), 16000)
    assert found.dtype == np.float32
    assert found.shape == samples.shape
    assert np.abs(found - samples)[2000:-2000].max() < tolerance


def test_a_file_is_known_by_its_content(tmp_path):
    samples = tone(16000)
    written(tmp_path / "a.wav", samples, 16000).rename(tmp_path / "a.raw")
    assert np.abs(read_audio(tmp_path / "a.raw", 16000) - samples).max() < 3.1e-5


@pytest.mark.parametrize("rate", [4000, 8000, 22050, 44100, 96000])
def test_any_rate_becomes_the_one_wanted(tmp_path, rate):
    samples = tone(rate, 1.5)
    found = read_audio(written(tmp_path / "a.wav", samples, rate, subtype="FLOAT"), 16000)
    assert np.array_equal(found, soxr.resample(samples, rate, 16000, quality="HQ"))
    assert len(found) == 24000
    assert spectrum_peak(found, 16000) == pytest.approx(440, abs=1)
    assert np.abs(found[2000:-2000] - tone(16000, 1.5)[2000:-2000]).max() < 1e-3


def test_channels_are_averaged(tmp_path):
    left, right = tone(16000), tone(16000, pitch=300)
    path = written(tmp_path / "a.wav", np.stack([left, right], 1), 16000, subtype="FLOAT")
    assert np.array_equal(read_audio(path, 16000), (left + right) / 2)
    assert np.array_equal(
        read_audio((np.stack([left, right], 1), 16000), 16000), (left + right) / 2
    )


def test_silence_and_clipped_sound_stay_what_they_are(tmp_path):
    silence = np.zeros(500, np.float32)
    assert np.array_equal(read_audio(written(tmp_path / "s.wav", silence, 8000), 8000), silence)
    clipped = np.clip(tone(8000) * 10, -1, 1)
    found = read_audio(written(tmp_path / "c.wav", clipped, 8000), 8000)
    assert np.abs(found - clipped).max() < 1e-4


@given(st.floats(0.001, 3))
def test_blocks_are_the_whole(tmp_path_factory, seconds):
    path = tmp_path_factory.getbasetemp() / "blocks.wav"
    if not path.exists():
        written(path, np.random.default_rng(0).uniform(-1, 1, 100_001), 44100)
    blocks = list(audio_blocks(path, 16000, seconds))
    assert np.array_equal(np.concatenate(blocks), read_audio(path, 16000))
    size = max(1, round(16000 * seconds))
    assert all(len(block) == size for block in blocks[:-1])
    assert 0 < len(blocks[-1]) <= size


def test_a_long_file_takes_little_memory(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 16000, 1) as file:
        for _ in range(10):
            file.write(np.zeros(16000 * 60))
    next(audio_blocks(tmp_path / "a.wav", 8000))
    tracemalloc.start()
    total = sum(len(block) for block in audio_blocks(tmp_path / "a.wav", 8000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 8000 * 600
    assert peak < 2e6 < total * 4


@given(st.lists(st.integers(0, 3000), max_size=20), st.sampled_from(["s16le", "f32le"]))
def test_a_stream_gives_the_samples_of_the_file(sizes, encoding):
    random = np.random.default_rng(0)
    samples = random.integers(-32768, 32768, (4000, 2), np.int16)
    floats = samples.astype("<f4") / 32768
    data = floats.tobytes() if encoding == "f32le" else samples.astype("<i2").tobytes()
    stream, found, at = AudioStream(22050, 16000, 2, encoding), [], 0
    for size in [*sizes, len(data)]:
        found.append(stream.push(data[at : at + size]))
        at += size
    found.append(stream.finish())
    whole = read_audio((samples, 22050), 16000)
    assert np.array_equal(np.concatenate(found), whole)
    assert np.array_equal(read_audio((floats.astype(np.float64), 22050), 16000), whole)


def test_a_stream_leaves_out_a_sample_that_was_only_begun():
    stream = AudioStream(8000, 8000)
    assert stream.push(b"\x00\x40\x00").tolist() == [0.5]
    assert len(stream.finish()) == 0


def header_of(path: Path, promised: int, riff: int = 0xFFFFFFFF) -> Path:
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", riff)
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", promised)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("promised", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_the_header_of_a_pipe_is_fine(tmp_path, promised, subtype):
    path = written(tmp_path / "a.wav", tone(16000), 16000, subtype=subtype)
    whole = read_audio(path, 16000)
    found = read_audio(header_of(path, promised, riff=36), 16000)
    assert np.array_equal(found, whole)


def test_a_header_that_promises_a_little_more_is_a_cut_file(tmp_path):
    path = written(tmp_path / "a.wav", tone(16000), 16000)
    with pytest.raises(DataError, match=r"must hold 32,002 bytes of sound.*got 32,000.*cut off"):
        read_audio(header_of(path, 32_002), 16000)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_a_cut_file_is_refused(tmp_path, kind, capfd):
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 200_000)
    content = written(tmp_path / f"a.{kind}", samples, 16000).read_bytes()
    (tmp_path / f"b.{kind}").write_bytes(content[: len(content) * 3 // 5])
    for read in (read_audio, lambda path, rate: list(audio_blocks(path, rate))):
        with pytest.raises(DataError, match=f"b.{kind} must (hold|be|end).*(cut off|lost sync)"):
            read(tmp_path / f"b.{kind}", 16000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"This is a text, not a sound.\n" * 20, "must be an audio file that can be read"),
        (b"RIFF\x00\x00\x00\x00WAVE", "must be an audio file that can be read"),
        (b"fLaC" + bytes(100), "must be an audio file that can be read"),
        (b"OggS" + bytes(100), "got an OGG file that is cut off"),
    ],
)
def test_what_is_no_audio_is_refused(tmp_path, content, message):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_audio(tmp_path / "a.wav", 16000)
    assert "a.wav" in str(caught.value)


def changed(path: Path, at: int, content: bytes) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + content + whole[at + len(content) :])
    return path


def test_headers_that_cannot_be_are_refused(tmp_path):
    path = written(tmp_path / "a.wav", tone(16000), 16000)
    with pytest.raises(DataError, match="must be an audio file that can be read"):
        read_audio(changed(path, 22, bytes(2)), 16000)  # 0 channels
    path = written(tmp_path / "a.wav", tone(16000), 16000)
    with pytest.raises(DataError, match=r"the rate of .* must be an integer from 1,000 .* got 1$"):
        read_audio(changed(path, 24, b"\x01\x00\x00\x00"), 16000)
    path = written(tmp_path / "a.wav", np.zeros(0), 16000)
    with pytest.raises(DataError, match="must hold at least one sample, got none"):
        read_audio(path, 16000)


def test_a_missing_file_names_a_near_one(tmp_path):
    written(tmp_path / "hello.wav", tone(16000), 16000)
    with pytest.raises(DataError, match=r"an existing file.*did you mean 'hello\.wav'"):
        read_audio(tmp_path / "helo.wav", 16000)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([0.0, np.nan], "samples must be finite and in -1..1, got nan"),
        ([0.0, -np.inf], "got inf"),
        ([0.0, 20000.0], "got 20000"),
        (np.zeros((5, 0)), "must be at least one sample"),
        ([], "must be at least one sample"),
        (np.zeros((2, 2, 2)), "samples must be of shape"),
        (np.zeros(5, np.int64), "must be floats in -1..1 or int16, got 'int64'"),
    ],
)
def test_samples_that_are_no_sound_are_refused(samples, message):
    with pytest.raises(DataError, match=message):
        read_audio((samples, 16000), 16000)


def test_nan_in_a_file_is_refused_by_name(tmp_path):
    samples = tone(16000)
    samples[700] = np.nan
    path = written(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    with pytest.raises(DataError, match=r"a\.wav: samples must be finite"):
        read_audio(path, 16000)


def test_arguments_outside_their_rules_are_refused():
    with pytest.raises(DataError, match="rate_in must be an integer from"):
        AudioStream(8000.5, 16000)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="channels must be an integer of at least 1, got 0"):
        AudioStream(8000, 16000, 0)
    with pytest.raises(ParameterError, match="encoding must be one of"):
        AudioStream(8000, 16000, 1, "s24le")
    with pytest.raises(DataError, match="the audio must be a path, or"):
        read_audio(np.zeros(3), 16000)
    with pytest.raises(DataError, match="must be of shape"):
        AudioStream(8000, 16000, 2).push(np.zeros((4, 3)))
