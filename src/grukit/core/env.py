"""The only reader of environment variables.

| variable       | meaning                                           | default          |
| -------------- | ------------------------------------------------- | ---------------- |
| GRUKIT_BACKEND | the backend every recurrent op must use           | automatic choice |
| GRUKIT_ISA     | the instruction set of the native core            | the best         |
| GRUKIT_DATA    | folder of data sets that are on this machine      | none             |
| GRUKIT_CACHE   | folder for downloaded data sets                   | ~/.cache/grukit  |
"""

from __future__ import annotations

import os
from pathlib import Path


def backend() -> str | None:
    """The backend asked for by name, or None for the automatic choice."""
    return os.environ.get("GRUKIT_BACKEND") or None


def isa() -> str | None:
    """The instruction set that the native core must use, or None for the best."""
    return os.environ.get("GRUKIT_ISA") or None


def data_folder() -> Path | None:
    """The folder of data sets already on this machine, if one is named."""
    value = os.environ.get("GRUKIT_DATA")
    return Path(value).expanduser() if value else None


def cache_folder() -> Path:
    """Where downloaded data sets are kept."""
    value = os.environ.get("GRUKIT_CACHE")
    return Path(value).expanduser() if value else Path.home() / ".cache" / "grukit"
