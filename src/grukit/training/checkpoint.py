"""Checkpoints of a training run: whole or not there, without pickle.

    FOLDER/latest              JSON: which step folder is valid, and the sha256 of its files
    FOLDER/step-N-*/state.json          the structure, and every number and text
    FOLDER/step-N-*/state.safetensors   the tensors

A save writes a new step folder, then switches `latest` in one rename, then deletes older step
folders; a crash at any point leaves the checkpoint before it or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from grukit.core.errors import CheckpointError
from grukit.core.files import write_atomically
from grukit.core.folders import sync_folder, write_new_folder

FORMAT = 1
_STEP_FOLDER = re.compile(r"step-\d+-[0-9a-f]{8}")
_DIFFERENCES_SHOWN = 3


class Checkpoint:
    """The saved state of one run, in `folder`, which is made where it is missing.

    identity: what the result depends on (settings, sizes, shapes) as JSON values; a state is only
              given back to a run with the same.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._identity = json.loads(json.dumps(identity, allow_nan=False))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder for this run alone; on leaving, remove it if it is empty.

        Raises CheckpointError while another run holds it. The end of a process, however it comes,
        ends its hold.
        """
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            self._lock(folder)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    self.folder.rmdir()
        finally:
            os.close(folder)

    def clear(self) -> None:
        """Delete what was saved, by this run or another; files of anybody else stay."""
        (self.folder / "latest").unlink(missing_ok=True)
        for unfinished in self.folder.glob(".latest.*"):
            unfinished.unlink()
        self._delete_steps_but(None)

    def save(self, step: int, state: Any) -> None:
        """Save a tree of tensors, numbers, texts, tuples, lists and dicts.

        Raises OSError (a full disk) with the checkpoint before it untouched.
        """
        tensors: dict[str, Tensor] = {}
        content = {"format": FORMAT, "identity": self._identity, "state": _pack(state, tensors)}
        files = {
            "state.json": json.dumps(content, allow_nan=False).encode(),
            "state.safetensors": safetensors.torch.save(tensors),
        }
        new = None
        try:
            new = write_new_folder(self.folder, f"step-{step}-", files)
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
            latest = json.dumps({"folder": new.name, "sha256": sums})
            write_atomically(self.folder / "latest", latest)
            sync_folder(self.folder)
        except BaseException as error:
            if new is not None and self._latest_name() != new.name:
                shutil.rmtree(new, ignore_errors=True)
            if isinstance(error, OSError):
                raise OSError(
                    error.errno or errno.EIO,
                    f"the checkpoint of step {step} could not be saved "
                    f"({error.strerror or error}); the one before it is untouched",
                    str(self.folder),
                ) from error
            raise
        self._delete_steps_but(new)

    def load(self) -> Any:
        """The saved state with its tensors on the CPU, or None where nothing was saved yet.

        Raises CheckpointError for a damaged checkpoint and for one of another run.
        """
        if not has_checkpoint(self.folder):
            return None
        try:
            latest = json.loads((self.folder / "latest").read_text())
            files = {}
            for name, wanted in latest["sha256"].items():
                files[name] = (self.folder / latest["folder"] / name).read_bytes()
                if hashlib.sha256(files[name]).hexdigest() != wanted:
                    raise CheckpointError(self._damaged(f"{name} was altered"))
            content = json.loads(files["state.json"])
            if content["format"] > FORMAT:
                raise CheckpointError(
                    f"the checkpoint in {self.folder} was written by a newer grukit (format "
                    f"{content['format']}, this grukit reads up to {FORMAT}): upgrade with "
                    "pip install -U grukit"
                )
            self._check_identity(content["identity"])
            return _unpack(content["state"], safetensors.torch.load(files["state.safetensors"]))
        except CheckpointError:
            raise
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            safetensors.SafetensorError,
        ) as error:
            raise CheckpointError(self._damaged(f"{type(error).__name__}: {error}")) from error

    def _lock(self, folder: int) -> None:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckpointError(
                f"another run is training in {self.folder}: wait until it ends, or choose another "
                "place"
            ) from None
        except OSError:  # a file system without locks
            pass

    def _delete_steps_but(self, kept: Path | None) -> None:
        for folder in self.folder.iterdir():
            if folder != kept and _STEP_FOLDER.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def _latest_name(self) -> str | None:
        try:
            return json.loads((self.folder / "latest").read_text())["folder"]
        except (OSError, ValueError, KeyError):
            return None

    def _damaged(self, reason: str) -> str:
        return (
            f"the checkpoint in {self.folder} is damaged ({reason}); "
            "delete the folder and train from the beginning"
        )

    def _check_identity(self, saved: dict[str, Any]) -> None:
        differences = [
            f"{name} was {saved.get(name)!r}, got {self._identity.get(name)!r}"
            for name in {**self._identity, **saved}
            if saved.get(name) != self._identity.get(name)
        ]
        if differences:
            more = len(differences) - _DIFFERENCES_SHOWN
            shown = "; ".join(differences[:_DIFFERENCES_SHOWN]) + f"; and {more} more" * (more > 0)
            raise CheckpointError(
                f"the checkpoint in {self.folder} is of another run: {shown}. "
                "Resume with the settings and data it was made with, or train from the beginning"
            )


def has_checkpoint(folder: str | Path) -> bool:
    """Whether a run saved its state in `folder`."""
    return (Path(folder) / "latest").exists()


def pretraining_folder(checkpoint: str | Path) -> Path:
    """Where the state of a pretraining lies, in the folder of that of the training."""
    return Path(checkpoint) / "pretraining"


def remove_checkpoint(folder: str | Path) -> None:
    """Delete what a run saved in `folder`, and the folder unless it holds anything else.

    Raises CheckpointError while a run is training in it.
    """
    checkpoint = Checkpoint(folder, {})
    with checkpoint.held():
        checkpoint.clear()


def _pack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON for `tree`, its tensors moved into `tensors`."""
    if tree is None or type(tree) in (bool, int, float, str):
        return tree
    if isinstance(tree, Tensor):
        name = str(len(tensors))
        tensors[name] = tree.detach().cpu().clone().contiguous()
        return {"tensor": name}
    if isinstance(tree, Mapping):
        return {"dict": [[_pack(k, tensors), _pack(v, tensors)] for k, v in tree.items()]}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [_pack(member, tensors) for member in tree]}
    raise TypeError(
        "the state of a training run must be made of tensors, numbers, strings, tuples, lists and "
        f"dicts, got {type(tree).__name__}"
    )


def _unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(value, tensors) for key, value in content}
    members = [_unpack(member, tensors) for member in content]
    return tuple(members) if kind == "tuple" else members
