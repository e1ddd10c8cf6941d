from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from grukit.core.errors import DataError, DivergenceError, GrukitError, Interrupted, ParameterError
from grukit.data.problems import problem
from grukit.insight import compare as module
from grukit.insight import trial as trial_module
from grukit.insight.compare import compare, read_comparison
from grukit.insight.setups import BUDGETS, Setup
from grukit.insight.trial import (
    Trial,
    loss_of,
    memory_bytes,
    memory_of,
    run,
    saved,
    score_of,
)
from grukit.nn.by_name import LAYER_OF
from grukit.nn.sequence_model import (
    SequenceModel,
    parameters_of,
    width_for,
)
from grukit.results.comparison import run_to_dict
from grukit.training.losses import LossSum

TINY = Setup(
    sizes={"length": 12, "train": 96, "test": 32},
    parameters=400,
    width=7,
    rates=(0.003, 0.03),
    training={"epochs": 3, "batch_size": 32},
)
each_cell = pytest.mark.parametrize("cell", tuple(LAYER_OF))


def tiny(folder, cells=("rnn", "gru"), **more):
    return compare({"adding": TINY}, cells, folder=folder, **{"seeds": 2, **more})


@each_cell
def test_networks_have_about_equal_parameters(cell):
    width = width_for(20_000, cell, 10, 9, 1)
    found = parameters_of(SequenceModel(cell, 10, width, 9))
    assert found == pytest.approx(20_000, rel=0.03)
    for other in (width - 1, width + 1):
        away = abs(parameters_of(SequenceModel(cell, 10, other, 9)) - 20_000)
        assert away >= abs(found - 20_000)


@each_cell
def test_a_model_answers_at_the_steps_asked_alone(cell):
    model = SequenceModel(cell, 2, 5, 3).eval()
    inputs, lengths = torch.randn(4, 2, 2), torch.tensor([4, 2])
    asked = torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=torch.bool)
    answers = model(inputs, lengths, asked)
    assert answers.shape == (4, 3)
    changed = inputs.clone()
    changed[2:, 1] += 1  # beyond the second sequence's end
    assert torch.equal(model(changed, lengths, asked), answers)
    sole = model(inputs[:2, 1:], torch.tensor([2]), asked[:2, 1:])
    assert torch.allclose(sole, answers[[0, 2]], atol=1e-6)


def test_an_lstm_begins_with_a_forget_bias_of_one():
    layer = SequenceModel("lstm", 2, 5, 1).recurrent
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[5:10].tolist() == [1.0] * 5
    assert (layer.bias_ih_l0 + layer.bias_hh_l0)[:5].tolist() == [0.0] * 5


def test_a_mingru_has_a_layer_more_and_no_absurd_width():
    layers = [SequenceModel(cell, 2, 5, 1).recurrent.num_layers for cell in LAYER_OF]
    assert layers == [2 if cell == "mingru" else 1 for cell in LAYER_OF]
    assert width_for(70_000, "mingru", 2, 1, 1) < 300


def test_products_are_those_of_a_step_and_the_head():
    assert SequenceModel("gru", 2, 5, 1).multiply_adds == 3 * 5 * (2 + 5) + 5
    assert SequenceModel("lstm", 2, 5, 3).multiply_adds == 4 * 5 * (2 + 5) + 5 * 3
    assert SequenceModel("mingru", 2, 5, 1).multiply_adds == 2 * 5 * 2 + 2 * 5 * 5 + 5


def test_what_is_dropped_is_dropped_in_training_alone():
    model = SequenceModel("gru", 2, 5, 1, 1, 0.1, 0.2, 0.5)
    layer = model.recurrent
    assert (layer.input_dropout, layer.recurrent_dropout, model.output_dropout) == (0.1, 0.2, 0.5)
    assert SequenceModel("mingru", 2, 5, 1, 1, 0.1, 0.2).recurrent.input_dropout == 0.1
    own = problem("adding", length=10, train=1, test=70)
    model.train()
    assert score_of(model, own) == score_of(model, own)
    batch = own.test.batch(torch.arange(2))
    model = SequenceModel("gru", 2, 50, 1, output_dropout=0.5)
    answers = [model.train(on)(*batch[:3]) for on in (True, True, False, False)]
    assert not torch.equal(answers[0], answers[1])
    assert torch.equal(answers[2], answers[3])


def test_an_unknown_cell_is_refused():
    with pytest.raises(ParameterError, match="cell must be one of"):
        SequenceModel("gro", 1, 1, 1)


def test_losses_are_those_of_the_definitions():
    keys = problem("adding", length=10, train=4, test=4)
    batch = keys.train.batch(torch.arange(4))
    answers = torch.randn(4, 1)
    total = loss_of("number", lambda *_: answers, batch)  # pyright: ignore
    assert float(total.total) == pytest.approx(float(((answers[:, 0] - batch.targets) ** 2).sum()))
    assert total.count == 4
    logits, truth = torch.randn(4, 88), torch.randint(0, 2, (4, 88)).float()
    batch = batch._replace(targets=truth)
    p = logits.sigmoid()
    by_hand = -(truth * p.log() + (1 - truth) * (1 - p).log()).sum()
    total = loss_of("keys", lambda *_: logits, batch)  # pyright: ignore
    assert float(total.total) == pytest.approx(float(by_hand), rel=1e-5)
    assert total.count == 4


def test_a_perfect_model_has_the_perfect_score_and_a_blank_one_the_blank():
    own = problem("anbn", longest=5, test_longest=70, train=4)

    class Counter(torch.nn.Module):
        """Says what comes next by counting, up to `most`."""

        def __init__(self, most: int) -> None:
            super().__init__()
            self.most = most

        def forward(self, inputs, lengths, asked):
            steps = inputs[..., 1].cumsum(0)
            ends = (steps == lengths / 2) & (lengths / 2 <= self.most)
            answers = torch.zeros(*asked.shape, 3)
            answers[..., 1] = 1
            answers[..., 2] = 2.0 * ends
            return answers[asked]

    assert score_of(Counter(70), own) == 70
    assert score_of(Counter(66), own) == 66
    assert score_of(Counter(0), own) == own.blank == 0
    blank = problem("copy_memory", delay=10, train=1, test=3000)

    class Blank(torch.nn.Module):
        def forward(self, inputs, lengths, asked):
            answers = torch.full((*asked.shape, 9), -50.0)
            answers[:20, :, 8] = 50
            answers[20:, :, :8] = 0
            return answers[asked]

    assert score_of(Blank(), blank) == pytest.approx(blank.blank, rel=1e-4)


def test_every_run_is_saved_and_the_same_call_trains_nothing(tmp_path, monkeypatch):
    told = []
    found = tiny(tmp_path, tell=lambda trial, done, count: told.append((done, count)))
    assert told == [(n, 6) for n in range(1, 7)]
    assert sorted((own.cell, own.seed) for own in found.runs) == [
        *(("gru", 0), ("gru", 0), ("gru", 1)),
        *(("rnn", 0), ("rnn", 0), ("rnn", 1)),
    ]
    files = sorted(path.suffix for path in tmp_path.iterdir())
    assert files == [".json"] * 7
    monkeypatch.setattr(module, "run", None)
    again = tiny(tmp_path)
    assert again.to_dict() == found.to_dict() == read_comparison(tmp_path).to_dict()


def test_the_same_trial_gives_the_same_figures_but_for_time(tmp_path):
    trial = Trial("adding", TINY, "gru", 7, 0.03, 0)
    one, two = (run(trial, folder) for folder in _folders(tmp_path, 2))
    assert one.validation_losses == two.validation_losses
    assert one.score == two.score
    other = run(dataclasses.replace(trial, seed=1), tmp_path)
    assert other.score != one.score


def test_a_seed_decides_first_weights_and_batches_and_nothing_else(tmp_path, monkeypatch):
    seen = {}

    def look(model, loss, train, validation, config, **more):
        weights = torch.cat([own.detach().flatten() for own in model.parameters()])
        seen[more["seed"], config.learning_rate] = weights, model, train, validation
        raise trial_module._Enough

    monkeypatch.setattr(trial_module, "fit", look)
    setup = dataclasses.replace(TINY, input_dropout=0.1, recurrent_dropout=0.2, output_dropout=0.3)
    own = trial_module.built("adding", setup)
    for seed, rate in ((0, 0.01), (1, 0.01), (1, 0.03)):
        run(Trial("adding", setup, "gru", 7, rate, seed), tmp_path)
    (first, model, *data), (other, *_), (again, *_) = seen.values()
    assert list(seen) == [(0, 0.01), (1, 0.01), (1, 0.03)]
    assert torch.equal(other, again)
    assert not torch.equal(first, other)
    assert data == [own.train, own.validation]
    layer = model.recurrent
    assert (layer.input_dropout, layer.recurrent_dropout, model.output_dropout) == (0.1, 0.2, 0.3)


def test_the_validation_chooses_the_rate_of_each_cell_for_the_other_seeds(tmp_path, monkeypatch):
    losses = {("rnn", 0.003): 0.1, ("rnn", 0.03): 0.2, ("gru", 0.003): 0.2, ("gru", 0.03): 0.1}
    real = run(Trial("adding", TINY, "gru", 7, 0.03, 0), tmp_path)

    def pretend(trial, folder):
        loss = losses[trial.cell, trial.rate]
        changed = {name: getattr(trial, name) for name in ("cell", "rate", "seed", "hidden_size")}
        told = {"validation_losses": (loss, 0.5), "score": 1 - loss}
        done = dataclasses.replace(real, **changed, **told)
        (folder / f"{trial.name}.json").write_text(json.dumps(run_to_dict(done)))
        return done

    monkeypatch.setattr(module, "run", pretend)
    found = tiny(tmp_path / "runs", seeds=3)
    others = {(own.cell, own.rate) for own in found.runs if own.seed}
    assert others == {("rnn", 0.003), ("gru", 0.03)}
    assert [row.rate for row in found.rows("adding")] == [0.003, 0.03]


def _folders(parent, count):
    for at in range(count):
        (parent / str(at)).mkdir()
        yield parent / str(at)


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    trial = Trial("adding", TINY, "lstm", 5, 0.03, 0)
    whole, part = _folders(tmp_path, 2)
    true = run(trial, whole)

    class Killed(BaseException):
        pass

    def kill(trial, record):
        if record.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        run(trial, part, kill)
    assert saved(trial, part) is None
    seen = []
    again = run(trial, part, lambda _, record: seen.append(record.epoch))
    assert seen == [3]
    assert again.validation_losses == true.validation_losses
    assert again.score == true.score
    assert len(again.seconds) == 3
    assert [path.name for path in part.iterdir()] == [f"{trial.name}.json"]


def test_the_same_rate_twice_is_tried_once(tmp_path):
    twice = dataclasses.replace(TINY, rates=(0.03, 0.03), training={"epochs": 1})
    told = []
    tell = {"tell": lambda trial, done, count: told.append((done, count))}
    found = compare({"adding": twice}, ["gru", "gru"], folder=tmp_path, seeds=2, **tell)
    (row,) = found.rows("adding")
    assert (len(row.scores), row.tried, row.low) == (2, 1, None)
    assert told == [(1, 2), (2, 2)]


def test_a_run_whose_epochs_were_lost_is_not_told_without_them(tmp_path):
    trial = Trial("adding", TINY, "gru", 5, 0.03, 0)

    class Killed(BaseException):
        pass

    def kill_at(epoch):
        def kill(trial, record):
            if record.epoch == epoch:
                raise Killed

        return kill

    epochs = tmp_path / f"{trial.name}.epochs"
    with pytest.raises(Killed):
        run(trial, tmp_path, kill_at(3))
    whole = epochs.read_text()
    epochs.write_text(whole[:20])
    with pytest.raises(DataError, match=r"epochs must be at least 2, got 0; delete .*\.training"):
        run(trial, tmp_path)
    epochs.write_text(whole)
    assert len(run(trial, tmp_path).seconds) == 3


def test_the_time_of_an_interrupted_epoch_is_whole(tmp_path, monkeypatch):
    """By a clock that goes on by 1 at every look: begin and end of an epoch, or of a part of it."""
    ticks = iter(range(1000))
    monkeypatch.setattr(trial_module.time, "process_time", lambda: float(next(ticks)))
    trial = Trial("adding", TINY, "gru", 5, 0.03, 0)
    loss, calls = trial_module.loss_of, []

    def stop_in_the_second_epoch(*given):
        calls.append(given)
        if len(calls) == 7:  # the memory is counted, three updates and a validation, two updates
            signal.raise_signal(signal.SIGTERM)
        return loss(*given)

    monkeypatch.setattr(trial_module, "loss_of", stop_in_the_second_epoch)
    with pytest.raises(Interrupted):
        run(trial, tmp_path)
    kept = json.loads((tmp_path / f"{trial.name}.epochs").read_text())
    assert [len(kept[0]), *kept[1:]] == [3, 1.0]
    assert run(trial, tmp_path).seconds == (1.0, 2.0, 1.0)


def test_epochs_kept_without_a_part_are_read(tmp_path):
    file = tmp_path / "a.epochs"
    file.write_text("[[3.0, 2.0, 1.0], [2.0, 1.0, 1.0]]")
    assert trial_module._Clock(file, loss_of).epochs == [(3.0, 2.0, 1.0), (2.0, 1.0, 1.0)]


def test_after_the_last_epoch_none_may_be_lost_either(tmp_path, monkeypatch):
    trial = Trial("adding", TINY, "gru", 5, 0.03, 0)
    monkeypatch.setattr(trial_module, "score_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(trial, tmp_path)
    monkeypatch.undo()
    (tmp_path / f"{trial.name}.epochs").unlink()
    with pytest.raises(DataError, match="epochs must be at least 3, got 0"):
        run(trial, tmp_path)


def test_training_ends_where_the_loss_is_low_enough(tmp_path):
    easy = dataclasses.replace(TINY, enough=1e9)
    assert len(run(Trial("adding", easy, "gru", 5, 0.03, 0), tmp_path).seconds) == 1
    whole = run(Trial("adding", TINY, "gru", 5, 0.03, 0), tmp_path)
    between = (whole.train_losses[0] + whole.validation_losses[0]) / 2
    by_train = [loss <= between for loss in whole.train_losses]
    by_validation = [loss <= between for loss in whole.validation_losses]
    assert by_train.index(True) != by_validation.index(True)
    enough = dataclasses.replace(TINY, enough=between)
    ended = run(Trial("adding", enough, "gru", 5, 0.03, 0), tmp_path)
    assert len(ended.seconds) == by_validation.index(True) + 1


def test_a_run_that_diverges_is_told_and_the_rest_goes_on(tmp_path):
    wild = dataclasses.replace(TINY, rates=(0.003, 1e38), training={"epochs": 2, "clip_norm": None})
    found = compare({"adding": wild}, ["rnn"], folder=tmp_path, seeds=1)
    assert [own.diverged for own in found.runs] == [False, True]
    assert found.runs[1].validation_losses == ()
    assert math.isnan(found.runs[1].score)
    assert found.rows("adding")[0].rate == 0.003


def test_a_run_that_diverged_before_an_epoch_was_done_has_no_score(tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise DivergenceError("a gradient of inf")

    monkeypatch.setattr(trial_module, "fit", diverge)
    done = run(Trial("adding", TINY, "gru", 5, 0.03, 0), tmp_path)
    assert done.diverged
    assert math.isnan(done.score)


def test_in_processes_the_figures_are_the_same(tmp_path):
    one, two = _folders(tmp_path, 2)
    setup = dataclasses.replace(TINY, rates=(0.03,), training={"epochs": 1})
    here = compare({"adding": setup}, ["rnn", "gru"], folder=one, seeds=1)
    apart = compare({"adding": setup}, ["rnn", "gru"], folder=two, seeds=1, processes=2)
    assert [own.score for own in apart.runs] == [own.score for own in here.runs]


def test_a_process_that_fails_is_told(tmp_path, monkeypatch):
    setup = dataclasses.replace(TINY, sizes={"length": 3}, rates=(0.03,))
    trial = Trial("adding", setup, "rnn", 4, 0.03, 0)
    with pytest.raises(GrukitError, match=r"adding-rnn-0.03-0-\w+ ended with exit code 1"):
        list(module._apart([trial], tmp_path, 1))


def test_an_interrupted_comparison_says_how_to_go_on(tmp_path, monkeypatch):
    def stop(*_):
        raise Interrupted(signal.SIGTERM, "run the same again with resume")

    monkeypatch.setattr(module, "run", stop)
    with pytest.raises(Interrupted, match=f"is saved in {tmp_path}: the same call goes on") as told:
        tiny(tmp_path)
    assert told.value.signal == signal.SIGTERM


def test_a_signal_ends_all_processes_and_the_same_call_goes_on(tmp_path):
    def stop(*_):
        os.kill(os.getpid(), signal.SIGTERM)

    two = {"cells": ["rnn"], "folder": tmp_path, "seeds": 1, "processes": 2}
    with pytest.raises(Interrupted, match=f"what is done is saved in {tmp_path}"):
        compare({"adding": TINY}, **two, tell=stop)
    assert not multiprocessing.active_children()
    assert len(compare({"adding": TINY}, **two).runs) == 2


def test_a_problem_of_ones_own(tmp_path):
    random = np.random.default_rng(0)
    images = random.normal(size=(60, 4, 3)).astype(np.float32)
    own = problem("image_rows", test=10, images=images, labels=np.arange(60) % 2)
    quick = Setup(parameters=300, rates=(0.01,), training={"epochs": 1})
    found = compare([own], ["gru"], folder=tmp_path, seeds=1, setup=quick)
    assert found.rows("image_rows")[0].parameters == pytest.approx(300, rel=0.1)
    other = problem("image_rows", test=10, images=images + 1, labels=np.arange(60) % 2)
    outside = dataclasses.replace(own, name="../mine")
    with pytest.raises(ParameterError, match=r"must be a file's name, got '../mine'"):
        compare([outside], ["gru"], folder=tmp_path, seeds=1, setup=quick)
    names = {Trial(one, quick, "gru", 5, 0.01, 0).name for one in (own, other)}
    assert len(names) == 2


def test_at_equal_width_units_are_equal(tmp_path):
    rows = tiny(tmp_path, ("rnn", "lstm"), by="width", seeds=1).rows("adding")
    assert [row.hidden_size for row in rows] == [7, 7]
    assert rows[1].parameters > 3 * rows[0].parameters


def test_memory_is_that_of_the_states_kept():
    own = problem("adding", length=100, train=50, test=1)
    small, large = (memory_bytes(SequenceModel("gru", 2, width, 1), own) for width in (8, 32))
    assert large > 3 * small
    # At least the output of every step; at most a few times the gates.
    assert 4 * 100 * 50 * 32 < large < 10 * 4 * 100 * 50 * 32
    alone = torch.nn.Linear(3, 2)  # of which nothing is kept: weights, gradients, two moments
    total = memory_of(alone, lambda: LossSum(sum(own.sum() for own in alone.parameters()), 1))
    assert total == 4 * 4 * 8
    # Weights are kept anyway: a short batch keeps less than their copy would be.
    short, wide = problem("adding", length=10, train=1, test=1), SequenceModel("gru", 2, 64, 1)
    assert memory_bytes(wide, short) < 18 * parameters_of(wide)


def test_a_damaged_run_is_named(tmp_path):
    trial = Trial("adding", TINY, "gru", 7, 0.03, 0)
    (tmp_path / f"{trial.name}.json").write_text('{"problem": "adding"}')
    with pytest.raises(DataError, match=r"adding-gru-0.03-0-\w+.json is not a saved run"):
        saved(trial, tmp_path)
    done = run(trial, tmp_path)
    for wrong in ({"cell": "rnn"}, {"rate": 0.3}, {"seed": 1}, {"hidden_size": math.inf}):
        content = json.dumps({**run_to_dict(done), **wrong})
        (tmp_path / f"{trial.name}.json").write_text(content)
        with pytest.raises(DataError, match=r"is not a saved run .*; delete it to train anew"):
            saved(trial, tmp_path)
    (tmp_path / "comparison.json").write_text("{")
    with pytest.raises(DataError, match="is not a comparison"):
        read_comparison(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cells": ["gro"]}, "cells must be a list or tuple of at least 1"),
        ({"cells": []}, "cells must be a list or tuple of at least 1"),
        ({"seeds": 0}, "seeds must be an integer of at least 1, got 0"),
        ({"processes": 0}, "processes must be an integer of at least 1, got 0"),
        ({"by": "speed"}, "by must be one of 'parameters', 'width', got 'speed'"),
        ({"budget": "huge"}, "budget must be one of 'short', 'full', got 'huge'"),
        ({"problems": ["adding", "adding"]}, "problems must be one or more, each once"),
        ({"problems": []}, "problems must be one or more, each once"),
        ({"problems": ["ading"]}, "a problem must be one of adding"),
        ({"problems": {"ading": TINY}}, "a problem must be one of adding"),
        ({"problems": {}}, "problems must be one or more, each once"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, wrong, message):
    arguments = {"problems": ["adding"], "cells": ["gru"], **wrong}
    problems = arguments.pop("problems")
    with pytest.raises(ParameterError, match=message):
        compare(problems, folder=tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_wrong_setups_are_refused():
    with pytest.raises(ParameterError, match="rates must be"):
        Setup(rates=())
    with pytest.raises(ParameterError, match="epochs must be an integer"):
        Setup(training={"epochs": 0})
    with pytest.raises(ParameterError, match="training must be settings of a FitConfig"):
        Setup(training={"learning_rate": 0.1})


def test_every_problem_has_a_setup_in_every_budget():
    for table in BUDGETS.values():
        assert set(table) == set(module.BUDGETS["short"])
        for name, setup in table.items():
            assert math.prod(setup.rates) > 0
            assert json.dumps(setup.identity())
            assert name
