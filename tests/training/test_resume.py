"""An interrupted run, resumed, ends bit for bit where the uninterrupted one ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
import toy_runs
from toy_runs import KINDS, UPDATES_PER_EPOCH, train

from grukit.core.errors import CheckpointError, Interrupted, ParameterError
from grukit.training.fit import LossSum


class Crash(Exception):
    pass


def crashing(loss, call, what):
    """The same loss, but `what` is done at its `call`-th call (from 1)."""
    calls = 0

    def crashing_loss(*arguments):
        nonlocal calls
        calls += 1
        if calls == call:
            what()
        return loss(*arguments)

    return crashing_loss


def crash():
    raise Crash


def equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def saved_step(folder):
    try:
        return int(json.loads((folder / "latest").read_text())["folder"].split("-")[1])
    except FileNotFoundError:
        return 0


@pytest.fixture(scope="module")
def uninterrupted():
    runs = {}
    for kind, toy_class in KINDS.items():
        toy = toy_class()
        runs[kind] = train(toy), toy.model
    return runs


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_after_a_crash_at_any_call_of_the_loss(kind, uninterrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    result, model = uninterrupted[kind]
    for call in range(1, 1000):
        toy = KINDS[kind]()
        arguments = {
            "config": replace(toy.config, save_every_seconds=0),
            "checkpoint": tmp_path / str(call),
        }
        try:
            train(toy, crashing(toy.loss, call, crash), **arguments)
            break
        except Crash:
            resumed = KINDS[kind]()
            if saved_step(tmp_path / str(call)) > 0:
                torch.nn.init.normal_(next(resumed.model.parameters()))
            assert train(resumed, resume=True, **arguments) == result
            assert equal(resumed.model, model)
    assert call > 3 * UPDATES_PER_EPOCH


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(kind, number, uninterrupted, tmp_path):
    result, model = uninterrupted[kind]
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    toy = KINDS[kind]()
    loss = crashing(toy.loss, 3, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match=r"stopped after update \d of 15.*resume") as caught:
        train(toy, loss, checkpoint=tmp_path)
    assert caught.value.signal == number
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert saved_step(tmp_path) == -(-3 // toy.config.accumulate)
    assert not equal(toy.model, model)
    assert train(toy, checkpoint=tmp_path, resume=True) == result
    assert equal(toy.model, model)


def test_a_signal_during_validation(uninterrupted, tmp_path):
    result, model = uninterrupted["carried"]
    toy = KINDS["carried"]()
    in_validation = UPDATES_PER_EPOCH + 1
    loss = crashing(toy.loss, in_validation, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Interrupted):
        train(toy, loss, checkpoint=tmp_path)
    assert train(toy, checkpoint=tmp_path, resume=True) == result
    assert equal(toy.model, model)


def test_a_second_signal_ends_the_run_at_once(tmp_path):
    toy = KINDS["shuffled"]()

    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="second signal"):
        train(toy, crashing(toy.loss, 3, twice), checkpoint=tmp_path)
    assert saved_step(tmp_path) == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_without_a_checkpoint_keeps_the_best_weights(uninterrupted):
    toy = KINDS["carried"]()
    best = {}

    def note_and_stop():
        best.update({name: value.clone() for name, value in toy.model.state_dict().items()})
        os.kill(os.getpid(), signal.SIGTERM)

    first_update_of_second_epoch = UPDATES_PER_EPOCH + 2 + 1
    loss = crashing(toy.loss, first_update_of_second_epoch, note_and_stop)
    with pytest.raises(Interrupted, match="the weights of epoch 1; there is no checkpoint"):
        train(toy, loss)
    assert all(torch.equal(best[name], value) for name, value in toy.model.state_dict().items())
    assert not toy.model.training


def test_ignored_signals_stay_ignored():
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        toy = KINDS["carried"]()
        train(toy, crashing(toy.loss, 3, lambda: os.kill(os.getpid(), signal.SIGINT)))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)


def test_outside_the_main_thread_training_works(uninterrupted):
    toy = KINDS["carried"]()
    thread = threading.Thread(target=train, args=(toy,))
    thread.start()
    thread.join()
    assert equal(toy.model, uninterrupted["carried"][1])


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CALL_IN_UPDATE_8 = 16


def test_a_process_ended_from_outside_in_the_middle_of_an_epoch(uninterrupted, tmp_path):
    result, model = uninterrupted["shuffled"]
    children = {}
    for number in SIGNALS:
        arguments = ["shuffled", str(tmp_path / number.name), str(CALL_IN_UPDATE_8)]
        command = [sys.executable, toy_runs.__file__, *arguments]
        children[number] = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    printed = {}
    for number, child in children.items():
        while child.poll() is None and saved_step(tmp_path / number.name) < 7:
            time.sleep(0.01)
        child.send_signal(number)
        (tmp_path / f"{number.name}.go").touch()
        printed[number] = child.communicate(timeout=60)[0]
    assert [child.returncode for child in children.values()] == [-9, 143, 130]
    assert "run the same again with resume" in printed[signal.SIGTERM]
    for number in SIGNALS:
        assert saved_step(tmp_path / number.name) in (7, 8)
        toy = KINDS["shuffled"]()
        assert train(toy, checkpoint=tmp_path / number.name, resume=True) == result
        assert equal(toy.model, model)


def test_a_finished_run_resumes_to_its_result(uninterrupted, tmp_path):
    result, model = uninterrupted["shuffled"]
    train(KINDS["shuffled"](), checkpoint=tmp_path)
    toy = KINDS["shuffled"]()
    assert train(toy, crashing(toy.loss, 1, crash), checkpoint=tmp_path, resume=True) == result
    assert equal(toy.model, model)


def test_best_weights_from_before_the_crash_are_kept(tmp_path):
    toy = KINDS["shuffled"]()
    epochs, best = [], {}

    def worse_in_every_epoch(model, batch):
        part = toy.loss(model, batch)
        if model.training:
            return part
        if not epochs:
            best.update({name: value.clone() for name, value in model.state_dict().items()})
        epochs.append(len(epochs))
        return LossSum(torch.tensor(float(len(epochs))), 1)

    calls_of_an_epoch = 11
    loss = crashing(worse_in_every_epoch, calls_of_an_epoch + 3, crash)
    with pytest.raises(Crash):
        train(toy, loss, checkpoint=tmp_path)
    result = train(toy, worse_in_every_epoch, checkpoint=tmp_path, resume=True)
    assert (result.best_epoch, len(result.history)) == (1, 3)
    assert all(torch.equal(best[name], value) for name, value in toy.model.state_dict().items())


def test_without_resume_a_run_starts_anew(uninterrupted, tmp_path):
    toy = KINDS["shuffled"]()
    with pytest.raises(Crash):
        train(toy, crashing(toy.loss, 12, crash), checkpoint=tmp_path)
    toy = KINDS["shuffled"]()
    train(toy, checkpoint=tmp_path)
    assert equal(toy.model, uninterrupted["shuffled"][1])


def test_resume_wants_a_checkpoint_folder():
    with pytest.raises(ParameterError, match="resume must come with a checkpoint folder"):
        train(KINDS["shuffled"](), resume=True)


def longer_validation(toy):
    toy.validation = toy.train


def wider_model(toy):
    toy.model[0], toy.model[1], toy.model[3] = (
        torch.nn.Linear(3, 9),
        torch.nn.BatchNorm1d(9),
        torch.nn.Linear(9, 1),
    )


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (None, {"config": {"learning_rate": 0.01}}, r"learning_rate was 0\.02, got 0\.01"),
        (None, {"config": {"epochs": 4}}, "epochs was 3, got 4"),
        (None, {"seed": 4}, "seed was 3, got 4"),
        (None, {"settings": {"lookback": 8}}, "lookback was 7, got 8"),
        (None, {"settings": {}}, "lookback was 7, got None"),
        (longer_validation, {}, "validation items was 7, got 36"),
        (wider_model, {}, r"model\.0\.bias was '\[8\] torch.float32', got '\[9\]"),
    ],
)
def test_another_run_is_refused_by_what_differs(tmp_path, change, arguments, message):
    toy = KINDS["shuffled"]()
    with pytest.raises(Crash):
        train(
            toy,
            crashing(toy.loss, 12, crash),
            checkpoint=tmp_path,
            config=replace(toy.config, save_every_seconds=0),
            settings={"lookback": 7},
        )
    toy = KINDS["shuffled"]()
    if change:
        change(toy)
    before = {name: value.clone() for name, value in toy.model.state_dict().items()}
    arguments = {"settings": {"lookback": 7}, **arguments}
    arguments["config"] = replace(toy.config, **arguments.get("config", {}))
    with pytest.raises(CheckpointError, match=message):
        train(toy, checkpoint=tmp_path, resume=True, **arguments)
    assert all(torch.equal(before[name], value) for name, value in toy.model.state_dict().items())


def test_the_comparison_sees_a_run_whose_random_state_is_lost(uninterrupted, tmp_path, monkeypatch):
    toy = KINDS["shuffled"]()
    with pytest.raises(Crash):
        train(
            toy,
            crashing(toy.loss, 12, crash),
            checkpoint=tmp_path,
            config=replace(toy.config, save_every_seconds=0),
        )
    monkeypatch.setattr("grukit.training.fit.seed_update", lambda device, seed, step: None)
    train(toy, checkpoint=tmp_path, resume=True)
    assert not equal(toy.model, uninterrupted["shuffled"][1])


def test_a_run_that_begins_anew_forgets_the_one_before(tmp_path):
    train(KINDS["carried"](), checkpoint=tmp_path)
    (tmp_path / "notes").touch()
    toy = KINDS["carried"]()
    with pytest.raises(Crash):
        train(toy, crashing(toy.loss, 1, crash), checkpoint=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    toy = KINDS["carried"]()

    def second():
        with pytest.raises(CheckpointError, match="another run is training"):
            train(KINDS["carried"](), checkpoint=tmp_path / "run")

    result = train(toy, crashing(toy.loss, 7, second), checkpoint=tmp_path / "run")
    assert len(result.history) == toy.config.epochs
