"""Downloads against a server on this machine that can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from grukit.core.errors import DownloadError
from grukit.data.download import download

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `script` holds one behaviour a request, the last one staying."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = ["whole"]
        self.ranges: list[str | None] = []
        self.sent: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/data.csv"

    def handle_error(self, request, client_address) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        script = self.server.script
        behaviour = script.pop(0) if len(script) > 1 else script[0]
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if behaviour.isdigit():
            self.send_error(int(behaviour))
            return
        if behaviour == "redirect":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        start = 0
        if wanted and behaviour != "ignore range":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        body = CONTENT[start:]
        if behaviour == "other content":
            body = body[:-1] + b"?"
        if behaviour in ("too much", "too much, unannounced"):
            body += b"more"
        total = len(CONTENT) + (behaviour == "changed")
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if behaviour != "too much, unannounced":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if behaviour == "drop":
            body = body[: len(body) // 2]
        self.server.sent.append(len(body))
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server, path, **changes):
    wanted = {"size": len(CONTENT), "sha256": SHA256, "pause_seconds": 0.0} | changes
    return download(server.url, path, **wanted)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new folder" / "data.csv"


def part(target):
    return target.with_name("data.csv.part")


def test_whole_download_arrives_and_reports_progress(server, target):
    seen = []
    assert get(server, target, progress=lambda done, size: seen.append((done, size))) == target
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert list(target.parent.iterdir()) == [target]


def test_broken_transfer_asks_for_the_rest_only(server, target):
    server.script = ["drop", "whole"]
    get(server, target)
    half = len(CONTENT) // 2
    assert server.ranges == [None, f"bytes={half}-"]
    assert server.sent == [half, len(CONTENT) - half]
    assert target.read_bytes() == CONTENT


def test_a_later_call_goes_on_where_an_earlier_one_stopped(server, target):
    server.script = ["drop"]
    with pytest.raises(DownloadError, match="the connection ended after 256000 of 512000 bytes"):
        get(server, target, attempts=1)
    assert not target.exists()
    server.script = ["whole"]
    get(server, target)
    assert server.ranges[-1] == "bytes=256000-"
    assert target.read_bytes() == CONTENT


def test_server_without_ranges_sends_everything_again(server, target):
    server.script = ["drop", "ignore range"]
    get(server, target)
    assert server.sent[-1] == len(CONTENT)
    assert target.read_bytes() == CONTENT


def test_file_that_changed_size_is_not_glued_together(server, target):
    server.script = ["drop", "changed", "whole"]
    get(server, target)
    assert server.ranges[-1] is None
    assert target.read_bytes() == CONTENT


def test_damaged_beginning_is_thrown_away(server, target):
    target.parent.mkdir()
    part(target).write_bytes(b"not what the server has")
    get(server, target)
    assert server.ranges == ["bytes=23-", None]
    assert target.read_bytes() == CONTENT


def test_beginning_longer_than_the_file_is_thrown_away(server, target):
    target.parent.mkdir()
    part(target).write_bytes(CONTENT + b"more")
    get(server, target)
    assert server.ranges == [None]
    assert target.read_bytes() == CONTENT


def test_passing_server_errors_are_tried_again(server, target):
    server.script = ["503", "429", "whole"]
    get(server, target)
    assert len(server.ranges) == 3


@pytest.mark.parametrize(
    ("behaviour", "message", "requests"),
    [
        ("404", "the server answers 404 Not Found", 1),
        ("503", "the server answers 503 Service Unavailable", 4),
        ("drop", "the connection", 4),
        ("other content", f"must be {SHA256}, got '", 1),
        ("too much", "sends more than the 512000 bytes declared", 1),
        ("too much, unannounced", "sends more than the 512000 bytes declared", 1),
        ("redirect", "Redirection to url 'file:///etc/hostname' is not allowed", 1),
    ],
)
def test_failure_names_the_url_and_leaves_no_file(server, target, behaviour, message, requests):
    server.script = [behaviour]
    with pytest.raises(DownloadError) as caught:
        get(server, target)
    assert message in str(caught.value)
    assert server.url in str(caught.value)
    assert len(server.ranges) == requests
    assert not target.exists()
    assert part(target).exists() == (behaviour == "drop")


def test_failure_keeps_the_old_file(server, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    server.script = ["other content"]
    with pytest.raises(DownloadError):
        get(server, target)
    assert target.read_bytes() == b"old"


def test_no_server_says_what_failed(target):
    with pytest.raises(DownloadError, match=r"cannot download http://127\.0\.0\.1:9/x: .*refused"):
        download("http://127.0.0.1:9/x", target, size=1, sha256="0", pause_seconds=0.0)


def test_other_schemes_are_refused(tmp_path, target):
    source = tmp_path / "secret"
    source.write_text("x")
    with pytest.raises(DownloadError, match="unknown url type: file"):
        download(source.as_uri(), target, size=1, sha256="0", pause_seconds=0.0)


def test_a_write_error_is_not_taken_for_a_network_error(server, target):
    target.parent.mkdir()
    part(target).mkdir()
    with pytest.raises(OSError, match="directory"):
        get(server, target)
    assert len(server.ranges) <= 1
