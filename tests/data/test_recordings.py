from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from grukit.core.errors import DataError
from grukit.data.audio_features import Features
from grukit.data.recordings import Recording, recordings

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def sounds(tmp_path) -> Path:
    """A folder with a/one.wav, a/two.flac and b.npy."""
    (tmp_path / "a").mkdir()
    soundfile.write(tmp_path / "a" / "one.wav", np.zeros(8000), 8000)
    soundfile.write(tmp_path / "a" / "two.flac", np.zeros(4000), 8000)
    np.save(tmp_path / "b.npy", np.ones((5, 3)))
    return tmp_path


ROWS = [("a/one.wav", "one"), ("a/two.flac", ""), ("b.npy", " three \n four ")]


def seen(found: list[Recording]) -> list[tuple[str, str]]:
    assert all(recording.path.is_file() for recording in found)
    return [(recording.name, recording.text) for recording in found]


EXPECTED = [("a/one.wav", "one"), ("a/two.flac", ""), ("b.npy", "three four")]


def test_manifests_and_frames_name_files_beside_them(sounds):
    table = pd.DataFrame(ROWS, columns=["audio", "text"])
    table.to_csv(sounds / "m.csv", index=False)
    table.to_csv(sounds / "m.tsv", index=False, sep="\t")
    lines = [json.dumps({"audio": audio, "text": text}) for audio, text in ROWS]
    (sounds / "m.jsonl").write_text("\n".join(lines))
    for name in ("m.csv", "m.tsv", "m.jsonl"):
        assert seen(recordings(sounds / name)) == EXPECTED
        assert seen(recordings(str(sounds / name))) == EXPECTED


def test_frames_and_lists_name_files_from_here(sounds, monkeypatch):
    monkeypatch.chdir(sounds)
    assert seen(recordings(ROWS)) == EXPECTED
    frame = pd.DataFrame(ROWS, columns=["path", "said"])
    assert seen(recordings(frame, audio="path", text="said")) == EXPECTED
    assert seen(recordings(pl.from_pandas(frame), audio="path", text="said")) == EXPECTED
    absolute = [(sounds / "a" / "one.wav", "one")]
    assert recordings(absolute)[0].path == sounds / "a" / "one.wav"


def test_a_column_tells_who_is_heard(sounds):
    table = pd.DataFrame(ROWS, columns=["audio", "text"]).assign(who=["ann", "bob", "ann"])
    table.to_csv(sounds / "m.csv", index=False)
    found = recordings(sounds / "m.csv", speaker="who")
    assert [one.speaker for one in found] == ["ann", "bob", "ann"]
    assert {one.speaker for one in recordings(sounds / "m.csv")} == {""}
    with pytest.raises(DataError, match="row 1 must have the column 'speaker'"):
        recordings(sounds / "m.csv", speaker="speaker")
    absolute = table.assign(audio=[str(sounds / path) for path, _ in ROWS])
    with pytest.raises(DataError, match=r"the speaker of row 1 must be a str or an int, got 1\.5"):
        recordings(absolute.assign(who=1.5), speaker="who")
    for data in (sounds, [(sounds / "a" / "one.wav", "one")]):
        with pytest.raises(DataError, match="must be a table with the column 'who'"):
            recordings(data, speaker="who")


def test_texts_beside_audio(sounds):
    for path, text in ROWS:
        (sounds / path).with_suffix(".txt").write_text(f"{text}\n")
    assert seen(recordings(sounds)) == EXPECTED
    (sounds / "a" / "one.txt").unlink()
    with pytest.raises(DataError, match=r"must have a \.txt beside it, got none: a/one\.wav"):
        recordings(sounds)


def test_folders_named_as_words(sounds):
    (sounds / "b.npy").unlink()
    (sounds / "_noise_").mkdir()
    soundfile.write(sounds / "_noise_" / "hum.wav", np.zeros(8), 8000)
    assert seen(recordings(sounds)) == [("a/one.wav", "a"), ("a/two.flac", "a")]


def test_audio_without_any_text_is_refused(sounds):
    with pytest.raises(DataError, match=r"or lie in folders named as the word.*got b\.npy"):
        recordings(sounds)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [*rows, ("a/none.wav", "x")],
            r"audio of row 4 must be an existing file.*none",
        ),
        (lambda rows: [*rows, rows[0]], r"must come once, got .*one\.wav in row 1 and row 4"),
        (lambda rows: [*rows, (None, "x")], "the audio of row 4 must be the path of a file"),
        (lambda rows: [*rows, ("a", "x")], "the audio of row 4 must be an existing file"),
        (lambda rows: [("a/one.wav", 3)], "the text of row 1 must be a str, got 3"),
        (lambda rows: [], "must be at least one, got none"),
    ],
)
def test_rows_that_cannot_be_used_are_named(sounds, change, message):
    rows = [{"audio": audio, "text": text} for audio, text in change(ROWS)]
    (sounds / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=message):
        recordings(sounds / "m.jsonl")


def test_a_missing_column_names_the_nearest(sounds):
    (sounds / "m.csv").write_text("audios,text\na/one.wav,one\n")
    with pytest.raises(DataError, match=r"row 1 must have the column 'audio'.*mean 'audios'"):
        recordings(sounds / "m.csv")


@pytest.mark.parametrize("data", [3, {"a": 1}, ["a.wav"], [("a", "b", "c")]])
def test_data_of_no_known_kind_is_refused(data):
    with pytest.raises(DataError, match="must be"):
        recordings(data)


def test_a_path_that_is_no_manifest_is_refused(sounds):
    with pytest.raises(DataError, match="must be an existing file or folder"):
        recordings(sounds / "nothing")
    with pytest.raises(DataError, match=r"a folder, or a \.csv"):
        recordings(sounds / "b.npy")
    (sounds / "a" / "one.txt").write_bytes(b"\xff\xfe\xfa")
    (sounds / "a" / "two.txt").write_text("two")
    with pytest.raises(DataError, match=r"one\.txt must be a text in UTF-8"):
        recordings(sounds / "a")


def test_a_recording_reads_its_sound_or_its_features(sounds):
    one, _, three = recordings([(sounds / path, text) for path, text in ROWS])
    assert one.samples(16000).shape == (16000,)
    assert not one.has_features
    assert one.frames(Features(rate=8000)).shape == (98, 40)
    assert three.has_features
    assert three.frames(Features()).shape == (5, 3)
    with pytest.raises(DataError, match="4 numbers in each frame"):
        three.frames(Features(), size=4)
