"""What checks of layers and cells are made of: small subjects, arguments and states.

A state is a tensor, or a tuple of states: h of a GRU, (h, c) of an LSTM, with one size for each
layer a tuple for each of them.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from grukit.testing.gradients import random_like
from grukit.testing.parity import assert_close

T, B, I, H = 4, 3, 2, 3  # noqa: E741
LENGTHS = (2, 0, 4)

Factory = Callable[..., Any]
State = Any


def make(
    factory: Factory, seed: int = 0, input_size: int = I, hidden_size: int = H, **arguments: Any
) -> Any:
    """What `factory` makes, in float64 and eval mode; leaves the global seed alone.

    Every parameter is moved at random, so that none is zero or one, as gains and learned states
    are at first.
    """
    arguments = {"dtype": torch.float64, **arguments}

    def made() -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "dropout acts between layers", UserWarning)
            module = factory(input_size, hidden_size, **arguments)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
        return module.eval()

    return seeded(seed, made)


def seeded(seed: int, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The result of a call from a seed; leaves the global seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return call(*arguments, **options)


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def leaves(state: State) -> list[Tensor]:
    """The tensors of a state, in order."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves(part)]


def mapped(change: Callable[..., Tensor], *states: State) -> State:
    """The state of change(tensor, ...) for the tensors of one place in `states`."""
    if isinstance(states[0], Tensor):
        return change(*states)
    return tuple(mapped(change, *parts) for parts in zip(*states, strict=True))


def rows(state: State, index: Any) -> State:
    """Some sequences of a state or an output: those at `index` on the batch axis."""
    return mapped(lambda t: t[..., index, :], state)


def random_state_like(state: State, seed: int = 1) -> State:
    """A state of normal numbers."""
    drawn = iter(random_like(leaves(state), seed))
    return mapped(lambda _: next(drawn), state)


def assert_same(got: State, wanted: State, what: str, within: float = 1e-10) -> None:
    """Raise AssertionError unless two states have the same structure and close tensors."""
    if isinstance(got, Tensor) and isinstance(wanted, Tensor):
        assert_close(got, wanted, what, within)
    elif isinstance(got, Tensor) or isinstance(wanted, Tensor) or len(got) != len(wanted):
        raise AssertionError(f"{what} must be {_structure(wanted)}, got {_structure(got)}")
    else:
        for index, (one, other) in enumerate(zip(got, wanted, strict=True)):
            assert_same(one, other, f"{what}[{index}]", within)


def _structure(state: State) -> str:
    if isinstance(state, Tensor):
        return "a tensor"
    return f"({', '.join(_structure(part) for part in state)})"


def detached(module: Any) -> dict[str, Tensor]:
    """The parameters by name, without their graph."""
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def assert_refused(call: Callable[[], Any], what: str) -> None:
    """Raise AssertionError unless a call raises ParameterError or another ValueError."""
    try:
        call()
    except ValueError:
        return
    raise AssertionError(f"{what} must be refused")


@contextlib.contextmanager
def fresh_compiler() -> Iterator[None]:
    """Nothing compiled before or after, and no warnings of torch about itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.`", FutureWarning)
        torch.compiler.reset()
        try:
            yield
        finally:
            torch.compiler.reset()
