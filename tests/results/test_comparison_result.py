from __future__ import annotations

import dataclasses
import json
import math

import pytest

from grukit.core.errors import DataError
from grukit.results.comparison import Comparison, Question, Run
from grukit.results.verdict import verdict

ADDING = Question("adding", "Adding", "mse", False, 1 / 6, "always 1", 0.01)
PARITY = Question("parity", "Parity", "accuracy", True, 0.5, "any bit", 0.01)


def run(cell: str, seed: int = 0, score: float = 0.1, **more) -> Run:
    first = Run(
        problem="adding",
        cell=cell,
        rate=0.01,
        seed=seed,
        hidden_size=8,
        parameters=300,
        multiply_adds=250,
        memory_bytes=2**20,
        train_losses=(0.2, 0.1),
        validation_losses=(0.2, 0.1),
        seconds=(3.0, 1.0),
        score=score,
        diverged=False,
    )
    return dataclasses.replace(first, **more)


def runs(**scores: tuple[float, ...]) -> Comparison:
    found = [run(cell, at, own) for cell, all_ in scores.items() for at, own in enumerate(all_)]
    return Comparison((ADDING,), tuple(found), "parameters")


def test_the_interval_is_students():
    (row,) = runs(gru=(1.0, 2.0, 3.0)).rows("adding")
    assert row.score == 2.0
    # 4.303 is the 97.5 % point with two degrees of freedom; the deviation is 1.
    assert (row.low, row.high) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert runs(gru=(1.0, 2.0)).rows("adding")[0].low is None
    assert runs(gru=(1.0, 2.0, math.nan)).rows("adding")[0].low is None


def test_the_points_of_t_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    for count in (3, 4, 11, 31, 32, 60, 200):
        (row,) = runs(gru=tuple(float(n % 2) for n in range(count))).rows("adding")
        scores = row.scores
        true = stats.t.interval(0.95, count - 1, row.score, stats.sem(scores))
        assert row.low == pytest.approx(true[0], abs=5e-4)


def test_the_rate_of_the_lowest_validation_loss_is_taken_by_the_first_seed():
    tried = [
        run("gru", rate=0.1, score=0.0, validation_losses=(0.5, 0.4)),
        run("gru", rate=0.03, score=0.3, validation_losses=(0.05, 0.4)),
        run("gru", 1, rate=0.03, score=0.5, validation_losses=(9.0,)),
        run("gru", 1, rate=0.1, score=0.0, validation_losses=(0.0,)),
    ]
    comparison = Comparison((ADDING,), tuple(tried), "width")
    (row,) = comparison.rows("adding")
    assert (row.rate, row.tried, row.scores) == (0.03, 2, (0.3, 0.5))
    assert [own.seed for own in comparison.chosen("adding", "gru")] == [0, 1]


def test_a_run_that_diverged_at_once_is_not_chosen():
    tried = [run("gru", rate=0.1, validation_losses=(), score=math.nan), run("gru", rate=0.03)]
    assert Comparison((ADDING,), tuple(tried), "width").rows("adding")[0].rate == 0.03


def test_time_to_the_goal_is_the_median_of_the_seeds_that_reached_it():
    tried = [
        run("gru", 0, validation_losses=(0.2, 0.01, 0.0), seconds=(5.0, 1.0, 1.0)),
        run("gru", 1, validation_losses=(0.2, 0.2, 0.005), seconds=(5.0, 1.0, 2.0)),
        run("gru", 2, validation_losses=(0.2, 0.2, 0.2), seconds=(5.0, 1.0, 1.0)),
    ]
    (row,) = Comparison((ADDING,), tuple(tried), "width").rows("adding")
    assert (row.reached, row.epochs_to_goal, row.seconds_to_goal) == (2, 2.5, 7.0)
    # The first epoch loads code: it does not count where there are others.
    assert runs(gru=(1.0,)).rows("adding")[0].epoch_seconds == 1.0
    assert runs(gru=(1.0,)).rows("adding")[0].epochs_to_goal is None


def test_json_gives_back_the_same():
    found = runs(gru=(0.1, 0.2, 0.3), rnn=(math.nan,))
    text = json.dumps(found.to_dict(), allow_nan=False)
    again = Comparison.from_dict(json.loads(text))
    assert repr(again.runs) == repr(found.runs)
    assert again.questions == found.questions
    assert again.verdict("adding") == found.verdict("adding")
    assert "verdicts" in json.loads(text)


@pytest.mark.parametrize("wrong", [{}, [], None, "x", {"format": 1, "questions": 3}])
def test_what_is_no_comparison_is_refused(wrong):
    with pytest.raises(DataError, match="a comparison must be"):
        Comparison.from_dict(wrong)


def test_a_newer_format_is_refused():
    newer = {**runs(gru=(1.0,)).to_dict(), "format": 99}
    with pytest.raises(DataError, match="the format must be at most 1, got 99"):
        Comparison.from_dict(newer)


def test_the_table_and_the_frame_have_a_line_for_each_cell():
    found = runs(gru=(0.1, 0.1, 0.1), rnn=(0.16,))
    lines = found.table("adding").splitlines()
    assert len({len(line) for line in lines[:2]}) == 1
    assert "0.1 to 0.1" in lines[1]
    assert "0.16" in lines[2]
    assert "s/epoch" in lines[0]
    frame = found.to_frame()
    assert frame["cell"].tolist() == ["gru", "rnn"]
    with pytest.raises(DataError, match="a problem must be one of adding, got 'x'"):
        found.table("x")


GOOD, MIDDLE, BLANK = (0.001, 0.002, 0.003), (0.05, 0.051, 0.052), (0.166, 0.167, 0.168)


def test_the_verdict_follows_the_figures():
    words = runs(rnn=BLANK, gru=GOOD, lstm=MIDDLE).verdict("adding")
    assert "GRU is best (mse 0.002), better than LSTM (mse 0.051), RNN (mse 0.167)." in words
    assert "RNN learned next to nothing: mse 0.167 is the level of always 1." in words
    turned = runs(rnn=GOOD, gru=BLANK, lstm=MIDDLE).verdict("adding")
    assert "RNN is best" in turned
    a_little = runs(rnn=(0.16, 0.161, 0.162), gru=(0.15, 0.151, 0.152)).verdict("adding")
    assert "RNN learned next to nothing" in a_little
    assert "GRU learned next to nothing" not in a_little
    assert "GRU learned next to nothing" in turned


def test_overlapping_intervals_are_no_difference():
    words = runs(gru=GOOD, lstm=(0.0, 0.002, 0.005)).verdict("adding")
    assert "No difference seen between GRU and LSTM: their intervals overlap." in words
    assert "best" not in words
    three = runs(gru=GOOD, lstm=(0.0, 0.002, 0.005), rnn=BLANK).verdict("adding")
    assert "No difference seen between GRU and LSTM" in three
    assert "GRU is better than RNN (mse 0.167)" in three


def test_without_intervals_no_cell_is_called_better():
    words = runs(gru=GOOD[:2], rnn=BLANK[:2]).verdict("adding")
    assert "With 2 seeds there is no interval, so no cell is called better" in words
    assert "best first: GRU mse 0.0015, RNN mse 0.167" in words


def test_where_more_is_better_the_order_turns():
    found = runs(gru=(0.6, 0.61, 0.62), lstm=(0.9, 0.91, 0.92), rnn=(0.5, 0.51, 0.49))
    rows = found.rows("adding")
    words = verdict(PARITY, rows)
    assert "LSTM is best (91.0 %), better than GRU (61.0 %), RNN (50.0 %)" in words
    assert "RNN learned next to nothing: 50.0 % is the level of any bit." in words
    assert "LSTM learned next to nothing" in verdict(ADDING, rows)


def test_the_goal_and_the_time_are_told():
    quick = run("gru", validation_losses=(0.2, 0.001), seconds=(1.0, 1.0))
    slow = run("lstm", validation_losses=(0.2, 0.2), seconds=(2.0, 2.0))
    words = Comparison((ADDING,), (quick, slow), "width").verdict("adding")
    assert (
        "The goal was reached by GRU in 1 of 1 runs, after 2 epochs and 2 s; never by LSTM" in words
    )
    assert "An epoch of the GRU took 0.50 of the LSTM's time." in words
    none = Comparison((ADDING,), (slow,), "width").verdict("adding")
    assert "No run reached the goal." in none


def test_a_cell_without_a_score_is_told_and_left_out():
    found = runs(gru=(math.nan,))
    assert found.verdict("adding") == "GRU gave no score. So nothing can be said."
    assert "RNN gave no score." in runs(gru=GOOD, rnn=(math.nan,) * 3).verdict("adding")
