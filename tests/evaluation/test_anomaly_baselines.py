"""The windowed Gaussian of NAB, as published, and the random score."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.anomaly_baselines import random_scores, windowed_gaussian

SERIES = (
    "realKnownCause/ec2_request_latency_system_failure.csv",
    "realKnownCause/rogue_agent_key_hold.csv",
    "artificialNoAnomaly/art_flatline.csv",
    "realTweets/Twitter_volume_IBM.csv",  # longer than the window
)


@pytest.mark.parametrize("name", SERIES)
def test_the_gaussian_gives_the_published_scores(data_folder, name):
    folder = data_folder / "anomaly" / "nab"
    if not (folder / "published_scores.npz").exists():
        pytest.skip("NAB is not on this machine")
    with (folder / "data" / name).open() as file:
        values = np.array([float(row["value"]) for row in csv.DictReader(file)])
    with np.load(folder / "published_scores.npz") as saved:
        published = saved[f"windowedGaussian/{name}"]
    # On all 58 series the largest difference is 5e-13.
    np.testing.assert_allclose(windowed_gaussian(values), published, rtol=0, atol=1e-11)


def test_the_window_moves_in_steps():
    values = np.random.default_rng(0).normal(size=60)
    scores = windowed_gaussian(values, window=20, step=10)
    for row, first, last in ((29, 0, 20), (30, 10, 30), (39, 10, 30), (40, 20, 40)):
        expected = windowed_gaussian(np.append(values[first:last], values[row]))[-1]
        assert scores[row] == pytest.approx(expected)


def test_missing_values_score_nothing_and_teach_nothing():
    values = np.random.default_rng(0).normal(size=50)
    gappy = np.insert(values, [0, 10, 10, 50], np.nan)
    scores = windowed_gaussian(gappy)
    known = ~np.isnan(gappy)
    np.testing.assert_array_equal(scores[known], windowed_gaussian(values))
    np.testing.assert_array_equal(scores[~known], 0)
    np.testing.assert_array_equal(windowed_gaussian(np.full((5, 2), np.nan)), 0)


def test_of_several_channels_the_score_is_the_largest():
    values = np.random.default_rng(0).normal(size=(50, 3))
    each = [windowed_gaussian(channel) for channel in values.T]
    np.testing.assert_array_equal(windowed_gaussian(values), np.max(each, axis=0))


def test_bad_input_is_refused():
    with pytest.raises(ParameterError, match="finite or NaN"):
        windowed_gaussian(np.array([1.0, np.inf]))
    with pytest.raises(ParameterError, match="step must be an integer of at least 1"):
        windowed_gaussian(np.arange(9.0), window=3, step=0)


def test_random_scores_follow_their_seed():
    np.testing.assert_array_equal(random_scores(100, seed=1), random_scores(100, seed=1))
    assert (random_scores(100, seed=1) != random_scores(100, seed=2)).all()
