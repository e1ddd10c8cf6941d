"""Which CPU this is, and which of its instructions matter here."""

from __future__ import annotations

import platform
from pathlib import Path

INSTRUCTIONS = (
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "asimd",
    "asimddp",
    "bf16",
)


def features() -> str:
    """The model's name and the instructions, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    fields = {}
    for line in info.read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    known = fields.get("flags", fields.get("Features", "")).split()
    there = [name for name in INSTRUCTIONS if name in known]
    return f"{fields.get('model name', platform.machine())} ({', '.join(there)})"
