"""Every Python example asserts its own score; here each is run, where its data is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_example_reaches_its_score(example, request, tmp_path):
    source = example.read_text(encoding="utf-8")
    assert "assert " in source
    if "catalog.load" in source:
        request.getfixturevalue("data_folder")
    outcome = subprocess.run(
        [sys.executable, "-W", "error", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
