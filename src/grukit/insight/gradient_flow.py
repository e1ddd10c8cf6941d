"""How far back the gradient of a recurrent layer reaches.

With the states s_0, s_1, ... of a layer, h or h and c, and the Jacobian of every step J_t =
d s_t / d s_{t-1}, what a loss at the last step says of an earlier state comes through the product

    d h_T / d s_t = [1 0] J_T J_{T-1} ... J_{t+1}

whose norm falls or grows with the number of factors (Bengio et al. 1994; Pascanu et al. 2013,
arXiv:1211.5063). The products here are exact: every J is a derivative of the layer's own equations
at its own states, in float64.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer
from grukit.insight.recording import as_layer, recorded
from grukit.ops.cell import States
from grukit.results.gradient_flow import GradientFlow
from grukit.training.fit import EpochRecord

# So many numbers of Jacobians are in memory at a time.
_AT_ONCE = 1 << 21
# Of so many steps the singular values are taken.
_STEPS = 32
_SINGULAR_AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def gradient_flow(
    layer: nn.Module,
    inputs: Tensor,
    hx: Any = None,
    *,
    index: int = 0,
    reverse: bool = False,
    sequences: int = 8,
) -> GradientFlow:
    """The norm of d h_T / d s_t for every lag T - t, in eval mode.

    >>> from grukit.nn import RNN
    >>> flow = gradient_flow(RNN(2, 16), torch.randn(50, 3, 2))
    >>> flow.log_norms.shape, flow.verdict
    ((3, 51), 'vanishing')

    layer: one of grukit (GRU, LSTM, RNN) or torch.nn, without a model axis.
    inputs, hx: what it is called with, as the layer takes them.
    index, reverse: which layer of the stack, and direction.
    sequences: how many of a batch are looked at, the first.

    Memory does not grow with the number of steps by more than their states. Raises ParameterError
    for other layers, no step and no sequence.
    """
    check({"sequences": sequences}, {"sequences": integer(at_least=1)})
    own = copy.deepcopy(as_layer(layer)).double().eval()
    if own.models is not None:
        raise ParameterError(must_be("models", "None for a gradient flow", own.models))
    with torch.no_grad():
        hx = _double(hx)
        x, first, step = own.steps(inputs.detach().double(), hx, layer=index, reverse=reverse)
        x, first = x[:, :sequences], tuple(state[:sequences] for state in first)
        if 0 in x.shape[:2]:
            wanted = "of one step and one sequence at least"
            raise ParameterError(must_be("inputs", wanted, list(inputs.shape)))
        x = x.flip(0) if reverse else x
        before = _before(x, first, step)
    widths = [state.shape[-1] for state in first]
    return _products(own.recurrence.cell.name, x, before, step, widths)


class GradientFlowCallback:
    """Records the gradient flow of every recurrent layer of a model while it is trained.

    >>> from grukit.nn import RNN
    >>> network, x = RNN(2, 8), torch.randn(20, 3, 2)
    >>> callback = GradientFlowCallback(network, lambda: network(x), every=5)
    >>> callback.flows[0]["RNN"].verdict
    'vanishing'

    Give it to `grukit.training.fit.fit` as `after_epoch`. Epoch 0 is recorded at once. Cells that
    are called step by step are left out.

    network: any network in which recurrent layers run, on the device of what `call` reads.
    call: makes it read: the same batch each time.
    every: so many epochs.
    sequences: how many of the batch are looked at.

    flows: by epoch and by the name of a layer, what was found. `warnings` says which layers are
    not steady, at the last epoch recorded.
    """

    def __init__(
        self, network: nn.Module, call: Callable[[], Any], every: int = 1, sequences: int = 8
    ) -> None:
        check({"every": every}, {"every": integer(at_least=1)})
        self.network, self.call, self.every, self.sequences = network, call, every, sequences
        self.flows: dict[int, dict[str, GradientFlow]] = {}
        self.record(0)

    def __call__(self, epoch: EpochRecord) -> None:
        if epoch.epoch % self.every == 0:
            self.record(epoch.epoch)

    def record(self, epoch: int) -> None:
        """Look at the network as it is now."""
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), recorded(self.network) as calls:
                self.call()
        finally:
            self.network.train(was_training)
        self.flows[epoch] = {
            call.title(index, reverse): gradient_flow(
                call.layer,
                call.input,
                call.hx,
                index=index,
                reverse=reverse,
                sequences=self.sequences,
            )
            for call in calls
            if call.order != "step"
            for index, reverse in call.places()
        }

    def warnings(self) -> list[str]:
        """A sentence for each layer whose gradient vanishes or explodes, and what to do."""
        last = self.flows[max(self.flows)]
        return [
            f"{name}: {flow.words()} What to do: {'; '.join(flow.advice())}."
            for name, flow in last.items()
            if flow.verdict != "steady"
        ]


def _double(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().double()
    return None if state is None else tuple(_double(part) for part in state)


def _before(x: Tensor, states: States, step: Callable[..., States]) -> Tensor:
    """The states before every step, side by side, [T, B, S]."""
    found = []
    for now in x:
        found.append(torch.cat(states, dim=-1))
        states = step(now, *states)
    return torch.stack(found)


def _products(
    cell: str, x: Tensor, before: Tensor, step: Callable[..., States], widths: list[int]
) -> GradientFlow:
    """Back from the last step."""
    time, batch, size = before.shape
    product = torch.eye(widths[0], size, dtype=before.dtype).expand(batch, -1, -1)
    log, logs = before.new_zeros(batch), [before.new_zeros(batch)]
    singular, of_steps = {}, []
    chosen = {lag for lag in (*_SINGULAR_AT, time) if lag <= time}
    sampled = set(np.linspace(0, time - 1, min(time, _STEPS)).astype(int).tolist())
    length = max(1, _AT_ONCE // (batch * size * size))
    for end in range(time, 0, -length):
        start = max(0, end - length)
        jacobians = _jacobians(x[start:end], before[start:end], step, widths)
        for at in range(end - 1, start - 1, -1):
            jacobian = jacobians[at - start]
            if at in sampled:
                of_steps.append(torch.linalg.svdvals(jacobian))
            product = product @ jacobian
            norm = torch.linalg.matrix_norm(product) / widths[0] ** 0.5
            # However small it gets, the logarithm holds it.
            product = product / torch.where(norm > 0, norm, 1.0)[:, None, None]
            log = log + norm.log()
            logs.append(log)
            if time - at in chosen:
                values = torch.linalg.svdvals(product).log() + log[:, None]
                singular[time - at] = values.mean(0).numpy()
    return GradientFlow(
        cell,
        np.arange(time + 1),
        torch.stack(logs, dim=1).numpy(),
        singular,
        torch.cat(of_steps).mean(0).numpy(),
    )


def _jacobians(x: Tensor, before: Tensor, step: Callable[..., States], widths: list[int]) -> Tensor:
    """d s_t / d s_{t-1} of every step, [T, B, S, S]."""
    time, batch, size = before.shape
    with torch.enable_grad():
        states = before.flatten(0, 1).requires_grad_()
        after = torch.cat(step(x.flatten(0, 1), *states.split(widths, dim=-1)), dim=-1)
        # One row of all Jacobians for each unit: sequences do not see each other.
        rows = torch.eye(size, dtype=before.dtype)[:, None].expand(-1, time * batch, -1)
        (found,) = torch.autograd.grad(after, states, rows, is_grads_batched=True)
    return found.transpose(0, 1).unflatten(0, (time, batch))
