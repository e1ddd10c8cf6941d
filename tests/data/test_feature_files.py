from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from grukit.core.errors import DataError
from grukit.data.feature_files import read_features

MATRIX = np.random.default_rng(0).normal(size=(7, 13)).astype(np.float32)


def sphinx(matrix: np.ndarray, order: str) -> bytes:
    return struct.pack(order + "i", matrix.size) + matrix.astype(order + "f4").tobytes()


def htk(matrix: np.ndarray, order: str, kind: int = 6) -> bytes:
    head = struct.pack(order + "iihH", len(matrix), 100_000, 4 * matrix.shape[1], kind)
    return head + matrix.astype(order + "f4").tobytes()


def numpy_file(matrix: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, matrix)
    return file.getvalue()


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("make", [sphinx, htk])
def test_files_of_either_order_are_read(tmp_path, make, order):
    (tmp_path / "a.mfc").write_bytes(make(MATRIX, order))
    found = read_features(tmp_path / "a.mfc")
    assert found.dtype == np.float32
    assert np.array_equal(found, MATRIX)
    assert found.flags.writeable


def test_sphinx_of_another_size_wants_to_be_told(tmp_path):
    (tmp_path / "a.mfc").write_bytes(sphinx(MATRIX[:, :7], ">"))
    with pytest.raises(DataError, match="a whole number of frames of 13, got '49 numbers'"):
        read_features(tmp_path / "a.mfc")
    assert np.array_equal(read_features(tmp_path / "a.mfc", size=7), MATRIX[:, :7])


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "u1"])
def test_numpy_files_of_numbers_are_read(tmp_path, dtype):
    matrix = np.arange(12).reshape(4, 3).astype(dtype)
    (tmp_path / "a.npy").write_bytes(numpy_file(matrix))
    assert read_features(tmp_path / "a.npy", size=3).tolist() == matrix.tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mfc", b"", "a whole feature file of Sphinx or HTK"),
        ("a.mfc", sphinx(MATRIX, ">")[:-1], "a whole feature file of Sphinx or HTK"),
        ("a.mfc", sphinx(MATRIX[:0], ">"), "must be of shape"),
        ("a.mfc", b"\xff" * 100, "a whole feature file of Sphinx or HTK"),
        ("a.htk", htk(MATRIX, ">", kind=6 | 0o2000), "neither compressed"),
        ("a.htk", htk(MATRIX, ">", kind=0), "neither compressed"),
        ("a.npy", b"", "must be an .npy file of numbers"),
        ("a.npy", numpy_file(MATRIX)[:-1], "must be an .npy file of numbers"),
        ("a.npy", numpy_file(np.array([[{}]], object)), "must be an .npy file of numbers"),
        ("a.npy", numpy_file(np.array([["a"]])), "must be numbers"),
        ("a.npy", numpy_file(MATRIX[0]), "must be of shape"),
        ("a.npy", numpy_file(np.where(MATRIX < 1, MATRIX, np.nan)), "must be finite"),
        ("a.npy", numpy_file(np.full((2, 2), 1e300)), "must be finite"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_features(tmp_path / name)
    assert name in str(caught.value)


def test_another_size_and_a_missing_file_are_refused(tmp_path):
    np.save(tmp_path / "one.npy", MATRIX)
    with pytest.raises(DataError, match="must be 40 numbers in each frame, got 13"):
        read_features(tmp_path / "one.npy", size=40)
    with pytest.raises(DataError, match=r"did you mean 'one\.npy'"):
        read_features(tmp_path / "ones.npy")


def test_an4_is_read_as_its_readme_says(data_folder):
    path = data_folder / "speech/an4_mfcc/an4/feat/an4_clstk/fash/an251-fash-b.mfc"
    expected = np.fromfile(path, ">f4", offset=4).reshape(-1, 13)
    assert np.array_equal(read_features(path), expected)
