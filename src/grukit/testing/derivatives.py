"""Derivatives of a module by its input, its state and its parameters together."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, stack_module_state, vmap

from grukit.testing.gradients import random_like
from grukit.testing.parity import assert_close
from grukit.testing.subjects import State, assert_same, detached, leaves, mapped, seeded

STEP = 1e-7
"""Of central differences: small, since layer norm of few units is steep."""


class Call:
    """A module as a function of its input, its state and its parameters, from a seed."""

    def __init__(self, module: Any, x: Tensor, state: State, **options: Any) -> None:
        self.module, self.state, self.options = module, state, options
        self.names = [name for name, _ in module.named_parameters()]
        self.tensors = [t.detach().clone() for t in (x, *leaves(state), *module.parameters())]

    def __call__(self, x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        rest = iter(others)
        state = mapped(lambda _: next(rest), self.state)
        weights = dict(zip(self.names, rest, strict=True))
        results = seeded(3, functional_call, self.module, weights, (x, state), self.options)
        return tuple(leaves(results))


def assert_gradients(call: Call, what: str) -> None:
    """Raise AssertionError unless first and second gradients are derivatives."""
    sizes = [t.numel() for t in call.tensors]
    # As one vector, which needs one difference where each tensor needs its own.
    flat = torch.cat([t.flatten() for t in call.tensors]).requires_grad_()

    def of_vector(flat: Tensor) -> tuple[Tensor, ...]:
        parts = zip(flat.split(sizes), call.tensors, strict=True)
        return call(*(part.view_as(t) for part, t in parts))

    for checker in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        try:
            checker(of_vector, flat, fast_mode=True, eps=STEP, atol=1e-6, rtol=1e-5)
        except RuntimeError as error:
            raise AssertionError(f"{checker.__name__} {what}: {error}") from error


def assert_tangents(call: Call) -> None:
    """Raise AssertionError unless torch.func.jvp and dual levels give central differences."""
    primals = tuple(call.tensors)
    tangents = tuple(random_like(primals))

    def moved(step: float) -> Iterator[Tensor]:
        return (p + step * t for p, t in zip(primals, tangents, strict=True))

    with torch.no_grad():
        ahead, behind = call(*moved(STEP)), call(*moved(-STEP))
    with warnings.catch_warnings():
        # torch's own, from the first use of forward mode in a process.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
        by_jvp = jvp(call, primals, tangents)[1]
    with forward_ad.dual_level():
        results = call(*map(forward_ad.make_dual, primals, tangents))
        by_dual = [forward_ad.unpack_dual(result).tangent for result in results]
    for index, tangent in enumerate(by_dual):
        if tangent is None:
            raise AssertionError(f"the tangent of result {index} was lost at a dual level")
        difference = (ahead[index] - behind[index]) / (2 * STEP)
        assert_close(by_jvp[index], difference, f"the jvp of result {index}", within=1e-6)
        assert_close(tangent, difference, f"the dual of result {index}", within=1e-6)


def assert_vmap_over_inputs(module: Any, x: Tensor, **options: Any) -> None:
    """Raise AssertionError unless vmap over the first axis of x equals a loop.

    In training every member has the same masks, with randomness="same".
    """

    def call(one: Tensor) -> State:
        return module(one, **options)

    together = seeded(3, vmap(call, randomness="same"), x)
    for index, one in enumerate(x):
        member = mapped(lambda t, index=index: t[index], together)
        assert_same(member, seeded(3, call, one), f"result of member {index}")


def assert_vmap_over_parameters(modules: list[Any], x: Tensor) -> None:
    """Raise AssertionError unless vmap over the stacked parameters of modules equals a loop."""
    parameters, buffers = stack_module_state(modules)

    def call(parameters: Any, buffers: Any) -> State:
        return functional_call(modules[0], (parameters, buffers), (x,))

    together = vmap(call)(parameters, buffers)
    for index, module in enumerate(modules):
        member = mapped(lambda t, index=index: t[index], together)
        assert_same(member, module(x), f"result of stacked module {index}")


def assert_per_sample_gradients(module: Any, samples: Tensor) -> None:
    """Raise AssertionError unless vmap(grad) gives the gradient of every sample, x without B."""

    def loss(parameters: dict[str, Tensor], sample: Tensor) -> Tensor:
        results = functional_call(module, parameters, (sample.unsqueeze(-2),))
        return torch.stack([t.sin().sum() for t in leaves(results)]).sum()

    per_sample = vmap(grad(loss), in_dims=(None, 0))(detached(module), samples)
    parameters = dict(module.named_parameters())
    for index, sample in enumerate(samples):
        found = torch.autograd.grad(loss(parameters, sample), list(parameters.values()))
        for name, wanted in zip(parameters, found, strict=True):
            assert_close(per_sample[name][index], wanted, f"gradient of {name}, sample {index}")
