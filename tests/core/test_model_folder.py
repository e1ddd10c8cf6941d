"""A model folder is whole or not there, whatever happens while it is written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grukit.core import model_folder
from grukit.core.errors import ModelFolderError, ParameterError
from grukit.core.model_folder import read_model_folder, write_model_folder

OLD = ({"task": "forecast", "size": 1}, b"old weights", {"README.md": "old\r\ncard"})
NEW = ({"task": "forecast", "size": 2}, b"new weights", {"README.md": "new", "t.json": "{}"})
INTERRUPTIBLE = ("fsync", "rename", "replace", "mkdir", "rmdir", "unlink", "open", "close")


def content(path):
    folder = read_model_folder(path)
    return folder.config, folder.weights, folder.texts


def damage_config(path, **changes):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))


@pytest.fixture
def model(tmp_path):
    write_model_folder(tmp_path / "model", *OLD)
    return tmp_path / "model"


def test_what_is_written_is_read(model):
    assert content(model) == OLD
    config = json.loads((model / "config.json").read_text())
    assert (config["format"], config["texts"]) == (1, ["README.md"])
    assert os.listdir(model.parent) == ["model"]


def test_parents_are_made_and_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/b", "new/place"):
        write_model_folder(tmp_path / name, *OLD)
        assert content(tmp_path / name) == OLD


def test_a_model_is_replaced_without_leftovers(model):
    (model.parent / ".model.saving-12345678").mkdir()
    (model.parent / ".model.previous").mkdir()
    write_model_folder(model, *NEW)
    assert content(model) == NEW
    assert os.listdir(model.parent) == ["model"]


def test_a_link_to_a_model_stays_a_link(model):
    link = model.with_name("link")
    link.symlink_to(model)
    write_model_folder(link, *NEW)
    assert link.is_symlink()
    assert content(model) == content(link) == NEW


@pytest.mark.parametrize("foreign", [{"notes.txt": "x"}, {"config.json": '{"model_type": "bert"}'}])
def test_a_folder_of_something_else_is_not_overwritten(tmp_path, foreign):
    for name, text in foreign.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelFolderError, match="choose another place"):
        write_model_folder(tmp_path, *NEW)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == foreign


def test_a_strange_file_inside_a_model_is_not_lost(model):
    (model / "notes.txt").write_text("mine")
    with pytest.raises(ModelFolderError, match=r"got also notes\.txt"):
        write_model_folder(model, *NEW)
    assert (model / "notes.txt").read_text() == "mine"
    assert content(model) == OLD


def test_a_file_is_not_overwritten(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ModelFolderError, match="got the existing file"):
        write_model_folder(tmp_path / "file", *NEW)
    with pytest.raises(ModelFolderError, match="must be a folder"):
        read_model_folder(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("config", "texts", "message"),
    [
        ({"x": float("nan")}, {}, "without NaN"),
        ({"x": object()}, {}, "must be JSON"),
        ({"format": 3}, {}, "names format"),
        ({}, {"../x": ""}, "plain file name"),
        ({}, {"config.json": ""}, "plain file name"),
        ({}, {"..": ""}, "plain file name"),
        ({}, {"": ""}, "plain file name"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(model, config, texts, message):
    with pytest.raises(ParameterError, match=message):
        write_model_folder(model, config, b"", texts)
    assert content(model) == OLD


def test_a_missing_model(tmp_path):
    with pytest.raises(ModelFolderError, match="there is no model folder at"):
        read_model_folder(tmp_path / "model")
    with pytest.raises(ModelFolderError, match=r"it has no config\.json"):
        read_model_folder(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: (m / "config.json").write_text("{"), "must be JSON, got"),
        (lambda m: (m / "config.json").write_bytes(b"\xff"), "must be JSON, got"),
        (lambda m: (m / "config.json").write_text("[]"), "must be a JSON object, got list"),
        (lambda m: (m / "config.json").write_text("{}"), "must have a format number"),
        (lambda m: damage_config(m, format="1"), "must have a format number"),
        (
            lambda m: damage_config(m, format=7),
            r"newer grukit \(format 7, this grukit reads up to 1\): upgrade with pip install -U",
        ),
        (lambda m: (m / "model.safetensors").unlink(), "damaged"),
        (lambda m: (m / "model.safetensors").write_bytes(b"old weight"), "cut short"),
        (lambda m: (m / "model.safetensors").write_bytes(b"odd weights"), "altered"),
        (lambda m: (m / "README.md").unlink(), "damaged"),
        (lambda m: damage_config(m, texts=["../secret"]), "damaged"),
        (lambda m: damage_config(m, texts=5), "damaged"),
    ],
)
def test_a_damaged_model_is_refused(model, damage, message):
    (model.parent / "secret").write_text("not yours")
    damage(model)
    with pytest.raises(ModelFolderError, match=message):
        read_model_folder(model)


def calls_failing(monkeypatch, number, error):
    """Let the `number`-th call of any of the functions below raise; return the count of calls."""
    calls = []

    def failing(function):
        def call(*args, **kwargs):
            calls.append(function.__name__)
            if len(calls) == number:
                raise error
            return function(*args, **kwargs)

        return call

    for name in ("fsync", "rename", "mkdir", "open"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    return calls


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_every_failing_step_leaves_the_old_model_or_the_new(tmp_path, monkeypatch, error):
    outcomes = []
    for number in range(1, 100):
        path = tmp_path / str(number) / "model"
        write_model_folder(path, *OLD)
        with monkeypatch.context() as patch:
            calls = calls_failing(patch, number, error)
            try:
                write_model_folder(path, *NEW)
                raised = None
            except BaseException as caught:
                raised = caught
        left = content(path)
        assert left in (OLD, NEW)
        if raised is None:
            assert left == NEW
            if len(calls) < number:
                break
            continue
        outcomes.append("old" if left == OLD else "new")
        if isinstance(raised, OSError) and outcomes[-1] == "old":
            assert raised.errno == errno.ENOSPC
            assert "what was there before is untouched" in str(raised)
            assert os.listdir(path.parent) == ["model"]
    assert len(outcomes) > 8
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {"old", "new"}


KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from grukit.core.model_folder import read_model_folder, write_model_folder
assert "torch" not in sys.modules
root, functions = Path(sys.argv[1]), sys.argv[2:]
OLD = {"size": 1}, b"old" * 1000, {"README.md": "old"}
NEW = {"size": 2}, b"new" * 1000, {"README.md": "new"}

def dies(number):
    if os.fork() == 0:
        calls = 0
        def dying(function):
            def call(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)
            return call
        for name in functions:
            setattr(os, name, dying(getattr(os, name)))
        write_model_folder(path, *NEW)
        os._exit(0)
    return os.WIFSIGNALED(os.wait()[1])

number, left = 1, []
while True:
    path = root / str(number) / "model"
    write_model_folder(path, *OLD)
    dead = dies(number)
    folder = read_model_folder(path)
    left.append({OLD[1]: "old", NEW[1]: "new"}[folder.weights])
    assert folder.texts["README.md"] == left[-1]
    write_model_folder(path, *NEW)
    assert read_model_folder(path).weights == NEW[1]
    assert os.listdir(path.parent) == ["model"]
    if not dead:
        break
    number += 1
print(*left)
"""


def test_a_process_killed_at_any_step_leaves_a_loadable_model(tmp_path):
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, str(tmp_path), *INTERRUPTIBLE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    left = done.stdout.split()
    assert len(left) > 12
    assert left == sorted(left, reverse=True)
    assert set(left) == {"old", "new"}


def test_the_crash_test_sees_a_writer_that_is_not_atomic(tmp_path, monkeypatch):
    def write_in_place(path, config, weights, texts):
        files = model_folder._encode(config, weights, texts)
        for name, data in files.items():
            os.close(os.open(path / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
            Path(path / name).write_bytes(data)

    write_model_folder(tmp_path / "model", *OLD)
    with monkeypatch.context() as patch:
        calls_failing(patch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write_in_place(tmp_path / "model", *NEW)
    assert content_or_none(tmp_path / "model") not in (OLD, NEW)


def content_or_none(path):
    try:
        return content(path)
    except ModelFolderError:
        return None
