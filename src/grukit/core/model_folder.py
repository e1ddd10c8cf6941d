"""The one owner of the model folder format.

    MODEL/config.json         JSON object: the model's configuration, and what is listed in _OURS
    MODEL/model.safetensors   the weights
    MODEL/README.md, ...      further texts: the model card, a tokenizer

Writing makes a whole new folder beside MODEL and switches it in by rename; between the two
renames, and after a crash there, the old model is in `.MODEL.previous`, where reading finds it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grukit import __version__
from grukit.core.errors import ModelFolderError, ParameterError
from grukit.core.folders import sync_folder, write_new_folder

FORMAT = 1
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_OURS = {
    "format": "version of the format",
    "grukit": "version of grukit that wrote it",
    "sha256": "of model.safetensors",
    "texts": "names of the further files",
}


@dataclass(frozen=True)
class ModelFolder:
    """The content of a model folder.

    config:  what the caller of `write_model_folder` gave.
    weights: the bytes of a safetensors file.
    texts:   further text files by name.
    """

    config: dict[str, Any]
    weights: bytes
    texts: dict[str, str]


def write_model_folder(
    path: str | Path, config: Mapping[str, Any], weights: bytes, texts: Mapping[str, str]
) -> None:
    """Write a model folder, or replace one, in one switch; missing parent folders are made.

    A crash at any point leaves the old model or the new one; an error leaves the old one.

    config: JSON values without NaN or infinity, and without the names format, grukit, sha256 and
            texts, which this function adds.
    texts:  by plain file name.

    Raises ModelFolderError where `path` is something else than a model that grukit wrote,
    ParameterError for a config or name that cannot be stored, OSError (a full disk).
    """
    path = Path(os.path.realpath(path))
    files = _encode(config, weights, texts)
    check_replaceable(path)
    previous = _previous(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_unfinished(path)
        new = write_new_folder(path.parent, _unfinished_prefix(path), files)
        try:
            if path.exists():
                _remove(previous)
                os.rename(path, previous)
            os.rename(new, path)
        except BaseException:
            if not path.exists() and previous.exists():
                os.rename(previous, path)
            shutil.rmtree(new, ignore_errors=True)
            raise
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"the model could not be saved ({error.strerror or error}); "
            "what was there before is untouched",
            str(path),
        ) from error
    sync_folder(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def check_replaceable(path: str | Path) -> None:
    """Raise ModelFolderError unless writing a model at `path` would destroy nothing but a model.

    That is where `path` is free, an empty folder, or a model without any further file.
    """
    path = Path(path)
    if not path.exists():
        return
    if not path.is_dir():
        raise ModelFolderError(f"a model must be saved as a folder, got the existing file {path}")
    present = {entry.name for entry in path.iterdir()}
    if not present:
        return
    config = _read_config(path)
    if config is None or "grukit" not in config or not isinstance(config.get("texts"), list):
        raise ModelFolderError(
            f"{path} must be a grukit model or an empty folder to be overwritten, got a folder "
            "with other files: choose another place"
        )
    if strange := sorted(present - {_CONFIG, _WEIGHTS, *config["texts"]}):
        raise ModelFolderError(
            f"{path} must hold nothing but the model to be overwritten, got also "
            f"{', '.join(strange)}: move them away first"
        )


def read_model_folder(path: str | Path) -> ModelFolder:
    """Read a model folder, checking its weights against their sha256.

    Raises ModelFolderError where it is missing, not a model, damaged, or of a newer format.
    """
    named, path = path, Path(os.path.realpath(path))
    if not path.exists() and _previous(path).exists():
        path = _previous(path)
    if not path.exists():
        raise ModelFolderError(f"there is no model folder at {named}")
    if not path.is_dir():
        raise ModelFolderError(f"a model must be a folder, got the file {named}")
    config = _read_config(path)
    if config is None:
        raise ModelFolderError(f"{named} is not a grukit model: it has no {_CONFIG}")
    written = config.get("format")
    if not isinstance(written, int) or "grukit" not in config:
        raise ModelFolderError(
            f"{named} is not a grukit model: its {_CONFIG} must have a format number, "
            f"got {written!r}"
        )
    if written > FORMAT:
        raise ModelFolderError(
            f"{named} was written by a newer grukit (format {written}, this grukit reads up to "
            f"{FORMAT}): upgrade with pip install -U grukit"
        )
    try:
        weights = (path / _WEIGHTS).read_bytes()
        texts = {name: (path / _plain(name)).read_bytes().decode() for name in config["texts"]}
        wanted = config["sha256"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(f"the model in {named} is damaged: {error}") from error
    if hashlib.sha256(weights).hexdigest() != wanted:
        raise ModelFolderError(
            f"the model in {named} is damaged: {_WEIGHTS} was altered or cut short after writing"
        )
    return ModelFolder({k: v for k, v in config.items() if k not in _OURS}, weights, texts)


def _encode(
    config: Mapping[str, Any], weights: bytes, texts: Mapping[str, str]
) -> dict[str, bytes]:
    if taken := sorted(_OURS.keys() & config.keys()):
        raise ParameterError(f"config must leave the names {', '.join(taken)} to the model folder")
    for name in texts:
        _plain(name)
    ours = {
        "format": FORMAT,
        "grukit": __version__,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "texts": sorted(texts),
    }
    try:
        document = json.dumps({**ours, **config}, indent=2, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"config must be JSON values without NaN or infinity, got: {error}"
        ) from error
    encoded = {name: content.encode() for name, content in texts.items()}
    return {**encoded, _WEIGHTS: weights, _CONFIG: (document + "\n").encode()}


def _plain(name: str) -> str:
    if name in (_CONFIG, _WEIGHTS, "", "..") or Path(name).name != name:
        raise ParameterError(f"a text must have a plain file name of its own, got {name!r}")
    return name


def _read_config(path: Path) -> dict[str, Any] | None:
    """The config of a folder, or None where it has none."""
    try:
        config = json.loads((path / _CONFIG).read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path / _CONFIG} must be JSON, got: {error}") from error
    if not isinstance(config, dict):
        raise ModelFolderError(
            f"{path / _CONFIG} must be a JSON object, got {type(config).__name__}"
        )
    return config


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def _unfinished_prefix(path: Path) -> str:
    return f".{path.name}.saving-"


def _clear_unfinished(path: Path) -> None:
    for entry in path.parent.iterdir():
        if entry.name.startswith(_unfinished_prefix(path)):
            shutil.rmtree(entry, ignore_errors=True)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
