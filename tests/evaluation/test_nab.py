"""NAB's score: by hand, and of the scores that NAB publishes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.data import catalog
from grukit.evaluation.nab import PROFILES, nab_score
from grukit.results import runs

WINDOWS = [[(40, 49), (80, 80)], []]


def alarms(*rows):
    """Two series of 100 rows, with alarms in the first."""
    scores = np.zeros(100)
    scores[list(rows)] = 1.0
    return [scores, np.zeros(100)]


def score(*rows, **options):
    return nab_score(alarms(*rows), WINDOWS, threshold=1.0, **options).score


def sigmoid(x):
    return 2 / (1 + np.exp(5 * x)) - 1


def test_no_alarms_are_nothing_and_the_earliest_all():
    assert score() == pytest.approx(0.0)
    assert score(40, 80) == pytest.approx(100.0)


def test_a_window_counts_once_with_its_best_alarm():
    late = 25 * (1 + sigmoid(-0.1) / sigmoid(-1))
    assert score(49) == pytest.approx(late)
    assert score(47, 48, 49) > score(49)
    assert score(40, 45, 49, 80) == pytest.approx(100.0)


def test_false_alarms_cost_less_soon_after_a_window():
    assert score(30) == pytest.approx(-0.11 * 25)
    assert score(52) == pytest.approx(0.11 * 25 * sigmoid(3 / 9))
    assert score(79) == pytest.approx(-0.11 * 25)
    # Past a window of one row, nothing is soon.
    assert score(81) == pytest.approx(-0.11 * 25)


def test_alarms_are_not_looked_at_in_the_first_part():
    assert score(*range(15)) == 0.0
    assert score(15) < 0.0


def test_profiles_weigh_mistakes():
    assert score(30, profile="reward_low_FP_rate") == pytest.approx(-0.22 * 25)
    assert score(30, profile="reward_low_FN_rate") == pytest.approx(-0.11 * 100 / 6)


def test_the_best_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = [rng.integers(0, 6, 100) / 5, rng.integers(0, 6, 100) / 5]
        found = nab_score(scores, WINDOWS)
        every = [nab_score(scores, WINDOWS, threshold=t).score for t in (*np.arange(6) / 5, 2.0)]
        assert found.score == pytest.approx(max(every))
        assert nab_score(scores, WINDOWS, threshold=found.threshold).score == pytest.approx(
            found.score
        )


def test_bad_arguments():
    with pytest.raises(ParameterError, match="profile must be one of"):
        score(profile="kind")
    with pytest.raises(ParameterError, match="windows must be of 2 series"):
        nab_score(alarms(), WINDOWS[:1])
    with pytest.raises(ParameterError, match="shape"):
        nab_score([np.zeros((100, 1)), np.zeros(100)], WINDOWS)
    with pytest.raises(ParameterError, match="got none"):
        nab_score(alarms(), [[], []])
    with pytest.raises(ParameterError, match="NaN"):
        nab_score([np.full(100, np.nan), np.zeros(100)], WINDOWS)
    for wrong in ([(50, 40)], [(40, 100)], [(-1, 3)], [(40, 50), (50, 60)], [(60, 70), (40, 50)]):
        with pytest.raises(ParameterError, match="in order, without overlaps"):
            nab_score(alarms(), [wrong, []])


@pytest.fixture(scope="module")
def corpus(data_folder):
    """The folder of NAB, the names of its series and their windows as rows."""
    folder = data_folder / "anomaly" / "nab"
    if not (folder / "published_scores.npz").exists():
        pytest.skip("NAB is not on this machine")
    series = dict(iter(catalog.load("nab").groupby("unique_id")))
    windows = [runs(rows["anomaly"].to_numpy()) for rows in series.values()]
    return folder, list(series), windows


@pytest.mark.parametrize("profile", PROFILES)
def test_published_scores_get_the_published_figures(corpus, profile):
    folder, names, windows = corpus
    published = json.loads((folder / "config" / "final_results.json").read_text())
    thresholds = json.loads((folder / "config" / "thresholds.json").read_text())
    with np.load(folder / "published_scores.npz") as saved:
        gaussian, random = (
            [saved[f"{detector}/{name}.csv"] for name in names]
            for detector in ("windowedGaussian", "random")
        )
    found = nab_score(gaussian, windows, profile=profile)
    assert found.score == pytest.approx(published["windowedGaussian"][profile], abs=1e-6)
    # NAB did not find the best threshold of the random scores, so they are scored at its own.
    threshold = thresholds["random"][profile]["threshold"]
    found = nab_score(random, windows, profile=profile, threshold=threshold)
    assert found.score == pytest.approx(published["random"][profile], abs=1e-6)
