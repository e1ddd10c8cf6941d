"""check_backend goes red for every sabotage, by the right check and of the right case."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sabotaged_backends import (
    EVERY_OPTION,
    SABOTAGE,
    backward_of,
    forward_of,
    reference,
    stepping,
)

from grukit.core.errors import GrukitError
from grukit.testing import backend_checks, check_backend
from grukit.testing.backends import Subject
from grukit.testing.running import failures


@pytest.mark.parametrize("name", SABOTAGE)
def test_a_sabotaged_backend_is_caught(name):
    sabotage = SABOTAGE[name]
    checks = [check for check in backend_checks() if check.__name__ == sabotage.check]
    found = failures(checks, Subject(sabotage.backend, sabotage.op))
    assert re.search(sabotage.told, str(found[sabotage.check]))


def test_every_check_has_its_sabotage():
    checks = {check.__name__ for check in backend_checks()}
    assert checks == {sabotage.check for sabotage in SABOTAGE.values()}


HEALTHY = forward_of(), backward_of(), stepping(lambda step, *others: step(*others))


@pytest.mark.parametrize("healthy", HEALTHY)
def test_what_sabotage_is_made_with_is_sound(healthy):
    checks = [check for check in backend_checks() if check.__name__ == "strides_do_not_matter"]
    assert not failures(checks, Subject(healthy, "gru"))


def test_check_backend_runs_every_check_and_lists_all_that_fail():
    with pytest.raises(AssertionError) as error:
        check_backend(SABOTAGE["drops a bias of rnn"].backend, "rnn")
    failed = [line.split(":")[0] for line in str(error.value).splitlines()]
    assert EVERY_OPTION in failed
    assert "without_saving_nothing_is_kept" not in failed
    assert len(failed) > 5


def test_a_backend_that_refuses_everything_is_not_proved():
    lazy = replace(reference(), why_not=lambda call: ("not today",))
    with pytest.raises(AssertionError, match="ran no case: not today"):
        check_backend(lazy)


def test_a_backend_is_not_run_where_it_objects():
    def why_not(call):
        return ("lengths",) if "lengths" in call.given else ()

    backend = forward_of(lambda tensors: tensors if tensors.lengths is None else 1 / 0)
    picky = replace(backend, why_not=why_not)
    checks = [check for check in backend_checks() if check.__name__ == EVERY_OPTION]
    assert not failures(checks, Subject(picky, "gru"))
    assert failures(checks, Subject(backend, "gru"))


def test_an_unknown_op_is_named():
    with pytest.raises(
        GrukitError, match="op must be one of 'gru', 'lstm', 'rnn', 'mingru', got 'lru'"
    ):
        check_backend(reference(), "lru")
