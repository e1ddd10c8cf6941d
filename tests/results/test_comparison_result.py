from __future__ import annotations

import dataclasses
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError
from grukit.results.comparison import Comparison, Question, Run
from grukit.results.verdict import differ, figure, verdict

ADDING = Question("adding", "Adding", "mse", False, 1 / 6, "always 1", 0.01)
LONGEST = Question("anbn", "a^n b^n", "longest", True, 0.0, "always b", 0.005)
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


def test_without_validation_the_last_epoch_counts():
    assert run("gru", validation_losses=(), train_losses=(0.1, 0.3, 0.2)).best_loss == 0.2
    assert run("gru", validation_losses=(), train_losses=()).best_loss == math.inf


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


def test_a_table_wider_than_the_terminal_is_told_in_parts():
    found = runs(gru_before=(0.1, 0.1, 0.1), rnn=(0.16, 0.17, 0.1234567))
    whole = found.table("adding").splitlines()
    parts = [part.splitlines() for part in found.table("adding", 80).split("\n\n")]
    assert max(map(len, whole)) > 80 >= max(len(line) for part in parts for line in part)
    assert [len(part) for part in parts] == [3, 3]
    assert [part[1].split()[0] for part in parts] == ["gru_before"] * 2
    for at, line in enumerate(whole):
        words = [part[at].split()[0 if part is parts[0] else 1 :] for part in parts]
        assert [*words[0], *words[1]] == line.split()
    assert found.table("adding", 200).splitlines() == whole


def test_a_scale_says_which_way_is_better_and_what_nothing_is_worth():
    assert ADDING.scale == "mse, less is better; always 1: 0.1667"
    assert PARITY.scale == "accuracy, more is better; any bit: 0.5"
    assert dataclasses.replace(ADDING, blank=math.nan).scale == "mse, less is better"


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


def test_cells_alike_to_the_best_may_differ_from_each_other():
    found = runs(lstm=(141.0, 225.0, 357.0), rnn=(66.0, 66.0, 69.0), gru=(59.0, 59.0, 61.0))
    words = verdict(LONGEST, found.rows("adding"))
    assert words.startswith(
        "No difference seen between LSTM (n = 241) and any of RNN and GRU, whose intervals overlap "
        "with its own; RNN is better than GRU (n = 59.7). "
    )


def test_one_cell_alone_has_its_score():
    words = runs(gru=GOOD).verdict("adding")
    assert words.startswith("GRU has mse 0.002.")
    beside = runs(gru=GOOD, rnn=(math.nan,) * 3).verdict("adding")
    assert beside.startswith("RNN gave no score. GRU has mse 0.002.")


def test_a_cell_with_a_run_without_score_is_left_out_and_the_run_told():
    words = runs(gru=(*GOOD[:2], math.nan), rnn=BLANK, lstm=MIDDLE).verdict("adding")
    assert words.startswith("GRU gave no score in 1 of 3 runs, and is left out. LSTM is best")


def test_runs_that_diverged_and_have_a_score_are_told():
    every = [run("gru", at, score, diverged=at == 1) for at, score in enumerate(GOOD)]
    comparison = Comparison((ADDING,), tuple(every), "width")
    assert comparison.rows("adding")[0].diverged == 1
    words = comparison.verdict("adding")
    assert "1 of 3 runs of GRU diverged, scored by the best weights before." in words
    assert "diverged" not in runs(gru=GOOD).verdict("adding")


def test_who_learned_it_once_did_not_learn_next_to_nothing():
    words = runs(gru=(0.0001, 0.2, 0.4)).verdict("adding")
    assert "next to nothing" not in words
    assert "No run reached the goal." in words
    turned = runs(gru=(1.0, 0.3, 0.2))
    assert "next to nothing" not in verdict(PARITY, turned.rows("adding"))
    own = dataclasses.replace(ADDING, goal=None, blank_says="naive")  # of baselines, the mean
    assert "GRU did no better than naive (mse 0.167)." in verdict(own, turned.rows("adding"))


def test_who_reached_the_goal_more_often_then_sooner_stands_first():
    reached, not_reached = (0.2, 0.001), (0.2, 0.2)
    every = [
        *(run("gru", at, validation_losses=reached, seconds=(5.0, 5.0)) for at in range(2)),
        *(run("lstm", at, validation_losses=reached, seconds=(4.0, 4.0)) for at in range(2)),
        *(run("rnn", at, validation_losses=own) for at, own in enumerate((reached, not_reached))),
    ]
    words = Comparison((ADDING,), tuple(every), "width").verdict("adding")
    assert (
        "The goal was reached by LSTM in 2 of 2 runs, after 2 epochs and 8 s; GRU in 2 of 2 runs, "
        "after 2 epochs and 10 s; RNN in 1 of 2 runs, after 2 epochs and 4 s."
    ) in words


def test_next_to_nothing_is_a_twentieth_of_what_there_is_to_learn():
    chances = {0.5: True, 0.524: True, 0.526: False}
    for score, nothing in chances.items():
        rows = runs(gru=(score,)).rows("adding")
        assert ("next to nothing" in verdict(PARITY, rows)) == nothing
    for score, nothing in {1 / 6: True, 0.1585: True, 0.158: False}.items():
        assert ("next to nothing" in runs(gru=(score,)).verdict("adding")) == nothing


@pytest.mark.parametrize(("score", "more", "no_better"), [
    *((0.5, False, True), (0.501, False, True), (0.499, False, False)),
    *((0.5, True, True), (0.499, True, True), (0.501, True, False)),
])  # fmt: skip
def test_who_is_as_good_as_the_baseline_is_no_better(score, more, no_better):
    own = Question("adding", "Mine", "mae", more, 0.5, "naive", None)
    assert ("GRU did no better than naive" in verdict(own, runs(gru=(score,)).rows("adding"))) == (
        no_better
    )


def test_large_numbers_have_no_power_of_ten():
    assert [figure(own, 3) for own in (0.00023, 5.3e-5, 12.345, 999.9, 1000, -123456.7)] == [
        *("0.00023", "5.3e-05", "12.3", "1,000", "1,000", "-123,457")
    ]
    found = runs(gru=(1e4, 2e4, 3e4), rnn=(math.nan,))
    assert found.table("adding").splitlines()[1].split()[-4:] == [
        "20,000",
        "-4,843",
        "to",
        "44,843",
    ]
    assert "nan" not in found.table("adding")
    assert "n = 20,000" in verdict(LONGEST, found.rows("adding"))


SCORES = st.lists(
    st.sampled_from([0.001, 0.002, 0.01, 0.05, 0.16, 0.167, 0.2, 0.5, 0.51, 0.9, 1.0, math.nan]),
    min_size=3,
    max_size=3,
).map(tuple)
SAID = {"RNN": "rnn", "LSTM": "lstm", "GRU": "gru", "minGRU": "mingru"}


@given(st.fixed_dictionaries(dict.fromkeys(SAID.values(), SCORES)), st.booleans(), st.booleans())
def test_no_verdict_says_what_the_figures_do_not(scores, more, goal):
    question = dataclasses.replace(
        PARITY if more else ADDING, blank=0.5, goal=0.01 if goal else None
    )
    every = {row.cell: row for row in runs(**scores).rows("adding")}
    words = verdict(question, list(every.values()))
    sign, bare = 1 if more else -1, re.sub(r" \([^)]*\)", "", words)

    def rows(named: str):
        return [every[SAID[name]] for name in named.replace(" and ", ", ").split(", ")]

    for clause in re.split(r"[.;:](?: |$)", bare):
        if match := re.fullmatch(r"(\w+) is (?:best, )?better than (.*)", clause):
            (one,) = rows(match[1])
            for other in rows(match[2]):
                assert differ(one, other)
                assert sign * one.score > sign * other.score
        elif match := re.match(r"No difference seen between (\w+) and any of (.*), whose", clause):
            (one,) = rows(match[1])
            assert not any(differ(one, other) for other in rows(match[2]))
        elif match := re.match(r"No difference seen between (.*?)(, whose|$)", clause):
            alike = rows(match[1])
            assert not any(differ(one, other) for one in alike for other in alike)
        elif match := re.fullmatch(r"(.*) learned next to nothing", clause):
            assert all(
                sign * (score - 0.5) < 0.05 for row in rows(match[1]) for score in row.scores
            )
        elif match := re.match(r"(.*) did no better than", clause):
            assert all(sign * (row.score - 0.5) <= 0 for row in rows(match[1]))
        elif match := re.match(r"(\w+) gave no score", clause):
            assert math.isnan(rows(match[1])[0].score)
    assert all(re.search(rf"\b{name}\b", words) for name in SAID)
