from __future__ import annotations

from pathlib import Path

import pytest

from grukit.core.errors import DataError
from grukit.data import catalog
from grukit.data.recordings import recordings
from grukit.data.speech_sets import an4, fsdd


def test_fsdd_tells_digit_speaker_and_part_by_the_names(tmp_path):
    (tmp_path / "recordings").mkdir()
    for name in ("3_theo_4", "3_theo_10", "0_ann_5", "9_theo_0"):
        (tmp_path / "recordings" / f"{name}.wav").touch()
    frame = fsdd(tmp_path)
    assert [tuple(row[1:]) for row in frame.itertuples(index=False)] == [
        ("three", "theo", "test"),
        ("nine", "theo", "test"),
        ("zero", "ann", "train"),
        ("three", "theo", "train"),
    ]
    assert frame["audio"][0] == str(tmp_path / "recordings" / "3_theo_4.wav")
    assert [one.text for one in recordings(frame)] == frame["text"].tolist()


def test_an4_pairs_files_with_transcripts_by_name(tmp_path):
    etc = tmp_path / "an4" / "etc"
    etc.mkdir(parents=True)
    (etc / "an4_test.fileids").write_text("t/bob/a-bob\n")
    (etc / "an4_test.transcription").write_text("GO ON (a-bob)\n")
    (etc / "an4_train.fileids").write_text("c/eve/b-eve\nc/eve/c-eve\n")
    (etc / "an4_train.transcription").write_text("YES (b-eve)\nNO (c-eve)\n")
    frame = an4(tmp_path)
    assert frame["text"].tolist() == ["GO ON", "YES", "NO"]
    assert frame["speaker"].tolist() == ["bob", "eve", "eve"]
    assert frame["part"].tolist() == ["test", "train", "train"]
    assert Path(frame["audio"][0]) == tmp_path / "an4" / "feat" / "t" / "bob" / "a-bob.mfc"
    (etc / "an4_train.transcription").write_text("NO (c-eve)\nYES (b-eve)\n")
    with pytest.raises(DataError, match=r"must be that of c/eve/b-eve, got 'NO \(c-eve\)'"):
        an4(tmp_path)


@pytest.mark.parametrize(
    ("name", "train", "test", "speakers"), [("fsdd", 2700, 300, 6), ("an4", 948, 130, 84)]
)
def test_the_real_recordings_where_they_are_present(data_folder, name, train, test, speakers):
    if catalog.locate(name) is None:
        pytest.skip(f"{name} is not on this machine")
    frame = catalog.load(name)
    assert frame["part"].value_counts().to_dict() == {"train": train, "test": test}
    assert frame["speaker"].nunique() == speakers
    assert len(recordings(frame)) == train + test
