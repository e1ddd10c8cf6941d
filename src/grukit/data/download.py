"""One file over HTTP(S): resumed where it stopped, checked before it is put in place."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grukit.core.errors import DownloadError, must_be

Progress = Callable[[int, int], None]
_CHUNK_BYTES = 1 << 16


class _Passing(Exception):
    """A fault of the network that may be gone at the next try."""


def download(
    url: str,
    path: str | Path,
    *,
    size: int,
    sha256: str,
    progress: Progress | None = None,
    attempts: int = 4,
    timeout_seconds: float = 30.0,
    pause_seconds: float = 0.5,
) -> Path:
    """Fetch `url` into `path`, which appears only once size and sha256 are as declared.

    What has come lies in `path` + ".part"; a broken transfer, in this call or a later one, asks
    for the rest only. The pause between attempts doubles each time. `progress(done, size)` is
    called after every chunk, in bytes. Raises DownloadError, and OSError if writing fails.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(attempts):
        if attempt:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
        start = _resume_point(part, size)
        try:
            if start < size:
                _receive(url, part, start, size, progress, timeout_seconds)
        except _Passing as error:
            if attempt + 1 == attempts:
                raise DownloadError(f"cannot download {url}: {error}") from error
            continue
        got = file_sha256(part)
        if got == sha256:
            os.replace(part, path)
            return path
        part.unlink()
        if not start:
            raise DownloadError(f"{must_be(f'the sha256 of {url}', sha256, got)}; nothing was kept")
    raise DownloadError(f"cannot download {url}: what came never had the sha256 {sha256}")


def file_sha256(path: str | Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _resume_point(part: Path, size: int) -> int:
    """How many bytes of an earlier transfer can be kept."""
    have = part.stat().st_size if part.exists() else 0
    return have if have <= size else 0


def _receive(
    url: str, part: Path, start: int, size: int, progress: Progress | None, timeout_seconds: float
) -> None:
    with _open(url, start, timeout_seconds) as response:
        if start and not _continues(response, start, size):
            if response.status == 206:
                part.unlink()
                raise _Passing("the file on the server has changed")
            start = 0
        promised = response.headers.get("Content-Length")
        if promised is not None and start + int(promised) > size:
            part.unlink(missing_ok=True)
            raise DownloadError(_too_much(url, size))
        done = start
        with open(part, "ab" if start else "wb") as file:
            while chunk := _read(response):
                done += len(chunk)
                if done > size:
                    break
                file.write(chunk)
                if progress:
                    progress(done, size)
    if done > size:
        part.unlink()
        raise DownloadError(_too_much(url, size))
    if done < size:
        raise _Passing(f"the connection ended after {done} of {size} bytes")


def _open(url: str, start: int, timeout_seconds: float) -> Any:
    headers = {"User-Agent": "grukit", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        return _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 429 or error.code >= 500:
            raise _Passing(f"the server answers {error.code} {error.reason}") from error
        raise DownloadError(
            f"cannot download {url}: the server answers {error.code} {error.reason}"
        ) from error
    except urllib.error.URLError as error:
        raise _Passing(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(str(error) or type(error).__name__) from error


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS only: urllib's default would also follow a redirect to ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _continues(response: Any, start: int, size: int) -> bool:
    """Whether the answer is the rest that was asked for, of a file of the declared size."""
    wanted = f"bytes {start}-{size - 1}/{size}"
    return response.status == 206 and response.headers.get("Content-Range") == wanted


def _read(response: Any) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"the connection broke: {error or type(error).__name__}") from error


def _too_much(url: str, size: int) -> str:
    return f"cannot download {url}: the server sends more than the {size} bytes declared"
