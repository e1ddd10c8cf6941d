"""Learning rate, order and random state follow from the number of the step."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grukit.training.config import FitConfig
from grukit.training.schedule import item_order, learning_rate_at, seed_update, seed_validation

CPU = torch.device("cpu")


@given(st.integers(1, 300), st.floats(0, 0.9), st.floats(0, 1))
def test_the_rate_rises_to_the_peak_and_falls_to_its_final_fraction(steps, warmup, final):
    config = FitConfig(learning_rate=0.5, warmup_fraction=warmup, final_fraction=final)
    rates = [learning_rate_at(step, steps, config) for step in range(steps)]
    peak = max(1, round(warmup * steps)) - 1
    assert all(0 <= rate <= 0.5 + 1e-12 for rate in rates)
    assert rates[peak] == pytest.approx(0.5)
    assert all(a <= b + 1e-12 for a, b in pairwise(rates[: peak + 1]))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[peak:]))
    if steps - peak > 2:
        assert rates[-1] == pytest.approx(0.5 * final)


def test_every_epoch_has_every_item_in_its_own_order():
    orders = [item_order(50, seed, epoch, False) for seed, epoch in ((0, 1), (0, 2), (1, 1))]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(50))
    assert torch.equal(orders[0], item_order(50, 0, 1, False))
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert torch.equal(item_order(5, 0, 1, True), torch.arange(5))


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 12))
def test_no_item_comes_again_before_all_others_have_come(size, per_epoch, epochs):
    drawn = [item_order(size, 3, epoch, False, per_epoch) for epoch in range(1, epochs + 1)]
    assert all(len(order) == min(per_epoch, size) for order in drawn)
    for items in torch.cat(drawn).split(size):
        assert len(items.unique()) == len(items)
    if per_epoch >= size:
        assert torch.equal(drawn[-1], item_order(size, 3, epochs, False))


def test_the_order_is_the_same_for_ever():
    assert item_order(8, 0, 1, False).tolist() == [4, 1, 5, 3, 6, 7, 2, 0]


def test_random_states_differ_by_seed_step_and_purpose():
    drawn = []
    for seed_torch in (seed_update, seed_validation):
        for seed in (0, 1):
            for number in range(20):
                seed_torch(CPU, seed, number)
                drawn.append(torch.rand(()).item())
    assert len(set(drawn)) == 80
    seed_update(CPU, 0, 0)
    assert torch.rand(()).item() == drawn[0]
