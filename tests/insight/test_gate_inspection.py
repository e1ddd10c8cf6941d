"""What a hand-set GRU does is found, and what it does not do is not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from planted_gru import (
    COUNTER,
    DEAD,
    DEFECTS,
    FORGETTER,
    SATURATED,
    bracketed,
    one_hot,
    planted_gru,
)

from grukit import nn
from grukit.core.errors import ParameterError
from grukit.insight.features import text_features, word_ends
from grukit.insight.gates import inspect_gates, read_gates
from grukit.insight.units import memory_lengths, quantiles
from grukit.results.gate_report import GateReport
from grukit.results.gates import GateRecord

TEXT = bracketed()


def report_of(layer, text=TEXT) -> GateReport:
    return inspect_gates(read_gates(layer, one_hot(text), text=text))


def units(report: GateReport, what: str) -> list[int]:
    return [int(unit) for _, unit in report.named(what)]


def counters(report: GateReport) -> list[int]:
    return [int(one.unit) for one in report.follows if one.feature == "bracket depth"]


@pytest.mark.parametrize("kind", ["torch", "grukit"])
def test_the_planted_truth_is_found(kind):
    layer = planted_gru()
    report = report_of(layer if kind == "torch" else nn.convert.from_torch(layer))
    assert counters(report) == [COUNTER]
    assert report.follows[0].correlation > 0.98
    assert units(report, "reset") == [FORGETTER]
    assert units(report, "dead") == [DEAD]
    assert units(report, "saturated") == [SATURATED]
    memories = [unit.memory.median for unit in report.units if unit.memory]
    assert memories.index(max(memories)) == COUNTER
    words = "\n".join(report.words())
    for said in ("follow bracket depth: 3 (+1.00)", "dead: the state never moves: 7"):
        assert said in words
    assert "reset at boundaries: 5 (0.00 may pass there, 0.99 elsewhere)" in words
    assert "saturated: the state is always at an end: 8" in words


def test_the_planted_truth_is_found_in_other_texts():
    for seed in range(1, 4):
        report = report_of(planted_gru(), bracketed(300, seed))
        assert counters(report) == [COUNTER]
        assert units(report, "reset") == [FORGETTER]


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_unit_that_does_something_else_is_not_named(defect):
    report = report_of(planted_gru(defect))
    named = {
        "counts letters": COUNTER in counters(report),
        "resets nowhere": FORGETTER in units(report, "reset"),
        "lives": DEAD in units(report, "dead"),
        "swings": SATURATED in units(report, "saturated"),
    }
    assert not named.pop(defect)
    assert all(named.values())


def test_random_layers_are_named_nothing():
    for seed in range(5):
        torch.manual_seed(seed)
        report = report_of(nn.GRU(5, 32))
        assert not any(unit.is_ for unit in report.units)
        assert not report.doubled
        assert not counters(report)


def test_boundaries_elsewhere_reset_nobody():
    records = read_gates(planted_gru(), one_hot(TEXT))
    shifted = np.roll(word_ends(TEXT), 1)
    assert not inspect_gates(records, {}, shifted).named("reset")


def test_doubled_units_are_found():
    layer = planted_gru()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.view(3, 10, -1)[:, 2] = parameter.view(3, 10, -1)[:, 1]
        # What they read of each other is one number now, so it stays the same in both.
    (pair,) = report_of(layer).doubled
    assert (pair.one, pair.other) == ("1", "2")
    assert pair.correlation == pytest.approx(1.0)


def test_units_that_drift_together_are_not_doubled():
    random, time = np.random.default_rng(0), np.linspace(-0.9, 0.9, 100)[:, None]
    drifting = time + random.normal(0, 0.01, (100, 6))
    drifting[:, 5] = -drifting[:, 2]
    assert np.corrcoef(drifting.T)[0, 1] > 0.99
    own = GateRecord("layer", "rnn", tuple(map(str, range(100))), {"hidden": drifting})
    assert [(pair.one, pair.other) for pair in inspect_gates([own]).doubled] == [("2", "5")]


def record(carry, **changed) -> GateRecord:
    carry = np.asarray(carry, np.float64)
    gates = {"update": carry, "hidden": np.cumsum(np.ones_like(carry), axis=0) / 1e3}
    return GateRecord("layer", "gru", tuple(map(str, range(len(carry)))), gates, **changed)


def test_a_constant_gate_has_the_memory_of_its_power():
    for carry in (0.3, 0.7, 0.9, 0.99):
        (unit,) = inspect_gates([record(np.full((400, 1), carry))]).units
        assert unit.memory.median == math.ceil(-1 / math.log(carry))
        assert unit.memory.low == unit.memory.high == unit.memory.median


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.MinGRU])
def test_the_memory_is_that_of_the_gate_that_carries_the_state_on(kind):
    """All its other gates are at 1/2, as they are of weights of 0."""
    layer = kind(5, 3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        # The update gate is the second of a GRU and the first of a minGRU, the forget gate the
        # second of an LSTM.
        first = 0 if kind is nn.MinGRU else 3
        layer.weight_ih_l0[first + 3 : first + 6] = torch.eye(5)[:3] * 0.2
        layer.bias_ih_l0[first : first + 3] = torch.logit(torch.tensor([0.5, 0.9, 0.98]))
    report = report_of(layer)
    assert [unit.memory.median for unit in report.units] == [2, 10, 50]
    assert units(report, "holds") == [2]
    said = "half of the units keep 1/e of their state for 10 characters or more; the longest for 50"
    assert said in "\n".join(report.words())


def test_a_memory_longer_than_the_sequence_is_told_as_such():
    (unit,) = inspect_gates([record(np.full((100, 1), 0.9999))]).units
    assert unit.memory.median == math.inf
    assert "holds" in unit.is_
    assert inspect_gates([record(np.full((100, 1), 0.9999))]).to_dict()["units"][0]["memory"] == {
        "median": None,
        "low": None,
        "high": None,
    }


def test_memory_lengths_are_those_of_a_plain_loop():
    carry = np.random.default_rng(0).uniform(0.5, 1.0, (60, 3))
    lengths, seen = memory_lengths(carry)
    for unit in range(3):
        for start in range(59):
            product, wanted = 1.0, None
            for at in range(start + 1, 60):
                product *= carry[at, unit]
                if product <= 1 / math.e:
                    wanted = at - start
                    break
            assert seen[start, unit] == (wanted is not None)
            assert lengths[start, unit] == (59 - start if wanted is None else wanted)


def test_a_layer_that_reads_backwards_remembers_what_comes_later():
    carry = np.concatenate([np.full((50, 1), 0.99), np.full((1, 1), 0.0), np.full((49, 1), 0.5)])
    ahead, _ = (inspect_gates([record(carry, reverse=back)]).units[0] for back in (False, True))
    back = inspect_gates([record(carry[::-1], reverse=True)]).units[0]
    assert ahead.memory == back.memory


def test_quantiles_count_what_was_cut_off():
    # Without the ones that were cut off the median would be 2.
    lengths, seen = np.array([1, 2, 3, 5, 5, 5]), np.array([1, 1, 1, 0, 0, 0], bool)
    assert quantiles(lengths, seen, (0.1, 0.5, 0.9)) == [1.0, 3.0, math.inf]
    assert quantiles(lengths, np.ones(6, bool), (0.5,)) == [3.0]


def test_several_inputs_are_judged_together():
    records = []
    for seed in (1, 2):
        text = bracketed(300, seed)
        records += read_gates(planted_gru(), one_hot(text), text=text)
    report = inspect_gates(records)
    assert report.steps == {"GRU": 600}
    assert counters(report) == [COUNTER]
    assert units(report, "reset") == [FORGETTER]


def test_stuck_gates_are_named():
    layer = planted_gru()
    with torch.no_grad():
        layer.bias_ih_l0[10 + DEAD] = 9.0
    report = report_of(layer)
    assert [own.stuck for own in report.units if own.stuck] == [{"update": "1"}]
    assert any("update gate always near 1 (a step changes little): 7" in s for s in report.words())


def test_a_report_is_a_table_a_frame_and_json():
    report = report_of(planted_gru())
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["units"][3]["unit"] == "3"
    assert len(report.to_frame()) == 10
    header, first, *_ = report.table(most=3).splitlines()
    assert header.split()[:2] == ["layer", "unit"]
    assert "3" in first
    assert report.table(most=3).endswith("(7 other units)")


def test_of_an_lstm_the_forget_gate_carries_and_a_plain_network_has_none():
    torch.manual_seed(0)
    lstm, rnn = (report_of(kind(5, 6)) for kind in (nn.LSTM, nn.RNN))
    assert all(unit.memory is not None and unit.passing is not None for unit in lstm.units)
    assert all(unit.memory is None and unit.passing is None for unit in rnn.units)


def test_features_and_boundaries_have_a_value_for_each_step():
    records = read_gates(planted_gru(), one_hot(TEXT))
    with pytest.raises(ParameterError, match="the feature depth must be of shape"):
        inspect_gates(records, {"depth": np.zeros(3)})
    with pytest.raises(ParameterError, match="boundaries must be bool of shape"):
        inspect_gates(records, boundaries=np.zeros(3, bool))
    with pytest.raises(ParameterError, match="records must be at least one"):
        inspect_gates([])


def test_two_slow_waves_do_not_follow_each_other():
    """They correlate by 0.96, as they would if one came a little later or earlier."""
    time = np.arange(400) * math.tau / 400
    state = 0.5 * np.sin(time)[:, None]
    own = GateRecord("layer", "rnn", tuple(map(str, range(400))), {"hidden": state})
    assert not inspect_gates([own], {"wave": np.sin(time + 0.3)}).follows
    noise = np.random.default_rng(0).normal(size=400)
    own = GateRecord("layer", "rnn", own.steps, {"hidden": np.tanh(noise)[:, None]})
    (found,) = inspect_gates([own], {"noise": noise}).follows
    assert found.chance == pytest.approx(1 / 355)


def test_what_grows_does_not_follow_all_else_that_does():
    """States that drift correlate by 0.9 and more with any feature that drifts."""
    random, time = np.random.default_rng(0), np.linspace(-1, 1, 300)
    drifting = 0.5 * time[:, None] + random.normal(0, 0.03, (300, 40))
    own = GateRecord("layer", "rnn", tuple(map(str, range(300))), {"hidden": drifting})
    noise = random.normal(0, 0.1, 300)
    assert len(inspect_gates([own], {"other": time + noise}).follows) <= 4
    assert not inspect_gates([own], {"place": np.arange(300)}).follows
    following = drifting + 0.3 * noise[:, None]
    own = GateRecord("layer", "rnn", own.steps, {"hidden": following})
    assert len(inspect_gates([own], {"own": time + noise}).follows) == 40


def test_of_a_few_steps_it_is_not_said_what_units_do():
    """Of 19 steps nothing is said; where units do something, 20 are enough."""
    torch.manual_seed(0)
    for steps, said in ((5, False), (19, False), (20, True)):
        report = report_of(planted_gru(), TEXT[:steps])
        assert bool(report.named("dead")) == bool(report.named("saturated")) == said
        assert said or not (report.follows or report.doubled or report.named("holds"))
        assert any("too short to say" in line for line in report.words()) != said
    (stuck,) = inspect_gates([record(np.ones((19, 1)))]).units
    assert not stuck.stuck
    # Many short texts are long enough together, though none of them is.
    for steps in (1, 4):
        short = [record(np.full((steps, 2), 0.5)) for _ in range(20)]
        report = inspect_gates(short, {"a": np.arange(float(steps))})
        assert not report.named("holds")
        assert not report.follows


def test_states_beyond_1_are_not_saturated():
    states = np.linspace(1.0, 9.0, 50)[:, None]
    own = GateRecord("layer", "rnn", tuple(map(str, range(50))), {"hidden": states})
    (unit,) = inspect_gates([own]).units
    assert unit.is_ == ()


def test_what_is_saturated_is_not_said_to_hold():
    gates = {"update": np.full((100, 1), 0.999), "hidden": np.full((100, 1), 0.99)}
    (unit,) = inspect_gates([GateRecord("layer", "gru", tuple("a" * 100), gates)]).units
    assert unit.memory.median == math.inf
    assert unit.is_ == ("saturated",)


def test_of_a_projection_the_gates_are_of_other_units():
    layer = nn.LSTM(5, 6, proj_size=2)
    with torch.no_grad():
        layer.bias_ih_l0[6:12] = 20.0
    report = report_of(layer)
    assert len(report.units) == 2
    assert not any(unit.stuck or unit.memory or unit.passing for unit in report.units)


def test_the_features_of_a_text():
    text = 'a) "B(c\n[d]" 7e'
    found = text_features(text)
    wanted = {
        "bracket depth": [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1],
        "inside quotes": [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        "place in the word": [1, 2, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2],
        "place in the line": [1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7],
        "space": [sign.isspace() for sign in text],
        "capital": [sign == "B" for sign in text],
        "digit": [sign == "7" for sign in text],
        "vowel": [sign in "ae" for sign in text],
        "punctuation": [sign in '()[]"' for sign in text],
    }
    assert {name: values.tolist() for name, values in found.items()} == wanted
    assert "digit" not in text_features("a b")
    assert word_ends(["a", " b", "\n"]).tolist() == [False, True, True]


def test_gates_that_are_no_numbers_are_refused():
    x = torch.randn(30, 1, 5)
    x[3] = math.nan
    with pytest.raises(ParameterError, match="finite numbers, got 'others from step 4 on'"):
        inspect_gates(read_gates(nn.GRU(5, 4), x))


def test_what_is_unknown_of_a_feature_takes_its_mean():
    noise = np.random.default_rng(0).normal(size=(200, 1))
    own = GateRecord("layer", "rnn", tuple(map(str, range(200))), {"hidden": np.tanh(noise)})
    kelvin = 300 + noise[:, 0]
    kelvin[::7] = math.nan
    (found,) = inspect_gates([own], {"kelvin": kelvin}).follows
    assert found.correlation > 0.8
    assert not inspect_gates([own], {"nothing": np.full(200, math.nan)}).follows


def test_a_clock_is_not_taken_for_resets_at_boundaries():
    """A gate that shuts at every fourth step does so at boundaries that happen to fall on them."""
    random = np.random.default_rng(0)
    shut = np.arange(200) % 4 == 0
    few = shut & (random.random(200) < 0.5)
    clock = record(np.where(shut, 0.0, 1.0)[:, None], boundaries=few)
    reset = record(np.where(few, 0.0, 1.0)[:, None], boundaries=few)
    found = [inspect_gates([own]).units[0] for own in (clock, reset)]
    assert [unit.passing.at_boundaries for unit in found] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert [unit.passing.chance for unit in found] == pytest.approx([0.25, 0.0], abs=0.01)
    assert ["reset" in unit.is_ for unit in found] == [False, True]
