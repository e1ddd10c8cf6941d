"""The test of Diebold and Mariano."""

from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.diebold_mariano import diebold_mariano


def test_one_step_is_students_t_of_the_differences():
    """Harvey, Leybourne and Newbold's correction makes it exactly that at one step."""
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    loss, other = rng.uniform(0, 1, 30), rng.uniform(0.1, 1.2, 30)
    found, wanted = diebold_mariano(loss, other), stats.ttest_rel(loss, other)
    assert found.difference == pytest.approx((loss - other).mean())
    assert found.statistic == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue)


def test_two_steps_by_hand():
    d = np.array([1.0, 2.0, 0.0, 1.0, 3.0, 2.0])
    # d - mean = -.5 .5 -1.5 -.5 1.5 .5: g_0 = 5.5 / 6, g_1 = -0.25 / 6, T = 6, h = 2.
    g_0, g_1 = 5.5 / 6, -0.25 / 6
    statistic = 1.5 / np.sqrt((g_0 + 2 * g_1) / 6) * np.sqrt((6 + 1 - 4 + 2 / 6) / 6)
    assert diebold_mariano(d, np.zeros(6), horizon=2).statistic == pytest.approx(statistic)


def test_it_is_right_as_often_as_it_says():
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((1000, 101))
    losses = (noise[:, 1:] + noise[:, :-1]) ** 2  # correlated over one step
    others = np.roll(losses, 1, axis=0)

    def rejected(horizon):
        pairs = zip(losses, others, strict=True)
        return np.mean([diebold_mariano(*pair, horizon).p_value < 0.05 for pair in pairs])

    assert 0.03 < rejected(horizon=2) < 0.075
    assert rejected(horizon=1) > rejected(horizon=2) + 0.01


def test_the_better_has_the_sign_and_swapping_turns_it():
    rng = np.random.default_rng(3)
    loss = rng.uniform(0, 1, 200)
    other = loss + rng.normal(0.1, 0.2, 200)
    one, two = diebold_mariano(loss, other), diebold_mariano(other, loss)
    assert one.statistic < -3
    assert one.p_value < 0.01
    assert one.statistic == pytest.approx(-two.statistic)
    assert one.p_value == pytest.approx(two.p_value)


@pytest.mark.parametrize(
    ("loss", "other", "horizon", "message"),
    [
        (np.ones(5), np.ones(4), 1, "of one shape"),
        (np.ones((5, 2)), np.ones((5, 2)), 1, "of one shape"),
        (np.array([1.0, np.nan, 2.0]), np.zeros(3), 1, "finite"),
        (np.arange(5.0), np.zeros(5), 3, "less than half of the 5 times"),
        (np.arange(5.0), np.zeros(5), 0, "horizon must be at least 1"),
        (np.ones(5), np.zeros(5), 1, "differ by more than a constant"),
        (np.geomspace(1, 9, 50) + 0.1, np.geomspace(1, 9, 50), 1, "differ by more than a constant"),
    ],
)
def test_bad_losses_are_refused(loss, other, horizon, message):
    with pytest.raises(ParameterError, match=message):
        diebold_mariano(loss, other, horizon)
