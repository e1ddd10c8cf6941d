"""The documentation works: the Python of every page runs, and its command lines are understood."""

from __future__ import annotations

import functools
import importlib
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.main import get_command

from grukit.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
MADE = {"_build", "_figures"}
PAGES += sorted(page for page in (ROOT / "docs").rglob("*.md") if not MADE & set(page.parts))
BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<body>.*?)^(?P=indent)```$", re.M | re.S)
FENCE = re.compile(r"^ *(?:```|~~~).*\b(python|bash|toml|output)\b", re.M)
FILE_NAME = re.compile(r"# (\S+\.toml)\n")
END_OF_COMMAND = {"|", ">", ">>", "&&", ";"}
NUMBER = re.compile(r"\d[\d,]*\.?\d*")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(text: str, kind: str) -> list[tuple[int, str]]:
    """The code blocks of one language: how many lines precede each, and its text."""
    return [
        (text.count("\n", 0, block.start("body")), textwrap.dedent(block["body"]))
        for block in BLOCK.finditer(text)
        if block["kind"] == kind
    ]


def run_page(page: Path) -> None:
    """Run the Python of a page in one namespace, every line where it stands in the page."""
    lines: list[str] = []
    for before, body in blocks(page.read_text(encoding="utf-8"), "python"):
        lines += [""] * (before - len(lines)) + body.splitlines()
    exec(compile("\n".join(lines), str(page), "exec"), {"__name__": "__page__"})


def words_and_numbers(line: str) -> tuple[list[str], list[float]]:
    """A printed line without its numbers and stars, and the numbers."""
    numbers = [float(number.replace(",", "")) for number in NUMBER.findall(line)]
    return NUMBER.sub("#", line.replace("*", "")).split(), numbers


def check_output(page: Path, printed: str) -> None:
    """Every line shown as output is printed, with numbers like the ones shown."""
    lines = [words_and_numbers(line) for line in printed.splitlines()]
    for _, body in blocks(page.read_text(encoding="utf-8"), "output"):
        for line in body.splitlines():
            words, numbers = words_and_numbers(line)
            found = [own for others, own in lines if others == words]
            assert any(own == pytest.approx(numbers, rel=0.25) for own in found), line


def write_config_files(page: Path) -> None:
    """Write the TOML blocks of a page that begin with a file name as a comment."""
    for _, body in blocks(page.read_text(encoding="utf-8"), "toml"):
        if named := FILE_NAME.match(body):
            Path(named[1]).write_text(body, encoding="utf-8")


def command_lines(page: Path) -> list[str]:
    """The command lines of a page that call grukit, continued lines as one."""
    scripts = [body for _, body in blocks(page.read_text(encoding="utf-8"), "bash")]
    lines = "\n".join(scripts).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("grukit ")]


def understand(line: str) -> None:
    """Parse one command line as grukit does, and do nothing; an error names what is wrong."""
    words = shlex.split(line, comments=True)[1:]
    stop = next((at for at, word in enumerate(words) if word in END_OF_COMMAND), len(words))
    commands: Any = get_command(app)
    disarm(commands)
    try:
        commands.main(words[:stop], prog_name="grukit", standalone_mode=False)
    except Exception as error:
        words_of = getattr(error, "format_message", error.__str__)
        raise AssertionError(f"{line}: {words_of()}") from error


def disarm(command: Any) -> None:
    for below in getattr(command, "commands", {}).values():
        disarm(below)
    command.callback = None


@pytest.fixture(autouse=True)
def quick_compile(monkeypatch):
    """Whole graphs, but no C++ compiler: tests/nn/test_compile.py has that."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))


@pytest.mark.filterwarnings(
    "ignore:`torch.jit.script.*` is deprecated:DeprecationWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
    "ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning",
    "ignore:The feature will be removed:DeprecationWarning",
)
@every_page
def test_a_page_works(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_config_files(page)
    for line in command_lines(page):
        understand(line)
    run_page(page)
    check_output(page, capsys.readouterr().out)


@every_page
def test_no_code_block_is_overlooked(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for kind in ("python", "bash", "toml", "output"):
        assert FENCE.findall(text).count(kind) == len(blocks(text, kind)), f"{page}: {kind}"


def test_the_figures_of_the_pages_are_drawn_from_saved_results(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    figures = importlib.import_module("figures")
    figures.draw(tmp_path)
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    wanted = set(re.findall(r"\.\./_figures/([\w.]+)", text))
    assert wanted == {file.name for file in tmp_path.iterdir()}
    assert len(wanted) >= 4
    lines = (tmp_path / "scores.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(figures.compared().questions)
    assert all("**" in line for line in lines[2:])


def test_there_is_something_to_check():
    getting_started = ROOT / "docs" / "getting-started.md"
    assert len(blocks(getting_started.read_text(encoding="utf-8"), "python")) >= 3
    assert len(command_lines(getting_started)) >= 3
    assert blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")


SABOTAGE = {
    "a failing snippet": ("python", "x = 1\nassert x > 1, 'x is 1'", AssertionError, "x is 1"),
    "a name that is gone": ("python", "from grukit import Oracle", ImportError, "Oracle"),
    "no Python": ("python", "model = ", SyntaxError, "invalid syntax"),
    "another answer": (
        "python",
        "print('MAE 1,500.0* of 3')\n```\n```output\nMAE 900.0 of 3",
        AssertionError,
        "MAE 900.0 of 3",
    ),
    "no such command": ("bash", "grukit tell data.csv", AssertionError, "No such command"),
    "no such subcommand": (
        "bash",
        "grukit train poems a.csv -o m",
        AssertionError,
        "No such command",
    ),
    "no such option": ("bash", "grukit predict m --speed 3", AssertionError, "No such option"),
    "a value outside its rule": (
        "bash",
        "grukit evaluate m d --stride 0",
        AssertionError,
        "Invalid value",
    ),
    "a forgotten option": (
        "bash",
        "grukit train forecast data.csv",
        AssertionError,
        "Missing option",
    ),
    "an option on the next line": (
        "bash",
        "grukit predict \\\n  m --tea",
        AssertionError,
        "No such option",
    ),
    "no such key": (
        "toml",
        "# train.toml\nhiden-size = 3\n```\n```bash\n"
        "grukit train forecast d -o m --config train.toml",
        AssertionError,
        "unknown key 'hiden-size'",
    ),
}


@pytest.mark.parametrize("name", SABOTAGE)
@pytest.mark.parametrize("indent", ["", "  "], ids=["flush", "in a list"])
def test_a_wrong_page_is_seen(name, indent, tmp_path, monkeypatch, capsys):
    kind, body, error, message = SABOTAGE[name]
    page = tmp_path / "page.md"
    block = textwrap.indent(f"```{kind}\n{body}\n```\n", indent)
    page.write_text(f"# Page\n\n{block}")
    with pytest.raises(error, match=message):
        test_a_page_works(page, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("fence", ["```python title", "~~~python", "```{code-block} python"])
def test_a_block_of_another_form_is_seen(fence, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{fence}\nx = 1\n{fence[:3]}\n")
    with pytest.raises(AssertionError, match="python"):
        test_no_code_block_is_overlooked(page)


def test_a_failure_is_shown_at_its_line(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```python\nx = 1\n```\n\n- one\n\n  ```python\n  1 / x - y\n  ```\n")
    with pytest.raises(NameError) as failure:
        run_page(page)
    assert failure.traceback[-1].lineno + 1 == 10


def test_output_may_differ_a_little(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```output\n   MAE\nGRU 1,000.5*\n```\n")
    check_output(page, "rows: 3\nMAE\n  GRU   999.0\n")
    with pytest.raises(AssertionError, match="GRU"):
        check_output(page, "MAE\nLSTM 1000.5")


def test_a_right_command_line_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    understand("grukit train forecast data.csv -o model --horizon 3 && exit # at last")
    assert not list(tmp_path.iterdir())
    with pytest.raises(typer.BadParameter):
        get_command(app).main(["evaluate", "m", "d", "--stride", "0"], standalone_mode=False)
