"""Data sets of many files, against a server on this machine."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grukit.core.errors import DataError, DownloadError
from grukit.data import catalog, manifest
from grukit.data.manifest import File

CONTENT = {"LICENSE": b"MIT", "data/a b.csv": b"x,y\n1,2\n", "data/deep/c#1.csv": bytes(5000)}
FILES = tuple(
    File(path, len(content), hashlib.sha256(content).hexdigest())
    for path, content in CONTENT.items()
)
SIZE = sum(map(len, CONTENT.values()))


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        super().do_GET()


def put(folder):
    for path, content in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def read(folder):
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def server(tmp_path):
    """Serves the files below tmp_path/served."""
    handler = functools.partial(Handler, directory=str(put(tmp_path / "served")))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def dataset(monkeypatch, tmp_path, server):
    """The catalog with one small set of several files in it, which the server has."""
    monkeypatch.setenv("GRUKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GRUKIT_DATA", raising=False)
    monkeypatch.setattr(manifest, "manifest", lambda name: FILES)
    monkeypatch.setattr(catalog, "manifest", lambda name: FILES)
    dataset = dataclasses.replace(
        catalog.find("nab"),
        name="many",
        path="some/many",
        size=SIZE,
        url=f"http://127.0.0.1:{server.server_address[1]}",
    )
    monkeypatch.setattr(catalog, "_DATA_SETS", (dataset,))
    return dataset


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "data" / "some" / "many"


def test_fetch_gets_every_file_and_only_once(dataset, server, target):
    seen = []
    assert catalog.fetch("many", progress=lambda *done: seen.append(done)) == target
    assert read(target) == CONTENT
    assert list(target.parent.iterdir()) == [target]
    assert seen[-1] == (SIZE, SIZE)
    assert seen == sorted(seen)
    assert server.asked == ["/LICENSE", "/data/a%20b.csv", "/data/deep/c%231.csv"]
    assert catalog.fetch("many") == target
    assert catalog.path("many") == target
    assert len(server.asked) == 3


def test_nothing_is_visible_before_all_is_there_and_what_came_is_kept(
    dataset, server, target, tmp_path
):
    last = tmp_path / "served" / "data" / "deep" / "c#1.csv"
    last.unlink()
    with pytest.raises(
        DownloadError, match=r"c%231\.csv: the server answers 404.*put the files at"
    ):
        catalog.fetch("many")
    assert not target.exists()
    assert catalog.locate("many") is None
    last.write_bytes(CONTENT["data/deep/c#1.csv"])
    server.asked.clear()
    catalog.fetch("many")
    assert server.asked == ["/data/deep/c%231.csv"]
    assert read(target) == CONTENT


def test_a_file_that_is_not_as_listed_is_refused(dataset, target, tmp_path):
    (tmp_path / "served" / "LICENSE").write_bytes(b"GPL")
    with pytest.raises(DownloadError, match=r"the sha256 of .*/LICENSE must be"):
        catalog.fetch("many")
    assert not target.exists()


def test_fetch_replaces_a_damaged_folder_of_the_cache(dataset, target):
    put(target)
    (target / "LICENSE").write_bytes(b"GPL")
    catalog.fetch("many")
    assert read(target) == CONTENT
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.unlink(), "data/a b.csv: there is no such file"),
        (lambda file: file.write_bytes(b"x,y\n1,3\n"), "data/a b.csv: its sha256 must be"),
        (lambda file: file.write_bytes(b""), "data/a b.csv: its size in bytes must be 8, got 0"),
    ],
)
def test_a_damaged_local_folder_is_refused_by_file(dataset, monkeypatch, tmp_path, change, message):
    local = put(tmp_path / "local" / "some" / "many")
    monkeypatch.setenv("GRUKIT_DATA", str(tmp_path / "local"))
    assert catalog.path("many") == local
    change(local / "data" / "a b.csv")
    with pytest.raises(DataError) as caught:
        catalog.path("many")
    assert message in str(caught.value)
    assert str(local) in str(caught.value)


def test_fetch_into_a_folder_copies_what_is_listed(dataset, server, monkeypatch, tmp_path):
    local = put(tmp_path / "local" / "some" / "many")
    (local / "notes.txt").write_text("not of the set")
    monkeypatch.setenv("GRUKIT_DATA", str(tmp_path / "local"))
    copy = catalog.fetch("many", tmp_path / "mine")
    assert copy == tmp_path / "mine" / "some" / "many"
    assert read(copy) == CONTENT
    assert list(copy.parent.iterdir()) == [copy]
    assert not server.asked


@pytest.mark.parametrize("name", [d.name for d in catalog.available() if d.has_manifest])
def test_the_manifests_are_those_recorded(name):
    dataset = catalog.find(name)
    file = manifest.resources.files("grukit.data") / "manifests" / f"{name}.txt"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == dataset.sha256
    paths = [file.path for file in dataset.files]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert ".." not in path.split("/")
        assert not path.startswith("/")
