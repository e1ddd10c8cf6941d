"""Sphinx configuration: Markdown pages, and a reference from docstrings written as plain text."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

import grukit
from grukit.cli.main import app as command_line

sys.path.insert(0, str(Path(__file__).parent))

project = "grukit"
author = "The grukit authors"
release = grukit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "_figures"]
html_theme = "furo"
html_show_copyright = False
html_title = f"grukit {release}"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False

# "name: what it is", the form in which docstrings list arguments; its columns matter.
LISTED = re.compile(r"^[\w.*`]+(, [\w.*`]+)*:(\s|$)", re.MULTILINE)


def as_rst(lines: list[str]) -> list[str]:
    """Prose paragraphs become prose; lists, equations, tables and examples stay as typed."""
    text = "\n".join(lines).strip("\n")
    paragraphs = re.split(r"\n{2,}", text)
    out: list[str] = []
    for prose, group in itertools.groupby(paragraphs, _is_prose):
        if prose:
            for paragraph in group:
                out += [*_escaped(paragraph).splitlines(), ""]
        else:
            body = "\n\n".join(group).splitlines()
            language = "pycon" if body[0].startswith(">>>") else "none"
            out += [f".. code-block:: {language}", "", *(f"   {line}" for line in body), ""]
    return out


def _is_prose(paragraph: str) -> bool:
    flush = all(line and not line[0].isspace() for line in paragraph.splitlines())
    return flush and not paragraph.startswith((">>>", "|", "- ")) and not LISTED.search(paragraph)


def _escaped(paragraph: str) -> str:
    parts = re.split(r"`+([^`]+)`+", paragraph)
    parts[::2] = [re.sub(r"([\\*_|])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)


def _rewrite(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst(lines)


def command_help(command: Any, words: tuple[str, ...] = ("grukit",)) -> str:
    """The --help of a command and of all below it, as Markdown."""
    shown = CliRunner().invoke(
        command_line, [*words[1:], "--help"], prog_name="grukit", terminal_width=80
    )
    parts = [f"## {' '.join(words)}", f"```text\n{shown.output.strip()}\n```"]
    for name, below in getattr(command, "commands", {}).items():
        parts.append(command_help(below, (*words, name)))
    return "\n\n".join(parts)


def _append_commands(app: Any, page: str, source: list[str]) -> None:
    if page == "reference/command-line":
        source[0] += "\n" + command_help(get_command(command_line))


def _draw(app: Any) -> None:
    import figures

    figures.draw(Path(app.srcdir) / "_figures")


def setup(app: Any) -> None:
    app.connect("builder-inited", _draw)
    app.connect("autodoc-process-docstring", _rewrite)
    app.connect("source-read", _append_commands)
