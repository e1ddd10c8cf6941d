"""A file is whole or not there, and an error names the file that was asked for."""

from __future__ import annotations

import errno
import os

import pytest

from grukit.core.files import write_atomically


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.csv"
    for content in (b"\x00\xff", "\u00e9\n"):
        write_atomically(path, content)
        assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert os.listdir(tmp_path) == ["a.csv"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "ours", "x")
    (tmp_path / "other").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("name", ["fsync", "replace", "fdopen", "open"])
def test_a_failure_leaves_the_old_file_alone_and_names_it(tmp_path, monkeypatch, name):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device", ".a.csv.temporary")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(OSError, match="No space left") as caught:
            write_atomically(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_folder_is_never_replaced(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_atomically(tmp_path / "a.csv", "x")
    assert caught.value.filename == str(tmp_path / "a.csv")
    assert os.listdir(tmp_path) == ["a.csv"]
