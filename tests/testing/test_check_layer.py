"""check_layer passes every layer with every option, and goes red for every sabotage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sabotaged_layers import SABOTAGE, IgnoresLengths

from grukit.nn import GRU, LAYERS
from grukit.testing import check_layer, layer_checks
from grukit.testing.layers import equations
from grukit.testing.layers.equations import EQUATIONS
from grukit.testing.layers.transforms import GRAPHS
from grukit.testing.options import EVERYTHING, LAYER_OPTIONS, factories, factory_of, refusal, table
from grukit.testing.running import failures, run

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"
CASES = {case: f for case, f in factories(LAYERS, LAYER_OPTIONS).items() if refusal(f) is None}
REFUSED = {("GRU, reset_after=False", "proj_size"): "reset_after=False"}
REFUSED |= {(form, "candidate_dropout"): "RNN" for form in ("RNN", "RNN, nonlinearity=relu")}
REFUSED |= {
    (form, option): "MINGRU"
    for form in ("MinGRU", "MinGRU, positive=True")
    for option in ("proj_size", "recurrent_dropout")
}
OFF = {"proj_size": 0, "layer_norm": False, "zoneout": 0.0, "recurrent_dropout": 0.0}
OFF |= {"candidate_dropout": 0.0, "input_dropout": 0.0, "learned_state": False}
OFF |= {"residual": False, "models": None, "backend": None}


@pytest.mark.parametrize("case", CASES, ids=": ".join)
def test_every_layer_with_every_option(case):
    """Graphs of each option alone are compiled and exported in tests/nn/test_transforms.py."""
    graphs = case[1] == EVERYTHING
    run([check for check in layer_checks() if graphs or check not in GRAPHS], CASES[case])


def test_nothing_but_what_makes_no_sense_is_refused():
    found = factories(LAYERS, LAYER_OPTIONS)
    assert found.keys() - CASES.keys() == REFUSED.keys()
    for case, reason in REFUSED.items():
        said = refusal(found[case])
        assert said.startswith(f"{case[1]} must be off for")
        assert reason in said


def test_the_page_has_the_table():
    wanted = table(LAYERS, LAYER_OPTIONS)
    assert wanted in PAGE.read_text(encoding="utf-8"), f"{PAGE} must have this table:\n{wanted}"


@pytest.mark.parametrize("kind", LAYERS)
def test_options_that_are_off_change_nothing(kind):
    plain, off = kind(2, 3, 2), kind(2, 3, 2, **OFF)
    assert repr(plain) == repr(off)
    off.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 2)
    assert torch.equal(plain(x)[0], off(x)[0])


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, faults in SABOTAGE.items() for fault in faults]
)
def test_a_sabotaged_layer_is_caught(name, fault):
    found = SABOTAGE[name][fault]
    kind, options = found if isinstance(found, tuple) else (found, {})
    checks = [check for check in layer_checks() if check.__name__ == name]
    assert failures(checks, factory_of(kind, options))


def test_every_check_has_its_sabotage():
    assert list(SABOTAGE) == [check.__name__ for check in layer_checks()]


def test_the_kinds_with_kernels_have_their_equations():
    assert EQUATIONS.keys() >= {"GRU", "LSTM", "RNN"}


def test_a_kind_without_equations_is_compared_with_its_single_steps(monkeypatch):
    monkeypatch.setattr(equations, "EQUATIONS", {})
    for kind in LAYERS:
        equations.the_trace_satisfies_the_equations(kind)

    class Forgets(GRU):
        def trace(self, input, hx=None, **options):
            return super().trace(input, None if len(input) == 1 else hx, **options)

    with pytest.raises(AssertionError, match="by its equation"):
        equations.the_trace_satisfies_the_equations(Forgets)


def test_check_layer_lists_what_failed():
    with pytest.raises(AssertionError, match=r"lengths_equal_truncation: .* differs by "):
        check_layer(IgnoresLengths)


def test_the_checks_leave_the_global_seed_alone():
    before = torch.random.get_rng_state()
    run(
        [check for check in layer_checks() if check not in GRAPHS],
        factory_of(GRU, {"zoneout": 0.3}),
    )
    assert torch.equal(torch.random.get_rng_state(), before)
