"""The texts of the repository say what is so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from grukit.core import env, extras

ROOT = Path(__file__).parents[2]
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:home|root|work|Users|tmp|opt|mnt)/\w|\b[A-Z]:\\\w")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table_rows(text: str) -> list[str]:
    """The rows of the tables in a text, without their padding."""
    return [
        re.sub(r"\s+", " ", line).strip().replace("`", "")
        for line in text.splitlines()
        if line.lstrip().startswith("| GRUKIT_") or line.lstrip().startswith("| `GRUKIT_")
    ]


def verbs(text: str) -> set[str]:
    return set(re.findall(r"(?:^|`)make ([a-z]+)", text, flags=re.MULTILINE))


def repository_files() -> list[Path]:
    """What git tracks or would add."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_environment_variable_is_in_the_tables():
    read_by_env = set(re.findall(r'"(GRUKIT_[A-Z_]+)"', read("src/grukit/core/env.py")))
    rows = table_rows(env.__doc__ or "")
    assert {row.split()[1] for row in rows} == read_by_env
    assert table_rows(read("docs/reference/environment.md")) == rows


def test_every_verb_shown_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    for text in ("README.md", "CONTRIBUTING.md", "docs/getting-started.md"):
        shown = verbs(read(text))
        assert shown, f"{text} shows no verb"
        assert shown <= targets, f"{text} shows verbs that do not exist: {shown - targets}"


def test_every_extra_named_in_errors_is_declared():
    declared = re.findall(r"^(\w+) = \[", read("pyproject.toml"), flags=re.MULTILINE)
    assert set(extras._EXTRA_OF.values()) <= set(declared)


def test_no_file_names_a_place_on_one_machine():
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in repository_files()
        if path != Path(__file__)
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert not found


@pytest.mark.parametrize("line", ["open('/home/me/x')", "cd /root/grukit", "C:\\Users\\me"])
def test_a_machine_path_is_seen(line):
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["/path/to/python", "src/work/x", "https://host/home/me"])
def test_other_paths_pass(line):
    assert not MACHINE_PATH.search(line)
