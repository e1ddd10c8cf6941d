from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKER = ROOT / "tools" / "check_layers.py"


def run_checker(package: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CHECKER, package], capture_output=True, text=True, check=False
    )


def house_with(tmp_path: Path, module: str, source: str) -> Path:
    file = tmp_path / "grukit" / f"{module}.py"
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    return tmp_path / "grukit"


def test_the_house_keeps_its_layers():
    result = run_checker(ROOT / "src" / "grukit")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core/low", "from grukit.ops import dispatch"),
        ("core/low", "import grukit.nn"),
        ("core/low", "from grukit import nn"),
        ("core/low", "import grukit"),
        ("ops/low", "def late():\n    from grukit.nn.gru import GRU"),
        ("nn/low", "if TYPE_CHECKING:\n    from grukit.results import Forecast"),
        ("nn/low", "importlib.import_module('grukit.tasks.forecasting')"),
        ("results", "from grukit.data.frames import Panel"),
        ("plots/low", "from grukit.tasks.forecasting import Forecaster"),
        ("tasks/low", "from grukit.cli.main import main"),
        ("tasks/anomaly", "from grukit.tasks.forecasting import Forecaster"),
        ("data/low", "from grukit.evaluation import metrics"),
        ("data/low", "from grukit.training import fit"),
        ("training/low", "from grukit.data import windows"),
        ("training/low", "from grukit.evaluation import metrics"),
        ("evaluation/low", "from grukit.training import fit"),
        ("nn/low", "from .gru import GRU"),
        ("cli/low", "from grukit.testing import check_layer"),
        ("__init__", "from grukit import testing"),
        ("attic/low", "from grukit.core import errors"),
        ("tasks/low", "import matplotlib.pyplot as plt"),
        ("tasks/low", "pyplot = require('matplotlib.pyplot')"),
        ("evaluation/low", "import plotly.graph_objects as go"),
        ("tasks/speech", "soundfile = require('soundfile')"),
        ("training/fit", "from rich.progress import Progress"),
        ("tasks/low", "import typer"),
        ("data/low", "import os\nfolder = os.environ['HOME']"),
        ("data/low", "import os as system\nfolder = system.getenv('HOME')"),
        ("data/low", "from os import environ"),
        ("core/low", "import ctypes"),
        ("ops/low", "import triton.language as tl"),
        ("core/low", "import torch"),
        ("results", "def late():\n    from torch import Tensor"),
        ("training/low", "import pickle"),
        ("training/low", "import torch\ntorch.save({}, 'file')"),
        ("training/low", "from torch import load"),
        ("training/low", "import torch as t\nt.load('file')"),
        ("data/low", "eval('1 + 1')"),
    ],
)
def test_each_breach_is_found(tmp_path, module, source):
    result = run_checker(house_with(tmp_path, module, source))
    assert result.returncode == 1
    assert f"{module}.py:" in result.stdout


def test_an_empty_folder_is_a_problem(tmp_path):
    assert run_checker(tmp_path).returncode == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli/high", "import typer\nfrom grukit.tasks.forecasting import Forecaster"),
        ("tasks/anomaly", "from grukit.tasks.base import Estimator"),
        ("evaluation/high", "from grukit.data import windows"),
        ("plots/high", "import matplotlib\nfrom grukit.results import Forecast"),
        ("training/progress", "from rich.progress import Progress"),
        ("core/env", "import os\nfolder = os.environ['HOME']"),
        ("core/clib", "import ctypes"),
        ("testing/anything", "import pickle\nfrom grukit.cli import main"),
        ("core/model_folder", "from grukit import __version__"),
        ("__init__", "from grukit.tasks.forecasting import Forecaster"),
    ],
)
def test_what_is_allowed_passes(tmp_path, module, source):
    result = run_checker(house_with(tmp_path, module, source))
    assert result.returncode == 0, result.stdout
