"""examples/stream.c runs what Python has saved, and refuses every file that is not that."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from grukit import nn
from grukit.core import clib

ROOT = Path(__file__).parents[2]
COMPILER = next(filter(shutil.which, (os.environ.get("CC", "cc"), "gcc", "clang")), None)
pytestmark = [
    pytest.mark.needs_core,
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
]
LAYERS = {
    "gru": lambda: nn.GRU(3, 10),
    "gru-before": lambda: nn.GRU(3, 5, reset_after=False),
    "lstm": lambda: nn.LSTM(3, 17, bias=False),
    "rnn": lambda: nn.RNN(3, 4),
    "rnn-relu": lambda: nn.RNN(3, 4, nonlinearity="relu"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """The example, compiled and linked as docs/how-to/from-c.md says."""
    path = tmp_path_factory.mktemp("example") / "stream"
    library = Path(clib._find())
    command = [COMPILER, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", "csrc/include"]
    command += ["examples/stream.c", library, f"-Wl,-rpath,{library.parent}", "-o", path]
    subprocess.run(command, cwd=ROOT, check=True)
    return path


def run(program: Path, cell: str, file: Path, steps: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, cell, file], input=steps, capture_output=True, text=True, check=False, timeout=60
    )


def lines(x: torch.Tensor) -> str:
    return "".join(" ".join(map(repr, step)) + "\n" for step in x.tolist())


@pytest.mark.parametrize("cell", LAYERS)
def test_it_streams_a_saved_layer(program, cell, tmp_path):
    layer = LAYERS[cell]()
    save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    x = torch.randn(30, 3)
    result = run(program, cell, tmp_path / "layer.safetensors", lines(x))
    assert result.returncode == 0, result.stderr
    rows = [[float(word) for word in line.split()] for line in result.stdout.splitlines()]
    printed = torch.tensor(rows)

    torch.testing.assert_close(printed, layer(x)[0].detach())
    state, steps = None, []
    for one in x:
        output, state = layer.step(one, state)
        steps.append(output)
    torch.testing.assert_close(printed, torch.stack(steps))


def test_it_reads_metadata_and_answers_step_by_step(program, tmp_path):
    layer = LAYERS["gru"]()
    file = tmp_path / "layer.safetensors"
    save_file(layer.state_dict(), file, {"made": "here"})
    with subprocess.Popen(
        [program, "gru", file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        for _ in range(3):  # the answer comes before the next step
            running.stdin.write("1 2 3\n")
            running.stdin.flush()
            assert len(running.stdout.readline().split()) == 10
        running.stdin.close()
        assert running.wait() == 0


def saved(**changed: torch.Tensor | None) -> bytes:
    """A GRU of 3 inputs and 2 units as a file, with some tensors changed, or left out."""
    tensors = nn.GRU(3, 2).state_dict() | changed
    return save({name: tensor for name, tensor in tensors.items() if tensor is not None})


def with_header(header: str | dict, data: bytes = bytes(200)) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape=(6, 3), offsets=(0, 72), dtype="F32", **more) -> dict:
    return {"dtype": dtype, "shape": [*shape], "data_offsets": [*offsets], **more}


def one(**facts) -> bytes:
    return with_header({"weight_ih_l0": entry(**facts)})


HOSTILE = {
    "nothing": (b"", "a safetensors file, and whole"),
    "too short": (b"\x10\0\0", "a safetensors file, and whole"),
    "half a file": (saved()[:-8], "bias|weight"),
    "half a header": (saved()[:60], "a safetensors file, and whole"),
    "a header longer than all memory": (b"\xff" * 8 + b"{}", "a safetensors file, and whole"),
    "no header": (struct.pack("<Q", 0), "must have '{' at its byte 0"),
    "an open object": (with_header("{"), "must have '\"' at its byte 1"),
    "an open string": (with_header('{"weight_ih_l0'), "must have '\"' at its byte 14"),
    "an open list": (with_header('{"weight_ih_l0": {"shape": [1'), "must have ']'"),
    "an escape": (with_header('{"a\\u0041": 1}'), "must not have escapes"),
    "a zero byte": (with_header('{"a\0": 1}'), "must not have escapes"),
    "something behind": (with_header("{} {}"), "nothing must stand behind"),
    "no object of a tensor": (with_header('{"weight_ih_l0": 3}'), "must have '{'"),
    "a nested list": (with_header('{"weight_ih_l0": {"shape": [[1]]}}'), "a whole number"),
    "a negative offset": (one(offsets=(-4, 68)), "a whole number"),
    "a fraction": (one(offsets=(0.5, 72)), "must have ','|must have '\\]'"),
    "a number beyond all": (one(offsets=(0, 10**30)), "too large"),
    "past the end": (one(offsets=(160, 232)), "must lie in the file"),
    "backwards": (one(offsets=(72, 0)), "must lie in the file"),
    "another size": (one(shape=(6, 4)), "as many numbers as its shape"),
    "a shape that overflows": (one(shape=(2**32, 2**32), offsets=(0, 0)), "too large"),
    "a shape that wraps": (one(shape=(2**31, 2**31), offsets=(0, 0)), "too large"),
    "no shape": (with_header({"weight_ih_l0": {"dtype": "F32"}}), "must have a shape"),
    "no size": (one(shape=(), offsets=(0, 4)), "must have a shape"),
    "three sizes": (one(shape=(6, 3, 1)), "at most 2 numbers"),
    "three offsets": (one(offsets=(0, 72, 72)), "at most 2 numbers"),
    "another key": (one(colour="blue"), "must not have a key colour"),
    "half precision": (saved(weight_ih_l0=torch.zeros(6, 3, dtype=torch.float16)), "dtype F32"),
    "twice": (
        with_header(f'{{"weight_ih_l0": {json.dumps(entry())}, "weight_ih_l0": {{}}}}'),
        "must be there once",
    ),
    "no weights": (with_header({}), "must have weight_ih_l0"),
    "one weight": (saved(weight_hh_l0=None), "must have weight_ih_l0 and weight_hh_l0"),
    "one bias": (saved(bias_hh_l0=None), "both or neither"),
    "a short bias": (saved(bias_hh_l0=torch.zeros(5)), "as many elements"),
    "a vector of weights": (saved(weight_hh_l0=torch.zeros(12)), "two dimensions"),
    "no units": (saved(weight_hh_l0=torch.zeros(0, 0)), "rows for each of the 0 units"),
    "rows of another cell": (saved(weight_hh_l0=torch.zeros(8, 2)), "3 rows for each"),
    "a second layer": (save(nn.GRU(3, 2, num_layers=2).state_dict()), "must not have \\w+_l1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_refuses_a_file(program, name, tmp_path):
    content, message = HOSTILE[name]
    (tmp_path / "layer.safetensors").write_bytes(content)
    result = run(program, "gru", tmp_path / "layer.safetensors", "1 2 3\n")
    assert result.stdout == ""
    assert result.returncode == 1
    assert_refused(result.stderr, message)


@pytest.mark.parametrize(
    ("step", "message"),
    {
        "1 2": "step 2 must have 3 numbers, got 2",
        "": "step 2 must have 3 numbers, got 0",
        "1 2 3 4": "step 2 must have 3 numbers, got more",
        "1 2 x": "step 2 must be numbers, got x",
    }.items(),
)
def test_it_refuses_a_step(program, step, message, tmp_path):
    (tmp_path / "layer.safetensors").write_bytes(saved())
    result = run(program, "gru", tmp_path / "layer.safetensors", f"1 2 3\n{step}\n")
    assert len(result.stdout.splitlines()) == 1
    assert result.returncode == 1
    assert_refused(result.stderr, message)


def test_it_refuses_other_arguments(program, tmp_path):
    for cell, file, message in [
        ("transformer", "layer.safetensors", "must be gru, .*, got transformer"),
        ("gru", "missing", "cannot open .*missing"),
    ]:
        (tmp_path / "layer.safetensors").write_bytes(saved())
        result = run(program, cell, tmp_path / file, "")
        assert result.returncode == 1
        assert_refused(result.stderr, message)
    assert subprocess.run([program], capture_output=True, check=False).returncode == 1


def assert_refused(printed: str, message: str) -> None:
    """One line, of the program's own."""
    assert printed.startswith("stream: ")
    assert printed.count("\n") == 1
    assert re.search(message, printed)
