"""A checkpoint is whole or not there, and never taken for that of another run."""

from __future__ import annotations

import errno
import json
import os
from typing import NamedTuple

import pytest
import torch

from grukit.core.errors import CheckpointError
from grukit.training.checkpoint import Checkpoint, has_checkpoint, remove_checkpoint

IDENTITY = {"seed": 1, "hidden_size": [2, 3]}
STATE = {
    "numbers": [1, 0.1 + 0.2, 1e-320, True, None, "text"],
    3: (torch.tensor([1.0, torch.nan]), {"h": (torch.arange(3), torch.empty(0, 2))}),
    "half": torch.tensor(1.5, dtype=torch.bfloat16),
    "strided": torch.arange(6).reshape(2, 3).T,
    "empty": ((), [], {}),
}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.equal_nan(b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.fixture(autouse=True)
def equal_nan(monkeypatch):
    compare = lambda a, b: torch.equal(a.nan_to_num(7), b.nan_to_num(7))  # noqa: E731
    monkeypatch.setattr(torch.Tensor, "equal_nan", compare, raising=False)


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "run", IDENTITY)


def test_what_is_saved_is_loaded(checkpoint):
    assert checkpoint.load() is None
    checkpoint.save(4, STATE)
    assert same(Checkpoint(checkpoint.folder, IDENTITY).load(), STATE)
    assert not same(checkpoint.load(), {**STATE, "half": torch.tensor(1.5)})


def test_only_the_newest_is_kept_and_other_files_stay(checkpoint):
    for name in ("step-by-step", "step-1", "notes"):
        (checkpoint.folder / name).mkdir()
    for step in (4, 5, 5):
        checkpoint.save(step, step)
    names = sorted(path.name for path in checkpoint.folder.iterdir())
    assert [name for name in names if not name.startswith("step-5-")] == [
        "latest",
        "notes",
        "step-1",
        "step-by-step",
    ]
    assert len(names) == 5


def test_tensors_that_share_memory(checkpoint):
    weight = torch.ones(3)
    checkpoint.save(1, {"a": weight, "b": weight, "c": weight[:2]})
    assert torch.equal(checkpoint.load()["c"], weight[:2])


class Pair(NamedTuple):
    h: int
    c: int


@pytest.mark.parametrize("state", [{1}, Pair(1, 2), torch.nn.Linear(1, 1), 1j])
def test_what_cannot_come_back_as_it_was_is_refused(checkpoint, state):
    checkpoint.save(1, "before")
    with pytest.raises(TypeError, match="must be made of tensors"):
        checkpoint.save(2, state)
    assert checkpoint.load() == "before"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_save_failing_at_any_step_leaves_the_one_before_or_the_new(tmp_path, monkeypatch, error):
    left, messages = [], set()
    for number in range(1, 100):
        checkpoint = Checkpoint(tmp_path / str(number), IDENTITY)
        checkpoint.save(1, "before")
        calls = 0

        def failing(function, number=number):
            def call(*args, **kwargs):
                nonlocal calls
                calls += 1
                if calls == number:
                    raise error
                return function(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in ("fsync", "replace", "mkdir", "open", "fdopen"):
                patch.setattr(os, name, failing(getattr(os, name)))
            try:
                checkpoint.save(2, "new")
                break
            except OSError as caught:
                messages.add((caught.errno, caught.strerror))
            except KeyboardInterrupt:
                pass
        left.append(checkpoint.load())
        assert len(list(checkpoint.folder.glob("step-*"))) in (1, 2)
    assert left == sorted(left)
    if isinstance(error, OSError):
        message = "the checkpoint of step 2 could not be saved (No space left on device)"
        assert messages == {(errno.ENOSPC, f"{message}; the one before it is untouched")}
    assert left.count("before") > 6


def alter(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
@pytest.mark.parametrize(
    "damage", [alter, lambda path: path.unlink(), lambda path: path.write_bytes(b"")]
)
def test_a_damaged_file(checkpoint, name, damage):
    checkpoint.save(1, STATE)
    damage(next(checkpoint.folder.glob("step-*")) / name)
    with pytest.raises(CheckpointError, match=r"is damaged .*; delete the folder"):
        checkpoint.load()


@pytest.mark.parametrize("latest", ["", "{", "[]", "{}", '{"folder": 1, "sha256": {"a": "b"}}'])
def test_a_damaged_pointer(checkpoint, latest):
    checkpoint.save(1, STATE)
    (checkpoint.folder / "latest").write_text(latest)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.load()


def test_a_newer_format(checkpoint, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("grukit.training.checkpoint.FORMAT", 7)
        checkpoint.save(1, STATE)
    with pytest.raises(CheckpointError, match=r"newer grukit \(format 7, .* up to 1\): upgrade"):
        checkpoint.load()


def test_another_run(checkpoint):
    checkpoint.save(1, STATE)
    other = Checkpoint(checkpoint.folder, {"seed": 2, "hidden_size": (2, 3)})
    with pytest.raises(CheckpointError, match=r"of another run: seed was 1, got 2\. Resume with"):
        other.load()


def test_only_the_first_differences_to_another_run_are_listed(tmp_path):
    checkpoint = Checkpoint(tmp_path, dict.fromkeys("zabcd", 1))
    checkpoint.save(1, STATE)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(tmp_path, dict.fromkeys("zabcd", 2)).load()
    listed = "z was 1, got 2; a was 1, got 2; b was 1, got 2; and 2 more. Resume"
    assert listed in str(caught.value)


def test_two_runs_never_share_a_folder(checkpoint):
    other = Checkpoint(checkpoint.folder, IDENTITY)
    with checkpoint.held():
        checkpoint.save(1, STATE)
        with pytest.raises(CheckpointError, match="another run is training in"), other.held():
            pass
        with pytest.raises(CheckpointError, match="another run is training in"):
            remove_checkpoint(checkpoint.folder)
        assert same(checkpoint.load(), STATE)
    with other.held():
        assert same(other.load(), STATE)


def test_an_empty_folder_is_gone_after_the_run_however_it_ends(checkpoint):
    with pytest.raises(ZeroDivisionError), checkpoint.held():
        raise ZeroDivisionError
    assert not checkpoint.folder.exists()


def test_only_what_a_run_saved_is_removed(checkpoint):
    checkpoint.save(1, STATE)
    (checkpoint.folder / ".latest.unfinished").touch()
    assert has_checkpoint(checkpoint.folder)
    remove_checkpoint(checkpoint.folder)
    assert not checkpoint.folder.exists()
    checkpoint = Checkpoint(checkpoint.folder, IDENTITY)
    checkpoint.save(1, STATE)
    (checkpoint.folder / "step-by-step").write_text("mine")
    remove_checkpoint(checkpoint.folder)
    assert [path.name for path in checkpoint.folder.iterdir()] == ["step-by-step"]
    assert not has_checkpoint(checkpoint.folder)


def test_no_pickle(checkpoint):
    checkpoint.save(1, STATE)
    folder = next(checkpoint.folder.glob("step-*"))
    assert sorted(os.listdir(folder)) == ["state.json", "state.safetensors"]
    json.loads((folder / "state.json").read_text())


def test_a_folder_that_cannot_be_made_is_seen_before_training(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        Checkpoint(tmp_path / "file", IDENTITY)
