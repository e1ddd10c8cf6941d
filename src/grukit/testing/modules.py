"""What every module keeps: its docstring's example, its seed, its state dict, its copies."""

from __future__ import annotations

import copy
import doctest
import inspect
import pickle
from typing import Any

import torch
from torch import Tensor

from grukit.testing.parity import assert_close
from grukit.testing.subjects import Factory, H, I, assert_same, seeded


def assert_docstring(owner: type) -> None:
    """Raise AssertionError unless the docstring of a class has an example, and it runs."""
    names = dict(vars(inspect.getmodule(owner)))
    tests = doctest.DocTestFinder(recurse=False).find(owner, owner.__name__, globs=names)
    if not any(test.examples for test in tests):
        raise AssertionError(f"the docstring of {owner.__name__} must have an example")
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        runner.run(test, out=report.append)
    if runner.failures:
        raise AssertionError("".join(report))


def assert_seed(factory: Factory, **arguments: Any) -> None:
    """Raise AssertionError unless the seed, and nothing else, makes the parameters."""
    one, two, other = (seeded(seed, factory, I, H, **arguments) for seed in (3, 3, 4))
    for (name, a), b in zip(one.named_parameters(), two.parameters(), strict=True):
        assert_close(b, a, f"{name} for the same seed", within=0)
    if all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)):
        raise AssertionError("another seed must give other parameters")


def assert_state_dict(module: Any, other: Any, x: Tensor) -> None:
    """Raise AssertionError unless `other` computes what `module` does with its state dict."""
    other.load_state_dict(module.state_dict())
    assert_same(other(x), module(x), "the result after load_state_dict", within=0)


def assert_copies(module: Any, x: Tensor) -> None:
    """Raise AssertionError unless copies and pickles compute what `module` did when it was one."""
    wanted = module(x)
    copies = {"deepcopy": copy.deepcopy(module), "pickle": pickle.loads(pickle.dumps(module))}  # noqa: S301
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    for name, twin in copies.items():
        assert_same(twin(x), wanted, f"the result after {name}", within=0)
