from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import grukit

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "numpy", "pandas", "narwhals", "pyarrow", "matplotlib", "typer", "rich"}


def loaded_by(statement: str) -> dict[str, int]:
    """Each module that a statement loads in a fresh interpreter, with its microseconds."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = (line.removeprefix("import time:").split("|") for line in result.stderr.splitlines())
    return {row[2].strip(): int(row[1]) for row in rows if row[1].strip().isdigit()}


def test_the_exports_are_these():
    assert grukit.__all__ == [
        "AnomalyDetector",
        "FitConfig",
        "Forecaster",
        "SpeechRecognizer",
        "TextClassifier",
        "TextGenerator",
        "Translator",
        "__version__",
        "nn",
    ]


@pytest.mark.parametrize("name", grukit.__all__)
def test_every_export_resolves(name):
    assert getattr(grukit, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Transformer"):
        _ = grukit.Transformer


def test_importing_grukit_loads_nothing_heavy():
    modules = loaded_by("import grukit")
    print(f"import grukit took {modules['grukit'] / 1000:.1f} ms")
    assert not HEAVY & modules.keys()


def test_the_import_check_sees_a_heavy_import():
    assert HEAVY & loaded_by("import grukit, numpy").keys() == {"numpy"}


def test_the_version_is_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == grukit.__version__
