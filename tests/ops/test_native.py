"""The native backend beyond conformance, for which see test_backends.py."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_calls import (
    VARIANTS,
    WHOLE,
    each_op,
    each_variant,
    each_whole_op,
    each_whole_variant,
    everything,
)

from grukit import nn
from grukit.core import clib
from grukit.core.errors import BackendError
from grukit.ops import RECURRENCES
from grukit.ops.contract import NAMES, SAVE_ALL, SAVE_NOTHING, SAVE_STATES, Call
from grukit.testing import strategies
from grukit.testing.backends import (
    Case,
    Subject,
    backend_checks,
    compare_all,
    of_backend,
    sizes_around_lanes,
)
from grukit.testing.gradients import random_like
from grukit.testing.poison import poisoned_memory

needs_core = pytest.mark.needs_core
BATCHES = (1, 2, 3, 7, 16, 33)


def native(op):
    return RECURRENCES[op].backends[0]


def call_of(case, save=SAVE_ALL):
    return Call.of(case.cell, case.tensors(), variant=case.variant, save=save)


def forward(case, tensors=None, save=SAVE_NOTHING):
    tensors = case.tensors() if tensors is None else tensors
    return native(case.op).forward(tensors, case.variant, case.reverse, save)


def forward_and_backward(case, save=SAVE_ALL, tensors=None):
    """Every result, in an order."""
    tensors = tensors or case.tensors()
    output, *final, reserve = forward(case, tensors, save)
    d_output, *d_final = random_like([output, *final])
    wants = [name for name in NAMES[:14] if getattr(tensors, name) is not None]
    found = native(case.op).backward(
        tensors, d_output, d_final, output, reserve, case.variant, case.reverse, save, wants
    )
    return [output, *final, *found.values()]


@each_whole_op
def test_the_native_backend_is_the_first_choice(op):
    assert [backend.name for backend in RECURRENCES[op].backends] == ["native", "int8", "reference"]


@needs_core
@each_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_it_runs_whatever_is_asked_of_a_cpu(op, variant, dtype):
    assert native(op).why_not(call_of(everything(op, variant, dtype=dtype))) == ()


@needs_core
def test_it_says_what_it_cannot_run():
    call = call_of(Case(dtype=torch.float64))
    assert native("gru").why_not(replace(call, device="cuda", hidden_size=0)) == (
        "it runs on a CPU, not on cuda",
        "it needs at least one unit",
        "it computes in float32 and bfloat16, not in torch.float64",
    )


def test_without_the_core_the_reference_runs(monkeypatch):
    monkeypatch.setattr(clib, "_loaded", lambda: (None, "no compiler"))
    case = Case()
    assert native("gru").why_not(call_of(case)) == ("no compiler",)
    output, _ = RECURRENCES["gru"](*case.tensors())
    wanted, _ = RECURRENCES["gru"](*case.tensors(), backend="reference")
    assert torch.equal(output, wanted)
    with pytest.raises(BackendError, match="'native' cannot run this call: no compiler"):
        RECURRENCES["gru"](*case.tensors(), backend="native")


@needs_core
@each_op
@pytest.mark.parametrize("check", backend_checks()[:3], ids=lambda check: check.__name__)
def test_every_instruction_set_equals_the_definition(check, op, each_isa):
    check(Subject(native(op), op))


@needs_core
@each_op
@settings(max_examples=334)
@given(data=st.data())
def test_random_shapes_equal_the_definition(op, data):
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16]))
    case = data.draw(strategies.cases(op, dtype=dtype))
    # No reserve holds a projected state exactly, and layer norm magnifies its rounding.
    assume(not (case.layer_norm and case.proj_size and dtype == torch.bfloat16))
    tensors = case.tensors()
    compare_all(case, tensors, of_backend(native(op), case, tensors))


def big(op, variant, **fields):
    """A call on which two threads are worth their while, also where cores are busy."""
    return everything(
        op, variant, time=900, batch=40, input_size=70, hidden_size=130, models=None, **fields
    )


@needs_core
@each_whole_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_results_do_not_depend_on_the_number_of_threads(op, variant, dtype, threads, monkeypatch):
    ran = watch_threads(monkeypatch)
    for case in (
        big(op, variant, dtype=dtype),
        replace(big(op, variant, dtype=dtype), reverse=True, layer_norm=False, proj_size=0),
        Case(op, variant, 1500, 1, 200, 300, dtype=dtype),
        Case(op, variant, 1500, 1, 200, 300, dtype=dtype, resets=True, lengths=True, fresh=True),
    ):
        tensors = case.tensors()
        if tensors.resets is not None:
            tensors.resets[0] = True
        for save in (SAVE_ALL, SAVE_STATES):
            threads(1)
            alone = forward_and_backward(case, save, tensors)
            threads(2)
            for got, wanted in zip(forward_and_backward(case, save, tensors), alone, strict=True):
                assert torch.equal(got, wanted)
    assert {1, 2} <= ran


def watch_threads(monkeypatch):
    """The numbers of threads on which calls run from now on."""
    ran = set()
    run = clib.forward

    def watched(calls, count=1):
        ran.add(clib.threads(calls, count))
        run(calls, count)

    monkeypatch.setattr(clib, "forward", watched)
    return ran


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_core
@each_whole_variant
@pytest.mark.parametrize("hidden", [5, 16, 97])
def test_a_sequence_does_not_depend_on_its_batch(op, variant, hidden, threads):
    threads(2)
    for dtype in (torch.float32, torch.bfloat16):
        case = Case(op, variant, 6, max(BATCHES), 7, hidden, lengths=True, dtype=dtype)
        tensors = case.tensors()
        whole, *_ = forward(case, tensors)
        for batch in BATCHES:
            per_sequence = {
                name: getattr(tensors, name).narrow(axis, 0, batch)
                for name, axis in (("x", 1), ("h0", 0), ("c0", 0), ("lengths", 0))
                if getattr(tensors, name) is not None
            }
            part, *_ = forward(case, tensors._replace(**per_sequence))
            assert torch.equal(part, whole[:, :batch]), (batch, dtype)


@needs_core
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_gradient_that_vanishes_is_zero_and_never_denormal(kind):
    x = torch.randn(600, 4, 2, requires_grad=True)
    layer = kind(2, 16)
    layer(x)[0][-1].sum().backward()
    assert x.grad is not None
    assert (x.grad[:100] == 0).all()
    assert (x.grad[-1] != 0).all()
    size = x.grad.abs()
    assert not ((size > 0) & (size < torch.finfo(torch.float32).tiny)).any()
    assert torch.tensor(1e-39) * 1 > 0  # as before, outside of the core


def test_independent_calls_run_together_as_each_alone():
    for op, variant in [names for names in VARIANTS if names[0] in WHOLE]:
        cases = [everything(op, variant, reverse=reverse, models=None) for reverse in (False, True)]
        calls = [(case.tensors(), variant, case.reverse, SAVE_ALL) for case in cases]
        together = native(op).forward_many(calls)
        for call, found in zip(calls, together, strict=True):
            for got, wanted in zip(found, native(op).forward(*call), strict=True):
                assert torch.equal(got, wanted)
        backwards = []
        for (tensors, *way), (output, *final, reserve) in zip(calls, together, strict=True):
            d_output, *d_final = random_like([output, *final])
            backwards.append((tensors, d_output, d_final, output, reserve, *way, ("x", "w_hh")))
        for call, found in zip(backwards, native(op).backward_many(backwards), strict=True):
            wanted = native(op).backward(*call)
            assert found.keys() == wanted.keys() == {"x", "w_hh"}
            assert all(torch.equal(found[name], wanted[name]) for name in found)


@needs_core
def test_x_is_read_where_it_lies():
    case = Case(models=3, time=4)
    tensors = case.tensors()
    x = tensors.x[:1].expand(3, -1, -1, -1)
    wide = torch.full((*tensors.x.shape[:-1], 9), torch.nan)
    wide[..., 2:6] = tensors.x
    ways = {
        "one for all models": (x, x.contiguous()),
        "batch first": (tensors.x.transpose(1, 2).contiguous().transpose(1, 2), tensors.x),
        "part of a row": (wide[..., 2:6], tensors.x),
        "every other column": (torch.stack([tensors.x] * 2, -1).flatten(-2)[..., ::2], tensors.x),
        "negated in passing": (torch.complex(tensors.x, -tensors.x).conj().imag, tensors.x),
    }
    for name, (strided, plain) in ways.items():
        found = forward(case, tensors._replace(x=strided), SAVE_ALL)
        wanted = forward(case, tensors._replace(x=plain), SAVE_ALL)
        assert all(map(torch.equal, found, wanted)), name


@needs_core
def test_python_threads_call_at_once(threads):
    threads(2)
    cases = [big(op, variant) for op, variant in VARIANTS] + [*sizes_around_lanes("gru")][:3]
    wanted = [forward_and_backward(case) for case in cases]
    wrong, start = [], threading.Barrier(8)

    def work(first):
        start.wait()
        for index in range(len(cases)):
            case = (index + first) % len(cases)
            found = forward_and_backward(cases[case])
            if not all(map(torch.equal, found, wanted[case])):
                wrong.append(case)
        forward(cases[first], save=SAVE_NOTHING)

    workers = [threading.Thread(target=work, args=(first,)) for first in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


ON_TWO_THREADS = """
import os, sys, torch
from grukit.core import clib
from grukit.ops import gru
from grukit.testing.backends import Case

torch.set_num_threads(2)
tensors = Case(time=30, batch=40, input_size=70, hidden_size=130).tensors()
run = clib.forward
ran = set()
clib.forward = lambda calls, count: (ran.add(clib.threads(calls, count)), run(calls, count))
wanted = gru(*tensors, backend="native")[0].numpy()
assert ran == {2}
"""


def run_apart(code):
    result = subprocess.run(
        [sys.executable, "-c", ON_TWO_THREADS + code], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


# torch's own operations may hang there, as its OpenMP runtime has lost its threads.
FORKED = """
child = os.fork()
same = (gru(*tensors, backend="native")[0].numpy() == wanted).all()
if not child:
    os._exit(0 if same else 3)
print(same, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@needs_core
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_computes_the_same():
    assert run_apart(FORKED) == "True 0\n"


BUSY = """
import threading
def work():
    for _ in range(20):
        gru(*tensors)
threading.Thread(target=work).start()
"""


@needs_core
@pytest.mark.parametrize("ending", ["", "sys.exit(0)", BUSY])
def test_the_interpreter_ends_quietly(ending):
    assert run_apart(ending) == ""


@needs_core
def test_uninitialised_memory_is_never_read_by_recomputing():
    for op, variant in VARIANTS:
        case = everything(op, variant)
        wanted = forward_and_backward(case, SAVE_STATES)
        with poisoned_memory():
            found = forward_and_backward(case, SAVE_STATES)
        assert all(map(torch.equal, found, wanted))
