"""grukit doctor: what this machine has, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from typing import Any

from grukit import __version__
from grukit.cli.options import Json
from grukit.cli.output import show, show_json, table
from grukit.core import clib, env
from grukit.core.errors import BackendError


def doctor(json: Json = False) -> None:
    """Show what this machine has, and what it lacks.

    Versions, optional packages, hardware, the native core, backends with their reasons, settings
    and data sets.
    """
    report = examine()
    if json:
        show_json(report)
        return
    for title, content in report.items():
        show(f"{title}\n{_indented(_text(content))}\n")


def examine() -> dict[str, Any]:
    """The whole report as JSON values, one section a key."""
    return {
        "versions": _versions(),
        "extras": _extras(),
        "hardware": _hardware(),
        "native core": _native_core(),
        "backends": _backends(),
        "settings": {
            "GRUKIT_BACKEND": env.backend(),
            "GRUKIT_ISA": env.isa(),
            "GRUKIT_DATA": None if env.data_folder() is None else str(env.data_folder()),
            "GRUKIT_CACHE": str(env.cache_folder()),
        },
        "data sets": _data_sets(),
    }


def _versions() -> dict[str, str]:
    return {
        "grukit": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": importlib.metadata.version("torch"),
        "numpy": importlib.metadata.version("numpy"),
    }


def _extras() -> dict[str, dict[str, str | None]]:
    """Per extra, each package with its version, None where it is missing."""
    extras: dict[str, dict[str, str | None]] = {}
    for line in importlib.metadata.requires("grukit") or []:
        match = re.match(r"([\w.-]+).*\bextra == ['\"]([\w-]+)['\"]", line)
        if match and match[2] != "all":
            extras.setdefault(match[2], {})[match[1]] = _installed(match[1])
    return extras


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hardware() -> dict[str, Any]:
    import torch

    return {
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def _native_core() -> dict[str, Any]:
    """The kernels that run, those that could, and extensions in use; or why there are none."""
    try:
        if why := clib.why_missing():
            return {"missing": f"{why}; GRUKIT_REQUIRE_NATIVE=1 pip install . shows more"}
    except BackendError as error:
        return {"missing": str(error)}
    return {
        "instructions": clib.isa(),
        "possible": [name for name in clib.isas() if name in clib.SETS],
        "extensions": [name for name in clib.isas() if name not in clib.SETS],
        "folder": str(clib.folder()),
    }


def _backends() -> dict[str, list[str]]:
    """Per backend, in order of preference, its objections to a common training call."""
    import torch

    from grukit.ops import gru
    from grukit.ops.contract import SAVE_ALL, Arguments, Call
    from grukit.ops.dispatch import Backend

    shapes = ((96, 64, 16), (64, 64), (192, 16), (192, 64))
    tensors = Arguments(*(torch.empty(shape) for shape in shapes))
    call = Call.of(gru.cell, tensors, variant="after", save=SAVE_ALL)

    def objections(backend: Backend) -> list[str]:
        try:
            return list(backend.why_not(call))
        except BackendError as error:
            return [str(error)]

    return {backend.name: objections(backend) for backend in gru.backends}


def _data_sets() -> dict[str, str | None]:
    from grukit.data import catalog

    found = {dataset.name: catalog.locate(dataset.name) for dataset in catalog.available()}
    return {name: f"{copy.source}, {copy.path}" if copy else None for name, copy in found.items()}


def _text(section: dict[str, Any]) -> str:
    return table([(name, _words(name, value)) for name, value in section.items()])


def _words(name: str, value: Any) -> str:
    if isinstance(value, dict):
        have = ", ".join(f"{package} {version or 'missing'}" for package, version in value.items())
        return have if all(value.values()) else f"{have}: pip install 'grukit[{name}]'"
    if isinstance(value, list):
        return "; ".join(value) or ("none" if name in ("gpus", "extensions") else "can run")
    return "-" if value is None else str(value)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
