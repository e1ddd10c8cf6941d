"""Several networks in one forecaster: each as if alone, their quantiles averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grukit import FitConfig, Forecaster
from grukit.core.errors import ParameterError
from grukit.nn.by_name import LAYER_OF
from grukit.training.fit import fit

# Clipped hard, so that a norm of all members together would be noticed.
QUICK = FitConfig(epochs=2, batch_size=64, learning_rate=1e-2, clip_norm=0.05)
MEMBERS, SEED = 3, 7


def trained_alone(single: Forecaster, table) -> torch.nn.Module:
    """A network of `single.seed`, on the batches of SEED."""
    job = single._prepare(table, None)
    network = job.model.network
    fit(network, single._loss, job.learn, None, single._fit_config, seed=SEED)
    return network


@pytest.mark.parametrize("cell", LAYER_OF)
@pytest.mark.parametrize("network", ["steps", "segments"])
def test_a_member_is_a_network_trained_alone(network, cell, frame, small):
    options = {"network": network, "cell": cell, "training": QUICK, "series_embedding": 2}
    model = small(ensemble=MEMBERS, seed=SEED, **options).fit(frame, validation=None)
    for member in range(MEMBERS):
        alone = trained_alone(small(seed=SEED + member, **options), frame)
        for name, value in alone.named_parameters():
            joint = model.network_.get_parameter(name)[member]
            torch.testing.assert_close(joint, value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_quantiles_are_the_mean_of_those_of_the_members(frame, small):
    options = {"training": QUICK, "network": "segments", "dropout": 0.2}
    model = small(ensemble=MEMBERS, **options).fit(frame, validation=None)
    found = []
    for member in range(MEMBERS):
        single = small(**options).fit(frame, validation=None)
        for name, parameter in single.network_.named_parameters():
            parameter.data.copy_(model.network_.get_parameter(name)[member].detach())
        found.append(single.predict().values)
    assert not np.allclose(found[0], found[1])
    np.testing.assert_allclose(model.predict().values, np.mean(found, axis=0), rtol=1e-5)


@pytest.mark.parametrize("network", ["steps", "segments"])
def test_an_ensemble_of_one_is_the_plain_model(network, frame, small):
    options = {"network": network, "dropout": 0.2}
    plain, one = small(**options).fit(frame), small(ensemble=1, **options).fit(frame)
    assert plain.network_.state_dict().keys() == one.network_.state_dict().keys()
    np.testing.assert_array_equal(one.predict().values, plain.predict().values)


def test_dropout_of_each_member_is_its_own(frame, small):
    model = small(ensemble=2, dropout=0.5, hidden_size=32)
    job = model._prepare(frame, None)
    network = job.model.network
    for parameter in network.parameters():
        parameter.data[1] = parameter.data[0]
    batch = job.learn.batch(torch.arange(4))
    inputs = (batch.past, batch.future, batch.static, batch.series)
    first, second = network.train()(*inputs)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(*network.eval()(*inputs))


@pytest.mark.parametrize("distribution", ["quantiles", "student_t"])
def test_saved_loaded_and_evaluated_as_any_other(distribution, frame, small, tmp_path):
    model = small(ensemble=2, dropout=0.1, distribution=distribution, network="segments")
    model.fit(frame)
    model.save(tmp_path / "model")
    assert "in 2 members" in (tmp_path / "model" / "README.md").read_text()
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded.predict().values, model.predict().values)
    start = "2024-01-06"
    scores = [each.evaluate(frame, start=start).to_dict() for each in (model, loaded)]
    assert scores[0] == scores[1]


def test_an_interrupted_ensemble_goes_on_bit_for_bit(frame, small, tmp_path):
    whole = small(ensemble=2, dropout=0.2).fit(frame)
    part = FitConfig(epochs=2, batch_size=64, learning_rate=1e-2)
    again = small(ensemble=2, dropout=0.2, training=part)
    again.fit(frame, checkpoint=tmp_path / "run")
    again.fit(frame, checkpoint=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.predict().values, whole.predict().values)


def test_members_vary_around_their_mean_and_it_is_no_worse_than_they_are(planted, small):
    table = planted(length=300, missing=0.05)
    options = {"hidden_size": 8, "training": FitConfig(epochs=4, learning_rate=1e-2)}
    ensemble = small(ensemble=4, **options).fit(table).validation_.scores[0].metrics["pinball"]
    singles = [
        small(seed=seed, **options).fit(table).validation_.scores[0].metrics["pinball"]
        for seed in range(4)
    ]
    assert len(set(singles)) == 4
    assert ensemble < np.mean(singles)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": 0}, "ensemble must be an integer of at least 1, got 0"),
        (
            {"ensemble": 2, "distribution": "mixture"},
            "ensemble must be 1 with distribution='mixture', got 2",
        ),
        ({"ensemble": 2, "cell": "gru_d"}, "ensemble must be 1 with cell='gru_d', got 2"),
    ],
)
def test_bad_settings_are_refused(options, message, frame, small):
    with pytest.raises(ParameterError, match=message):
        small(**options).fit(frame)
