"""Who may import whom in src/grukit; ARCHITECTURE.md gives the reasons.

Reads the source without running it, so imports inside functions, under TYPE_CHECKING and through
`extras.require("...")` count like any other.

    python tools/check_layers.py [PACKAGE_FOLDER]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROWS = (
    ("cli", "server"),
    ("insight", "recipes"),
    ("export",),
    ("tasks",),
    ("plots",),
    ("training", "decoding", "evaluation", "data"),
    ("results",),
    ("nn",),
    ("ops",),
    ("core",),
)
PAIRS = {("evaluation", "data"), ("decoding", "data")}
"""Importer and imported within one row."""

TASKS = {"anomaly", "classification", "forecasting", "generation", "speech", "translation"}
"""Files of tasks/ that are tasks, beside what they share."""

ONLY_IN = {
    "matplotlib": ("grukit.plots",),
    "plotly": ("grukit.plots",),
    "keras": ("grukit.nn.convert.keras_layers",),
    "onnx": ("grukit.nn.convert.onnx_reader", "grukit.nn.convert.onnx_writer"),
    "optuna": ("grukit.tasks.tuning",),
    "sklearn": ("grukit.evaluation.linear_text", "grukit.tasks.classification"),
    "sacrebleu": ("grukit.evaluation.translation_metrics",),
    "jiwer": ("grukit.evaluation.speech_metrics",),
    "kaldi_native_fbank": ("grukit.data.audio_features",),
    "soundfile": ("grukit.data",),
    "soxr": ("grukit.data",),
    "sounddevice": ("grukit.cli",),
    "typer": ("grukit.cli", "grukit.training.progress"),
    "rich": ("grukit.cli", "grukit.training.progress"),
    "os.environ": ("grukit.core.env",),
    "os.getenv": ("grukit.core.env",),
    "ctypes": ("grukit.core.clib",),
    "triton": (),
    "pickle": (),
    "eval": (),
    "exec": (),
    "torch.save": (),
    "torch.load": (),
}
NEVER_IN = {"torch": ("grukit.core", "grukit.results")}

HEIGHT = {name: -row for row, names in enumerate(ROWS) for name in names}


def problems(package: Path) -> list[str]:
    """Every breach below the folder of grukit, one line each."""
    files = sorted(package.rglob("*.py"))
    if not files:
        return [f"{package} holds no Python file"]
    found = []
    for path in files:
        parts = path.relative_to(package.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        for line, name in _uses(ast.parse(path.read_text(encoding="utf-8"))):
            if reason := _breach(module, name):
                found.append(f"{path}:{line}: {module} must not use {name}: {reason}")
    return found


def _uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Each outside name that the source reaches for, in full: `os.environ`, `grukit.nn.gru`."""
    alias: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                head = item.name.partition(".")[0]
                alias[item.asname or head] = item.name if item.asname else head
                yield node.lineno, item.name
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for item in node.names:
                alias[item.asname or item.name] = f"{base}.{item.name}"
                yield node.lineno, f"{base}.{item.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            head, _, rest = ast.unparse(node).partition(".")
            if head in alias:
                yield node.lineno, f"{alias[head]}.{rest}"
        elif isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            if function in ("eval", "exec"):
                yield node.lineno, function
            if function.rpartition(".")[2] in ("require", "import_module", "__import__"):
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield node.lineno, argument.value


def _breach(module: str, name: str) -> str | None:
    importer, imported = _part(module), _part(name)
    if name.startswith("."):
        return "imports are absolute"
    if importer == imported == "tasks" and {_task(module), _task(name)} <= TASKS:
        return None if _task(module) == _task(name) else "tasks never import tasks"
    if _within(name, "grukit"):
        return _layer_breach(importer, imported)
    if importer == "testing":
        return None
    for wall, homes in ONLY_IN.items():
        if _within(name, wall) and not any(_within(module, home) for home in homes):
            return f"{wall} belongs only in {' and '.join(homes) or 'no module'}"
    for wall, homes in NEVER_IN.items():
        if _within(name, wall) and any(_within(module, home) for home in homes):
            return f"{wall} must stay out of {' and '.join(homes)}"
    return None


def _layer_breach(importer: str, imported: str) -> str | None:
    if imported == "__version__" or importer in ("testing", imported):
        return None
    if imported == "testing":
        return "nothing imports testing"
    if importer in ("", "__main__"):
        return None
    if importer not in HEIGHT:
        return f"{importer} has no row"
    if imported not in HEIGHT:
        return "name a module that has a row"
    if HEIGHT[importer] > HEIGHT[imported] or (importer, imported) in PAIRS:
        return None
    return "imports go down only, and within a row only between the pairs listed"


def _part(dotted: str) -> str:
    """The part of the house: `nn` for `grukit.nn.gru`, nothing for `grukit` itself."""
    return dotted.partition(".")[2].partition(".")[0]


def _task(dotted: str) -> str:
    return _part(dotted.partition(".")[2])


def _within(dotted: str, prefix: str) -> bool:
    return dotted == prefix or dotted.startswith(f"{prefix}.")


def main() -> int:
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("src/grukit")
    found = problems(package)
    print("\n".join(found) or f"import layers hold in {package}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
