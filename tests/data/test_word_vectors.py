from __future__ import annotations

import gzip

import numpy as np
import pytest

from grukit.core.errors import DataError
from grukit.data.word_vectors import read_word_vectors

LINES = "the 1 2 3\n. . . 4 5 6\nnaïve 0.5 -1e-3 7\nthe 9 9 9\n\xa0 1 1 1\n"


@pytest.mark.parametrize("header", ["", "5 3\n"])
@pytest.mark.parametrize(("suffix", "packed"), [("", bytes), (".gz", gzip.compress)])
def test_vectors_of_known_words(tmp_path, header, suffix, packed):
    path = tmp_path / f"vectors.txt{suffix}"
    content = (header + LINES).encode() + b"\xff\xfe 1 2 3\n"
    path.write_bytes(packed(content))
    found = read_word_vectors(path, ["the", "naïve", ". . .", "absent"])
    assert found.keys() == {"the", "naïve", ". . ."}
    assert found["the"].tolist() == [1, 2, 3]
    assert found["naïve"].dtype == np.float32
    assert np.allclose(found["naïve"], [0.5, -1e-3, 7])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 1 2\ncat 1\n", "line 2 of .* must be a word and 2 numbers"),
        (b"the 1 2\ncat 1 x\n", "line 2 of .* must be a word and numbers"),
        (b"cat 1 nan\n", "line 1 of .* must be of finite numbers"),
        (b"cat\n", "line 1 of .* must be a word and its numbers"),
        (b"dog 1 2\n", "must have a vector of a word of the texts, got none"),
        (b"", "must have a vector of a word of the texts, got none"),
    ],
)
def test_files_that_are_none(tmp_path, content, message):
    path = tmp_path / "vectors.vec"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_word_vectors(path, ["the", "cat"])
    cut = tmp_path / "vectors.gz"
    cut.write_bytes(gzip.compress(b"dog 1 2\n" * 99)[:-9])
    with pytest.raises(DataError, match=r"must be a whole \.gz file"):
        read_word_vectors(cut, ["the"])
