"""The files of a data set: what each must be, and how many are fetched as one.

`manifests/NAME.txt` lists the files of a folder, one a line: sha256, size in bytes, path.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from grukit.core.errors import must_be
from grukit.data.download import Progress, download, file_sha256


@dataclass(frozen=True)
class File:
    """One file: its path below the data set's, its size in bytes and its sha256."""

    path: str
    size: int
    sha256: str

    def damage(self, root: Path) -> str | None:
        """What is wrong with the copy below `root`, or None."""
        file, name = root / self.path, f"{self.path}: " if self.path else ""
        if not file.is_file():
            return f"{name}there is no such file"
        if (size := file.stat().st_size) != self.size:
            return must_be(f"{name}its size in bytes", str(self.size), size)
        if (sha256 := file_sha256(file)) != self.sha256:
            return must_be(f"{name}its sha256", self.sha256, sha256)
        return None


@lru_cache
def manifest(name: str) -> tuple[File, ...]:
    """The files that make up the folder of a data set."""
    text = (resources.files("grukit.data") / "manifests" / f"{name}.txt").read_text("utf-8")
    rows = [line.split(maxsplit=2) for line in text.splitlines()]
    return tuple(File(path, int(size), sha256) for sha256, size, path in rows)


def download_folder(
    url: str, folder: Path, files: Sequence[File], progress: Progress | None = None
) -> Path:
    """Fetch `files` from below `url` into `folder`, which appears only once all are there.

    What has come lies in `folder` + ".part", where a later call goes on. Raises DownloadError, and
    OSError if writing fails; an old folder stays until the new one is whole.
    """
    part = folder.with_name(folder.name + ".part")
    size, done = sum(file.size for file in files), 0
    for file in files:
        if file.damage(part) is not None:
            download(
                f"{url}/{quote(file.path)}", part / file.path, size=file.size, sha256=file.sha256
            )
        done += file.size
        if progress:
            progress(done, size)
    _switch_in(part, folder)
    return folder


def copy_folder(source: Path, folder: Path, files: Sequence[File]) -> Path:
    """Copy `files` from `source` into `folder`, which appears only once all are there."""
    part = folder.with_name(folder.name + ".part")
    for file in files:
        (part / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, part / file.path)
    _switch_in(part, folder)
    return folder


def _switch_in(part: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
    os.replace(part, folder)
    shutil.rmtree(old, ignore_errors=True)
