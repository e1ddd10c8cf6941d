"""The gradients of every estimator can be watched while it trains, which changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grukit import Forecaster
from grukit.core.errors import ParameterError
from grukit.insight.gradient_flow import GradientFlowCallback
from grukit.nn import GRU
from grukit.testing.estimators import CASES
from grukit.training.fit import FitConfig

# Both directions of the classifier, the recognizer and the translator's encoder, which has a reader
# and a writer besides; all layers of the detector's two networks.
LAYERS = {
    "anomaly": 3,
    "classification": 2,
    "forecast": 2,
    "generation": 1,
    "speech": 2,
    "translation": 4,
}


@pytest.mark.parametrize("task", CASES)
def test_the_layers_of_an_estimator_are_watched_and_nothing_changes(task):
    case, watch = CASES[task], GradientFlowCallback(every=2, sequences=2)
    model = case.make().fit(case.data(), after_epoch=watch)
    assert list(watch.flows) == [0, 2]
    first, last = watch.flows.values()
    assert len(first) == LAYERS[task], list(first)
    for name, flow in first.items():
        assert flow.log_norms.shape[1] > 2, name
        assert not np.array_equal(last[name].log_norms, flow.log_norms), name
    np.testing.assert_array_equal(case.answer(model), case.answer(case.fitted()))
    assert "after_epoch" not in model.get_params()


def test_members_of_an_ensemble_have_a_flow_each():
    case, watch = CASES["forecast"], GradientFlowCallback()
    told = []
    training = FitConfig(epochs=1)
    data = case.data()
    model = case.make(ensemble=2, num_layers=1, training=training)
    model.fit(data, after_epoch=watch, callback=lambda *own: told.append(own))
    assert isinstance(model, Forecaster)
    assert [epoch for epoch, _ in told] == [1]
    alone = GradientFlowCallback()
    case.make(num_layers=1, training=training).fit(data, after_epoch=alone)
    names = list(watch.flows[0])
    assert [name.partition(", ")[2] for name in names] == ["member 1", "member 2"]
    one, other = watch.flows[0].values()
    (same,) = alone.flows[0].values()
    np.testing.assert_array_equal(one.log_norms, same.log_norms)
    assert not np.array_equal(one.log_norms, other.log_norms)


def test_what_comes_after_the_end_of_a_sequence_is_no_step():
    layer, x = GRU(2, 4), torch.randn(9, 3, 2, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([6, 7, 7])
    padded = GradientFlowCallback(layer, lambda: layer(x, lengths=lengths)).flows[0]["GRU"]
    whole = GradientFlowCallback(layer, lambda: layer(x[:7, 1:])).flows[0]["GRU"]
    np.testing.assert_allclose(padded.log_norms, whole.log_norms, rtol=1e-12)


def test_a_network_and_its_call_come_together():
    with pytest.raises(ParameterError, match="call must be given with a network"):
        GradientFlowCallback(GRU(2, 4))
    with pytest.raises(ParameterError, match="a network must be given, or one in training"):
        GradientFlowCallback().record(0)
