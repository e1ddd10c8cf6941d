"""explain: contributions that sum to the difference, and go to the inputs that made it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grukit import FitConfig
from grukit.core.errors import DataError, NotFittedError, ParameterError

TRAINED = FitConfig(epochs=6, batch_size=64, learning_rate=2e-2)


def gap(explanation) -> np.ndarray:
    """What is unexplained, as a share of the difference."""
    size = np.abs(explanation.forecast - explanation.start)
    return np.abs(explanation.unexplained) / np.maximum(size, 1e-3)


def summed(explanation) -> np.ndarray:
    return explanation.start + sum(explanation.totals().values())


@pytest.mark.parametrize("step", [None, 1, 6])
@pytest.mark.parametrize("level", [0.5, 0.1, 0.975])
def test_contributions_sum_to_the_difference(rich, rich_future, step, level):
    found = rich.explain(future=rich_future, step=step, level=level)
    forecast = rich.predict(future=rich_future).quantile(level)
    wanted = forecast.mean(axis=1) if step is None else forecast[:, step - 1]
    np.testing.assert_allclose(found.forecast, wanted, rtol=1e-6)
    assert gap(found).max() < 1e-3
    np.testing.assert_allclose(summed(found) + found.unexplained, found.forecast, rtol=1e-9)


def test_every_column_has_its_share(rich, rich_future):
    found = rich.explain(future=rich_future)
    assert found.series == ("series_0", "series_1")
    assert list(found.past) == ["y", "wind", "promo", "calendar"]
    assert list(found.future) == ["promo", "calendar"]
    assert list(found.static) == ["kind", "level of the window", "spread of the window"]
    assert all(values.shape == (2, 24) for values in found.past.values())
    assert all(values.shape == (2, 6) for values in found.future.values())
    assert (np.diff(found.past_times, axis=1) == np.timedelta64(1, "h")).all()
    assert (found.future_times[:, 0] - found.past_times[:, -1] == np.timedelta64(1, "h")).all()


def test_a_linear_network_is_explained_exactly(rich, rich_future, monkeypatch):
    """The median is 3 promo at each step + 2 kind + the last wind: contributions are these."""
    spread = {}

    def linear(network, batch):
        spread["of"] = batch.spread
        last = batch.past[:, -1, 3]
        value = 3 * batch.future[..., 0] + 2 * batch.static[:, :1] + last[:, None]
        return value[..., None].expand(-1, -1, 7)

    monkeypatch.setattr("grukit.tasks.forecast_explain.answer", linear)
    found = rich.explain(future=rich_future, step=2)
    others = {"y", "calendar", "level of the window", "spread of the window"}
    assert all(np.abs(found.totals()[name]).max() < 1e-6 for name in others)
    assert np.abs(found.past["wind"][:, :-1]).max() < 1e-6
    assert (np.abs(found.past["wind"][:, -1]) > 1e-3).all()
    assert np.abs(np.delete(found.future["promo"], 1, axis=1)).max() < 1e-6
    kinds = found.static["kind"] / np.abs(found.static["kind"]).max()
    assert kinds.tolist() == pytest.approx([1.0, 0.0])  # one column is a category of one series


def test_the_cause_that_was_planted_is_found(small, planted):
    table = planted(count=1, length=600, noise=0.02)
    table["noise"] = np.random.default_rng(0).normal(size=len(table))
    model = small(
        past_covariates=("noise",),
        future_covariates=("promo",),
        hidden_size=16,
        training=TRAINED,
    ).fit(table[:500])
    rows = table[500:530]
    ahead = table[530:536].assign(promo=1.0)
    found = model.explain(rows.assign(promo=0.0), ahead)
    total = {name: abs(values[0]) for name, values in found.totals().items()}
    assert max(total, key=lambda name: total[name]) == "promo"
    assert total["noise"] < 0.2 * total["promo"]


@pytest.mark.parametrize(
    ("family", "network"), [("student_t", "steps"), ("mixture", "steps"), ("quantiles", "segments")]
)
def test_other_distributions_and_networks_are_explained(small, planted, family, network):
    model = small(distribution=family, network=network).fit(planted(length=200))
    found = model.explain(level=0.9)
    assert gap(found).max() < 2e-3
    np.testing.assert_allclose(found.forecast, model.predict().quantile(0.9).mean(1), rtol=1e-6)


def test_ensembles_and_gaps_are_explained(small, planted):
    table = planted(length=200, missing=0.1)
    for options in ({"ensemble": 2}, {"cell": "gru_d"}, {"series_embedding": 2}):
        found = small(**options).fit(table).explain()
        assert gap(found).max() < 1e-3


def test_wrong_contributions_do_not_sum(rich, rich_future, monkeypatch):
    """The sabotage: gradients at the inputs alone leave much unexplained."""
    ends = (np.ones(512), np.full(512, 2 / 512))
    monkeypatch.setattr(np.polynomial.legendre, "leggauss", lambda count: ends)
    found = rich.explain(future=rich_future, level=0.975)
    assert gap(found).max() > 0.01


def test_the_network_is_left_as_it_was(rich, rich_future):
    before = rich.predict(future=rich_future).values
    gradients = [parameter.grad.clone() for parameter in rich.network_.parameters()]
    rich.explain(future=rich_future)
    np.testing.assert_array_equal(rich.predict(future=rich_future).values, before)
    after = [parameter.grad for parameter in rich.network_.parameters()]
    assert all(map(torch.equal, after, gradients))
    assert not rich.network_.training
    assert torch.is_grad_enabled()


def test_as_a_frame(rich, rich_future):
    found = rich.explain(future=rich_future)
    frame = found.to_frame()
    assert list(frame.columns) == ["series", "column", "time", "contribution"]
    for at, name in enumerate(found.series):
        own = frame[frame.series == name].groupby("column").contribution.sum()
        for column, values in found.totals().items():
            assert own[column] == pytest.approx(values[at], abs=1e-12)


def test_bad_calls_are_refused(small, fitted, rich, planted):
    with pytest.raises(NotFittedError):
        small().explain()
    with pytest.raises(ParameterError, match="step must be None or an integer of at least 1"):
        fitted.explain(step=0)
    with pytest.raises(ParameterError, match="step must be at most 6, got 7"):
        fitted.explain(step=7)
    with pytest.raises(ParameterError, match=r"levels must have 0.33 among them"):
        fitted.explain(level=0.33)
    with pytest.raises(DataError, match="must be given for the 6 steps"):
        rich.explain()
    counts = planted(length=200).assign(y=lambda rows: rows.y.round())
    model = small(distribution="negative_binomial").fit(counts)
    with pytest.raises(ParameterError, match="distribution must be one of numbers"):
        model.explain()
