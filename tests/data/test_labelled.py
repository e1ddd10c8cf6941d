from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from grukit.core.errors import DataError
from grukit.data.labelled import labelled, rows_of, texts_of

TEXTS = ["fine, really", 'a "quoted"\nline', "", "ünï 日本 🙂", "x" * 1_000_000, "tab\there"]
LABELS = ["good", "bad", "bad", "good", "odd, even", "bad"]
PACKED = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def written(folder: Path, name: str) -> Path:
    path = folder / name
    kind, pack = path.suffixes[0], PACKED[path.suffixes[1] if len(path.suffixes) > 1 else ""]
    if kind == ".parquet":
        pd.DataFrame({"text": TEXTS, "label": LABELS}).to_parquet(path)
        return path
    rows = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    if kind == ".jsonl":
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    else:
        plain = folder / "plain"
        with plain.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if kind == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
        content = plain.read_text(encoding="utf-8")
    path.write_bytes(pack(content.encode()))
    return path


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.jsonl.xz", "a.tsv.bz2"]
)
def test_files_say_what_was_written(tmp_path, name):
    limit = csv.field_size_limit()
    path = written(tmp_path, name)
    assert labelled(path) == (TEXTS, LABELS)
    assert texts_of(path) == TEXTS
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames(frame):
    data = frame({"review": ["a", "b"], "stars": [5, 1]})
    assert labelled(data, text="review", label="stars") == (["a", "b"], [5, 1])
    assert texts_of(data, "review") == ["a", "b"]
    with pytest.raises(DataError, match=r"row 1 must have the column 'revue'.*did you mean 'rev"):
        texts_of(data, "revue")


def test_lists():
    assert labelled(("a", "b"), [1, 0]) == (["a", "b"], [1, 0])
    assert texts_of(pd.Series(["a", "b"])) == ["a", "b"]
    assert texts_of(np.array(["a", "b"])) == ["a", "b"]
    assert texts_of([]) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\nok,1\nn\xffo,0\n", r"line 3 of .*must be UTF-8, got 0xff at its"),
        ("a.jsonl", b'{"text": "a", "label": 1}\nnope\n', "line 2 of .* must be JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1 of .* must be a JSON object"),
        ("a.jsonl", b"[" * 100_000, "line 1 of .* must be JSON"),
        ("a.csv", b"text,label\na,1,2\n", "row that ends in line 2 of .* must be of 2 columns"),
        ("a.csv", b"text,label\na\n", "row that ends in line 2 of .* must be of 2 columns"),
        ("a.csv", b"text,text\na,b\n", "columns of .* must be all different"),
        ("a.csv", b'text,label\n"a"b,1\n', "line 2 of .* must be CSV"),
        ("a.csv.gz", gzip.compress(b"text,label\n" * 99, mtime=0)[:-9], "must be a whole .gz file"),
        ("a.csv.gz", b"text,label\n", "must be a whole .gz file"),
        ("a.csv.xz", b"text,label\n", "must be a whole .xz file"),
        ("a.parquet", b"no", "must be a Parquet file"),
        ("a.txt", b"text\n", r"the data must be a \.csv"),
        ("a.csv", b"words,label\na,1\n", "row 1 must have the column 'text'"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        labelled(path)


def test_what_is_no_text(tmp_path):
    with pytest.raises(DataError, match="could not be read"):
        rows_of(tmp_path / "none.csv")
    with pytest.raises(DataError, match="text 2 must be a str, got None"):
        texts_of(["a", None])
    with pytest.raises(DataError, match=r"the texts must be a list of texts.*str"):
        texts_of("one text")
    with pytest.raises(DataError, match=r"the data must be a list of texts with labels.*list"):
        labelled(["a", "b"])
    with pytest.raises(DataError, match=r"labels must be as many as texts \(2\), got 1"):
        labelled(["a", "b"], [1])
    with pytest.raises(DataError, match="text 2 must be a str, got nan"):
        texts_of(pd.DataFrame({"text": ["a", np.nan]}))
