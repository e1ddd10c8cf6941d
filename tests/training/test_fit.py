"""The loop: exact accumulation, best weights, early stopping, divergence, quiet and repeatable."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from toy_runs import KINDS, Rows, train

from grukit.core.errors import DataError, DivergenceError, MissingExtra, ParameterError
from grukit.training.fit import FitConfig, LossSum, fit, mean_loss
from grukit.training.optimization import Optimization
from grukit.training.progress import Stages

PLAIN = FitConfig(epochs=3, batch_size=4, learning_rate=0.05, patience=None)


def masked_rows(size=22):
    random = torch.Generator().manual_seed(5)
    x = torch.randn(size, 3, generator=random, dtype=torch.float64)
    seen = torch.rand(size, generator=random) < 0.5
    return Rows(x, torch.where(seen, x.sum(1), torch.nan), seen)


def linear():
    torch.manual_seed(7)
    return nn.Linear(3, 1, dtype=torch.float64)


def masked_loss(model, batch):
    x, y, seen = batch
    error = (model(x).squeeze(-1) - torch.where(seen, y, 0)).square()
    return LossSum(torch.where(seen, error, 0).sum(), seen.sum())


def mean_of_means_loss(model, batch):
    part = masked_loss(model, batch)
    return LossSum(part.total / part.count.clamp(min=1), 1)


def weights(model):
    return torch.cat([value.flatten().clone() for value in model.state_dict().values()])


def trained(config, loss=masked_loss, **arguments):
    model = linear()
    result = fit(model, loss, masked_rows(), None, config, **arguments)
    return weights(model), result


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_accumulated_gradients_are_those_of_one_big_batch(clip_norm):
    big = replace(PLAIN, batch_size=12, clip_norm=clip_norm)
    small = replace(big, batch_size=4, accumulate=3)
    (w_big, r_big), (w_small, r_small) = trained(big), trained(small)
    torch.testing.assert_close(w_small, w_big, rtol=1e-12, atol=1e-14)
    assert r_small.history[-1].train_loss == pytest.approx(r_big.history[-1].train_loss, rel=1e-12)


def test_the_accumulation_test_sees_a_mean_of_means():
    big = replace(PLAIN, batch_size=12)
    small = replace(big, batch_size=4, accumulate=3)
    difference = trained(big, mean_of_means_loss)[0] - trained(small, mean_of_means_loss)[0]
    assert difference.abs().max() > 1e-4


def test_one_update_is_adamw_on_the_mean_loss():
    data, config = masked_rows(), replace(PLAIN, epochs=1, batch_size=22, warmup_fraction=0)
    config = replace(config, weight_decay=0.1, clip_norm=0.5)
    model = linear()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1, fused=True)
    part = masked_loss(model, data.batch(torch.arange(22)))
    (part.total / part.count).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    torch.testing.assert_close(trained(config)[0], weights(model), rtol=1e-12, atol=1e-14)


def test_training_loss_is_the_exact_mean_over_the_epoch():
    parts = []

    def loss(model, batch):
        parts.append(masked_loss(model, batch))
        return parts[-1]

    _, result = trained(PLAIN, loss)
    for epoch, record in enumerate(result.history):
        of_epoch = parts[6 * epoch : 6 * epoch + 6]
        total = sum(part.total.item() for part in of_epoch)
        count = sum(part.count.item() for part in of_epoch)
        assert record.train_loss == pytest.approx(total / count, rel=1e-12)


def test_validation_loss_is_the_exact_mean_in_eval_mode():
    toy = KINDS["shuffled"]()
    result = train(toy, config=replace(toy.config, epochs=1))
    with torch.no_grad():
        part = toy.loss(toy.model.eval(), toy.validation.tensors)
    assert result.best_score == pytest.approx(float(part.total / part.count), rel=1e-6)


def scripted(scores):
    """A loss whose value in eval mode is the next of `scores`, and the weights at each."""
    remaining, seen = iter(scores), []

    def loss(model, batch):
        if model.training:
            return masked_loss(model, batch)
        seen.append(weights(model))
        return LossSum(torch.tensor(next(remaining)), 1)

    return loss, seen


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best", "stopped"),
    [
        ([3.0, 2.0, 2.5, 2.0, 1.0], 2, 4, 2, "patience"),
        ([3.0, 2.0, 2.5, 1.0, 1.5], 2, 5, 4, "epochs"),
        ([3.0, 2.0, 2.5, 2.0, 2.75], None, 5, 2, "epochs"),
        ([1.0, 2.0, 2.5, 2.0, 2.6], 1, 2, 1, "patience"),
    ],
)
def test_early_stopping_keeps_the_best_weights(scores, patience, epochs, best, stopped):
    loss, seen = scripted(scores)
    model, config = linear(), replace(PLAIN, epochs=5, patience=patience)
    result = fit(model, loss, masked_rows(), masked_rows(2), config)
    assert (len(result.history), result.best_epoch, result.stopped) == (epochs, best, stopped)
    assert result.best_score == scores[best - 1]
    assert [record.validation_loss for record in result.history] == scores[:epochs]
    assert torch.equal(weights(model), seen[best - 1])


def test_every_epoch_is_told_and_what_that_raises_ends_the_training():
    told = []
    _, result = trained(PLAIN, after_epoch=told.append)
    assert tuple(told) == result.history

    def stop(record):
        if record.epoch == 2:
            raise LookupError

    model = linear()
    with pytest.raises(LookupError):
        fit(model, masked_loss, masked_rows(), None, PLAIN, after_epoch=stop)
    assert not model.training


class Watcher:
    """Notes who is trained and which epochs end, and each time the loss of the first batch."""

    def __init__(self):
        self.begun, self.epochs, self.losses = [], [], []

    def begin(self, model, call, epochs):
        self.model, self.call = model, call
        self.begun.append(epochs)
        self.losses.append(float(call().total.detach()))

    def __call__(self, record):
        self.epochs.append(record.epoch)
        self.losses.append(float(self.call().total.detach()))


def noisy_loss(model, batch):
    x, *rest = batch
    return masked_loss(model, (nn.functional.dropout(x, 0.5), *rest))


def test_who_watches_is_told_whom_and_changes_nothing():
    losses = []

    def loss(model, batch):
        part = noisy_loss(model, batch)
        losses.append(float(part.total.detach()))
        return part

    alone, result = trained(PLAIN, loss)
    watcher, other = Watcher(), []
    watched, again = trained(PLAIN, noisy_loss, after_epoch=[watcher, other.append])
    assert torch.equal(watched, alone)
    assert result.history == again.history == tuple(other)
    assert (watcher.begun, watcher.epochs) == ([0], [1, 2, 3])
    assert watcher.losses[0] == losses[0]  # of the very first batch
    assert torch.equal(weights(watcher.model), alone)


def test_who_watches_a_run_that_goes_on_is_told_how_far_it_was(tmp_path):
    def stop(record):
        if record.epoch == 2:
            raise LookupError

    watcher, whole = Watcher(), Watcher()
    given = {"checkpoint": tmp_path / "run", "resume": True}
    with pytest.raises(LookupError):
        trained(PLAIN, after_epoch=stop, **given)
    trained(PLAIN, after_epoch=watcher, **given)
    assert (watcher.begun, watcher.epochs) == ([1], [2, 3])
    trained(PLAIN, after_epoch=whole)
    assert watcher.losses == whole.losses[1:]


def test_the_mean_loss_is_that_of_validation():
    model = linear()
    result = fit(model, masked_loss, masked_rows(), masked_rows(9), PLAIN)
    assert mean_loss(model, masked_loss, masked_rows(9)) == pytest.approx(result.best_score)


def test_without_validation_the_last_weights_stay():
    loss_after = []

    def loss(model, batch):
        loss_after.append(weights(model))
        return masked_loss(model, batch)

    model = linear()
    result = fit(model, loss, masked_rows(), None, replace(PLAIN, patience=1, learning_rate=1e-9))
    assert (result.best_epoch, result.stopped) == (3, "epochs")
    assert result.best_score == result.history[-1].train_loss
    assert not torch.equal(weights(model), loss_after[-1])


def test_an_epoch_may_draw_fewer_items():
    seen = []

    def loss(model, batch):
        seen.append(batch[0])
        return masked_loss(model, batch)

    trained(replace(PLAIN, epochs=2, items_per_epoch=11), loss)
    drawn = torch.cat(seen)
    assert [len(batch) for batch in seen] == [4, 4, 3, 4, 4, 3]
    assert torch.equal(drawn.unique(dim=0), masked_rows().tensors[0].unique(dim=0))


def test_data_may_arrange_its_batches():
    toy, seen = KINDS["arranged"](), []

    def loss(model, batch):
        seen.append(batch[0][:, 0])
        return toy.loss(model, batch)

    train(toy, loss, config=replace(toy.config, epochs=1, accumulate=1))
    batches = [batch for batch in seen[:8] if len(batch) == 4]
    batches.sort(key=lambda batch: float(batch.min()))
    spread = sum(float(batch.max() - batch.min()) for batch in batches)
    assert spread <= float(toy.train.tensors[0][:, 0].max() - toy.train.tensors[0][:, 0].min())


def test_state_is_carried_from_one_epoch_to_the_next_until_the_data_begins_again():
    toy, seen = KINDS["going on"](), []

    def loss(model, batch, state):
        if model.training:
            (at,) = (toy.train.tensors[0] == batch[0]).flatten(1).all(1).nonzero().tolist()
            seen.append((at[0], 0 if state is None else state["steps"]))
        return toy.loss(model, batch, state)

    train(toy, loss)
    assert seen == [(at % 7, at % 7) for at in range(15)]
    with pytest.raises(ParameterError, match="items_per_epoch must be None where state is carried"):
        train(toy, config=replace(toy.config, items_per_epoch=2, batch_size=2))


def test_state_is_carried_through_the_items_of_one_update():
    toy, seen = KINDS["going on"](), []

    def loss(model, batch, state):
        if model.training:
            seen.append(0 if state is None else state["steps"])
        return toy.loss(model, batch, state)

    train(toy, loss, config=replace(toy.config, accumulate=2))
    assert seen == [at % 7 for at in range(15)]


def test_equal_seeds_give_equal_weights_and_the_callers_random_state_stays():
    results = []
    for global_seed, seed in ((1, 3), (2, 3), (2, 4)):
        toy = KINDS["shuffled"]()
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        results.append((train(toy, seed=seed), weights(toy.model)))
        assert torch.equal(torch.get_rng_state(), before)
    (first, w_first), (same, w_same), (other, w_other) = results
    assert first == same
    assert torch.equal(w_first, w_same)
    assert first != other
    assert not torch.equal(w_first, w_other)


def test_carried_state_enters_the_next_batch_detached():
    seen = []

    def loss(model, batch, state):
        assert state is None or not state[0]["h"].requires_grad
        seen.append(None if state is None else float(state[0]["h"].sum()))
        part = masked_loss(model, batch)
        return LossSum(part.total, part.count, ({"h": model.weight * 0 + len(seen)},))

    data = masked_rows(6)
    fit(linear(), loss, data, data, replace(PLAIN, batch_size=2, epochs=2), carry_state=True)
    assert seen == [None, 3.0, 6.0, None, 12.0, 15.0, None, 21.0, 24.0, None, 30.0, 33.0]


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_divergence_restores_the_best_weights_and_says_what_to_try(poison):
    seen = []

    def loss(model, batch):
        part = masked_loss(model, batch)
        if not model.training:
            seen.append(weights(model))
        return LossSum(part.total * (poison if model.training and seen else 1), part.count)

    model = linear()
    message = r"diverged in epoch 2, update 7: the loss must be finite, got .* lower learning_rate"
    with pytest.raises(DivergenceError, match=message):
        fit(model, loss, masked_rows(), masked_rows(), PLAIN)
    assert torch.equal(weights(model), seen[0])


def test_a_gradient_that_is_not_finite_is_divergence():
    def loss(model, batch):
        part = masked_loss(model, batch)
        return LossSum(part.total + (model.weight * 0).sum().sqrt(), part.count)

    model = linear()
    before = weights(model)
    with pytest.raises(DivergenceError, match="the gradient norm must be finite, got nan"):
        fit(model, loss, masked_rows(), None, replace(PLAIN, clip_norm=None))
    assert torch.equal(weights(model), before)


def test_a_gradient_whose_square_overflows_is_clipped_like_any_other():
    """Over hundreds of steps a gradient may explode for once; that is what clipping is for."""

    def trained_on(steepness, clip_norm):
        def loss(model, batch):
            x, y, seen = batch
            part = masked_loss(model, (x.float(), y.float(), seen))
            return LossSum(part.total * steepness, part.count)

        model = linear().float()
        config = replace(PLAIN, epochs=1, clip_norm=clip_norm)
        fit(model, loss, masked_rows(), None, config)
        return weights(model)

    assert not torch.equal(trained_on(1e30, 0.1), weights(linear().float()))
    torch.testing.assert_close(trained_on(1e30, 0.1), trained_on(1e3, 0.1))
    with pytest.raises(DivergenceError, match="the gradient norm must be finite, got inf"):
        trained_on(1e30, None)


def test_a_validation_loss_that_is_not_finite_is_divergence():
    loss, _ = scripted([float("nan")])
    with pytest.raises(DivergenceError, match="epoch 1: the validation loss must be finite"):
        fit(linear(), loss, masked_rows(), masked_rows(2), PLAIN)


def test_an_update_without_an_observed_target_changes_nothing():
    data = masked_rows(8)
    data.tensors[2][:4] = False
    config = replace(PLAIN, epochs=1, batch_size=4, warmup_fraction=0)
    model, seen = linear(), []

    def loss(model, batch, state):
        seen.append(weights(model))
        return masked_loss(model, batch)

    fit(model, loss, data, None, config, carry_state=True)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], weights(model))


def test_data_without_anything_to_learn_from():
    data, unseen = masked_rows(8), masked_rows(8)
    unseen.tensors[2][:] = False
    with pytest.raises(DataError, match="training data must have an observed target"):
        fit(linear(), masked_loss, unseen, None, PLAIN)
    with pytest.raises(DataError, match="validation data must have an observed target"):
        fit(linear(), masked_loss, data, unseen, PLAIN)
    with pytest.raises(DataError, match="validation data must have at least one item"):
        fit(linear(), masked_loss, data, Rows(torch.empty(0, 3)), PLAIN)
    with pytest.raises(DataError, match="training data must have at least one item"):
        fit(linear(), masked_loss, Rows(torch.empty(0, 3)), None, PLAIN)


def test_bfloat16_trains_with_float32_weights():
    seen = set()

    def loss(model, batch):
        output = model(batch[0]).squeeze(-1)
        seen.add(output.dtype)
        return LossSum((output - batch[1]).square().sum(), len(output))

    x = torch.randn(16, 3)
    model, config = nn.Linear(3, 1), replace(PLAIN, precision="bfloat16", epochs=20)
    result = fit(model, loss, Rows(x, x.sum(1)), None, config)
    assert seen == {torch.bfloat16}
    assert model.weight.dtype == torch.float32
    assert result.history[-1].train_loss < result.history[0].train_loss / 4


def test_float16_overflows_are_skipped_until_they_go_on_too_long():
    x = torch.full((4, 1), 8.0)
    optimization = Optimization(
        nn.Linear(1, 1), lambda model, batch: LossSum(model(batch[0]).sum(), 4), PLAIN, False
    )
    optimization.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = weights(optimization.model)
    overflowed = 0
    while torch.equal(before, weights(optimization.model)):
        optimization.update(Rows(x), torch.arange(4), 0.1, None, "")
        overflowed = max(overflowed, optimization.overflows)
    assert 1 <= overflowed <= 4
    assert optimization.overflows == 0
    optimization.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120, growth_interval=10**6)
    bad = Rows(torch.full((4, 1), torch.finfo(torch.float32).max))
    for _ in range(20):
        optimization.update(bad, torch.arange(4), 0.0, None, "")
    with pytest.raises(DivergenceError, match="gradient norm"):
        optimization.update(bad, torch.arange(4), 0.0, None, "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda:99"}, "device must be 'auto' or a device this torch can use"),
        ({"device": "abacus"}, "device must be 'auto' or a device this torch can use"),
        ({"device": "cpu", "precision": "float16"}, "'float16' on 'cpu'"),
    ],
)
def test_a_device_that_cannot_be_used(changes, message):
    with pytest.raises(ParameterError, match=message):
        trained(replace(PLAIN, **changes))


def test_a_model_without_parameters():
    with pytest.raises(ParameterError, match="parameter that requires gradients"):
        fit(nn.Identity(), masked_loss, masked_rows(), None, PLAIN)


def test_a_frozen_parameter_stays():
    model = nn.Sequential(linear(), nn.Linear(1, 1, dtype=torch.float64))
    model[1].requires_grad_(False)
    before = weights(model[1])
    fit(model, masked_loss, masked_rows(), None, PLAIN)
    assert torch.equal(weights(model[1]), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"items_per_epoch": 0}, "items_per_epoch must be None or an integer of at least 1"),
        ({"batch_size": 2.0}, r"batch_size must be an integer of at least 1, got 2\.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, got nan"),
        ({"warmup_fraction": 1}, "warmup_fraction must be a number of at least 0 and below 1"),
        ({"patience": 0}, "patience must be None or an integer of at least 1, got 0"),
        ({"precision": "float64"}, "precision must be one of 'float32', 'bfloat16', 'float16'"),
        ({"tensorboard": ""}, "tensorboard must be None or a folder, got ''"),
        ({"progress": 1}, "progress must be True or False, got 1"),
    ],
)
def test_settings_have_rules(arguments, message):
    with pytest.raises(ParameterError, match=message):
        FitConfig(**arguments)


class Terminal:
    def __init__(self):
        self.written = []

    def isatty(self):
        return True

    def write(self, text):
        self.written.append(text)

    def flush(self):
        pass


def test_quiet_unless_stderr_is_a_terminal(monkeypatch, capsys):
    trained(PLAIN)
    assert capsys.readouterr() == ("", "")
    for shown in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        trained(replace(PLAIN, progress=shown))
        assert ("epoch" in "".join(terminal.written)) == shown
    assert capsys.readouterr().out == ""


def test_stages_are_shown_as_a_bar_is(monkeypatch):
    for shown in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        with Stages(shown) as stage:
            stage("reading the data")
            stage("encoding 3 rows")
        assert ("encoding 3 rows" in "".join(terminal.written)) == shown


def test_tensorboard_log_on_request(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    toy = KINDS["shuffled"]()
    result = train(toy, config=replace(toy.config, tensorboard=tmp_path))
    log = EventAccumulator(str(tmp_path)).Reload()
    logged = [(event.step, event.value) for event in log.Scalars("epoch_validation_loss")]
    assert dict(logged) == pytest.approx(
        {5 * record.epoch: record.validation_loss for record in result.history}, rel=1e-6
    )
    for name in ("loss", "learning_rate", "gradient_norm"):
        assert [event.step for event in log.Scalars(name)] == list(range(1, 16))
    assert log.Scalars("epoch_train_loss")[-1].step == 15


def test_a_resumed_run_hides_what_it_logged_after_its_checkpoint(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    toy, calls = KINDS["carried"](), 0
    config = replace(toy.config, tensorboard=tmp_path / "log")
    arguments = {"config": config, "checkpoint": tmp_path / "run"}

    def failing_loss(*inputs):
        nonlocal calls
        calls += 1
        if calls == 11:
            raise RuntimeError
        return toy.loss(*inputs)

    with pytest.raises(RuntimeError):
        train(toy, failing_loss, **arguments)
    train(toy, resume=True, **arguments)
    log = EventAccumulator(str(tmp_path / "log")).Reload()
    assert [event.step for event in log.Scalars("loss")] == list(range(1, 16))


def test_tensorboard_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"grukit\[tensorboard\]"):
        trained(replace(PLAIN, tensorboard=tmp_path))


def test_the_mean_of_the_weights_is_validated_and_kept():
    x = torch.randn(8, 2)
    seen, latest = [], []

    def loss(model, batch):
        (seen if model.training else latest).append(model.weight.detach().clone())
        return LossSum((model(batch[0]) - 1).square().sum(), len(batch[0]))

    model = nn.Linear(2, 1, bias=False)
    config = FitConfig(epochs=1, batch_size=1, average=0.6, patience=None, learning_rate=0.1)
    fit(model, loss, Rows(x), Rows(x[:1]), config)
    mean, *steps = seen
    # The weights after each update but the last are those that the next one sees.
    for update, weights in enumerate(steps, start=1):
        decay = min(0.6, (1 + update) / (10 + update))
        mean = decay * mean + (1 - decay) * weights
    (validated,) = latest
    assert torch.equal(model.weight, validated)
    last = (validated - 0.5 * mean) / 0.5  # 9 / 18, the decay of the eighth update
    assert not torch.equal(last, steps[-1])
    assert (last - steps[-1]).abs().max() < 0.2


def test_the_mean_of_weights_that_no_batch_uses():
    x = torch.randn(8, 2)
    model = nn.ModuleList([nn.Linear(3, 1), nn.Linear(2, 1)])
    before = model[0].weight.detach().clone(), model[1].weight.detach().clone()

    def loss(model, batch):
        return LossSum((model[1](batch[0]) - 1).square().sum(), len(batch[0]))

    fit(model, loss, Rows(x), None, FitConfig(epochs=1, average=0.6, learning_rate=0.1))
    assert torch.equal(model[0].weight, before[0])
    assert not torch.equal(model[1].weight, before[1])
