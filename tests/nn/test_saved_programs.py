"""What a process must import before it loads a program that torch.export has saved."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import torch
import grukit
print(hasattr(torch.ops.grukit, "gru"))
import grukit.nn
print(*(hasattr(torch.ops.grukit, name) for name in ("gru", "lstm", "rnn")))
"""


def test_grukit_nn_brings_the_ops_and_grukit_alone_does_not():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True", "True", "True"]
