from __future__ import annotations

import bz2
import gzip
import lzma
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import DataError
from grukit.data import texts, token_rows
from grukit.data.texts import documents, pieces, spread
from grukit.data.token_rows import counts_of, fingerprint, token_row
from grukit.data.tokenizers import learn_tokenizer

TEXT = "first line\nzweite Zeile: äöü\r\n" * 9 + "日本語" * 40 + "\n\nend"


def read(data) -> list[str]:
    return ["".join(document) for document in documents(data)]


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [(".txt", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)],
)
@pytest.mark.parametrize("size", [4, 7, 64, 1 << 20])
def test_files_are_read_exactly(tmp_path, monkeypatch, suffix, packed, size):
    monkeypatch.setattr(texts, "PIECE_IN_BYTES", size)
    path = tmp_path / f"text{suffix}"
    path.write_bytes(packed(TEXT.encode()))
    assert read(path) == [TEXT]
    assert read([path, "another", path]) == [TEXT, "another", TEXT]


@given(st.text(max_size=40), st.integers(4, 20), st.integers(0, 10))
@settings(max_examples=200, deadline=None)
def test_reading_goes_on_from_any_piece(tmp_path_factory, text, size, at):
    path: Path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "PIECE_IN_BYTES", size)
        whole = list(pieces(path))
        start = whole[at][1] if at < len(whole) else 0
        rest = whole[at + 1 :] if at < len(whole) else whole
        assert list(pieces(path, start)) == rest
    assert "".join(piece for piece, _ in whole) == text


def test_a_piece_ends_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "PIECE_IN_BYTES", 8)
    path = tmp_path / "text"
    path.write_text("ab\ncd\nefghijklmnop\nq", encoding="utf-8")
    assert [piece for piece, _ in pieces(path)] == ["ab\ncd\n", "efghijkl", "mnop\nq"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of some pieces, with a cache of their own."""
    monkeypatch.setattr(texts, "PIECE_IN_BYTES", 64)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(token_rows, "cache_folder", lambda: tmp_path / "cache")
    paths = [tmp_path / "a.txt", tmp_path / "empty.txt", tmp_path / "b.txt.gz"]
    for path, content in zip(paths, (TEXT, "", TEXT[::-1]), strict=True):
        packed = gzip.compress if path.suffix == ".gz" else bytes
        path.write_bytes(packed(content.encode()))
    return paths


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_large_files_become_the_same_row(files, monkeypatch, kind):
    tokenizer = learn_tokenizer(kind, [TEXT], 400, ("<end>",))
    small = token_row(files, tokenizer, 0)
    assert small.dtype == (np.uint16 if kind != "char" else np.uint8)
    monkeypatch.setattr(token_rows, "IN_MEMORY_BYTES", 10)
    seen = []
    large = token_row(files, tokenizer, 0, lambda done, total: seen.append((done, total)))
    assert isinstance(large, np.memmap)
    assert large.dtype == small.dtype
    assert np.array_equal(large, small)
    assert fingerprint(large) == fingerprint(small)
    assert counts_of(large, len(tokenizer)).tolist() == counts_of(small, len(tokenizer)).tolist()
    assert seen == sorted(seen)
    # A second time it is there already, until a file changes.
    seen.clear()
    assert np.array_equal(token_row(files, tokenizer, 0, lambda *_: seen.append(_)), small)
    assert not seen
    files[0].write_text("other", encoding="utf-8")
    assert len(token_row(files, tokenizer, 0)) < len(small)


def test_an_interrupted_reading_goes_on(files, monkeypatch, tmp_path):
    tokenizer = learn_tokenizer("bpe", [TEXT], 400, ("<end>",))
    whole = token_row(files, tokenizer, 0)
    monkeypatch.setattr(token_rows, "IN_MEMORY_BYTES", 10)

    class Crash(Exception):
        pass

    count = 0
    for stop in range(1, 100):
        calls = []

        def crash(done, total, calls=calls, stop=stop):
            calls.append(done)
            if len(calls) == 1 and stop < 100:
                raise Crash

        try:
            row = token_row(files, tokenizer, 0, crash)
            break
        except Crash:
            count += 1
            # What was written after the last note is written again.
            (partial,) = (tmp_path / "cache" / "tokens").glob("*.partial")
            with partial.open("ab") as out:
                out.write(b"torn")
    assert count > 5
    assert np.array_equal(row, whole)


def test_bytes_that_are_no_text(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "PIECE_IN_BYTES", 16)
    path = tmp_path / "bad.txt"
    path.write_bytes(b"a" * 20 + b"\xc3")
    with pytest.raises(DataError, match=r"must be UTF-8, got 0xc3 at byte 20"):
        read(path)


def test_two_who_read_the_same_text_do_not_mix(files, monkeypatch):
    tokenizer = learn_tokenizer("byte", [], specials=("<end>",))
    small = token_row(files, tokenizer, 0)
    monkeypatch.setattr(token_rows, "IN_MEMORY_BYTES", 10)
    rows = []

    def read():
        rows.append(token_row(files, tokenizer, 0, lambda *_: time.sleep(0.002)))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(rows) == 3
    assert all(np.array_equal(row, small) for row in rows)


@given(st.lists(st.text("ab", min_size=1, max_size=30), max_size=60), st.integers(30, 200))
@settings(max_examples=300, deadline=None)
def test_of_many_texts_some_evenly_spread_are_kept(written, most):
    kept = spread(iter(written), most)
    fitting = (written[:: 1 << power] for power in range(8))
    assert kept == next(some for some in fitting if sum(map(len, some)) <= most)


def test_of_one_long_text_parts_are_kept():
    text = "".join(map(chr, range(2000)))
    kept = spread([text], 640)
    assert kept == [text[at : at + 10] for at in range(0, 2000, 40)]
    assert spread([text], 2000) == [text]
    assert spread(["", "a"], 1) == ["a"]
