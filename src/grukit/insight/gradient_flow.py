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
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.core.rules import check, integer
from grukit.insight.recording import LayerCall, as_layer, recorded
from grukit.nn.layer import Layer
from grukit.nn.models import unstack_models
from grukit.nn.states import map_state
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
    for other layers, no step and no sequence, and what is no finite number.
    """
    check({"sequences": sequences}, {"sequences": integer(at_least=1)})
    if not isinstance(inputs, Tensor):
        raise ParameterError(must_be("inputs", "a tensor", type(inputs).__name__))
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
        known = torch.cat([x, before], dim=-1).isfinite().flatten(1).all(dim=1)
        if not known.all():
            got = f"others from step {known.int().argmin() + 1} on"
            raise ParameterError(must_be("inputs and states", "finite numbers", got))
    widths = [state.shape[-1] for state in first]
    return _products(own.recurrence.cell.name, x, before, step, widths)


class GradientFlowCallback:
    """Records the gradient flow of every recurrent layer of a model while it is trained.

    >>> from grukit import FitConfig, TextGenerator
    >>> watch = GradientFlowCallback(every=2)
    >>> training = FitConfig(epochs=4, batch_size=4)
    >>> model = TextGenerator(hidden_size=8, length=16, cell="rnn", training=training)
    >>> model = model.fit("tick, tack, " * 60, after_epoch=watch)
    >>> list(watch.flows), watch.flows[4]["recurrent"].verdict
    ([0, 2, 4], 'vanishing')

    Give it as `after_epoch` to the `fit` of an estimator, or to `grukit.training.fit.fit`: it
    watches whom it is given to, by the first batch of the training. Epoch 0 is recorded before any
    update. Cells that are called step by step are left out. Members of an ensemble have a flow
    each.

    network: any network in which recurrent layers run, on the device of what `call` reads, for a
        training loop of one's own, or another batch; epoch 0 is then recorded at once.
    call: makes it read: the same batch each time.
    every: so many epochs.
    sequences: how many of the batch are looked at, of those that are as long as any.

    flows: by epoch and by the name of a layer, what was found. `warnings` says which layers are
    not steady, at the last epoch recorded.
    """

    def __init__(
        self,
        network: nn.Module | None = None,
        call: Callable[[], Any] | None = None,
        every: int = 1,
        sequences: int = 8,
    ) -> None:
        rules = {"every": integer(at_least=1), "sequences": integer(at_least=1)}
        check({"every": every, "sequences": sequences}, rules)
        if (network is None) != (call is None):
            raise ParameterError(must_be("call", "given with a network, and only then", call))
        self.network, self.call, self.every, self.sequences = network, call, every, sequences
        self.flows: dict[int, dict[str, GradientFlow]] = {}
        self._own = network is not None
        if self._own:
            self.record(0)

    def begin(self, model: nn.Module, call: Callable[[], Any], epochs: int) -> None:
        """A training of `model` begins, or goes on after so many epochs."""
        if not self._own:
            self.network, self.call = model, call
            self.record(epochs)

    def __call__(self, epoch: EpochRecord) -> None:
        if epoch.epoch % self.every == 0:
            self.record(epoch.epoch)

    def record(self, epoch: int) -> None:
        """Look at the network as it is now."""
        if self.network is None or self.call is None:
            raise ParameterError(must_be("a network", "given, or one in training", None))
        was_training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), recorded(self.network) as calls:
                self.call()
        finally:
            self.network.train(was_training)
        self.flows[epoch] = {
            name: flow for call in calls if call.order != "step" for name, flow in self._flows(call)
        }

    def _flows(self, call: LayerCall) -> Iterator[tuple[str, GradientFlow]]:
        for index, reverse in call.places():
            title = call.title(index, reverse)
            for member, layer, inputs, hx in _members(call):
                flow = gradient_flow(
                    layer, inputs, hx, index=index, reverse=reverse, sequences=self.sequences
                )
                yield f"{title}{member}", flow

    def warnings(self) -> list[str]:
        """A sentence for each layer whose gradient vanishes or explodes, and what to do."""
        last = self.flows[max(self.flows)]
        return [
            f"{name}: {flow.words()} What to do: {'; '.join(flow.advice())}."
            for name, flow in last.items()
            if flow.verdict != "steady"
        ]


def _members(call: LayerCall) -> Iterator[tuple[str, Layer, Tensor, Any]]:
    """What to add to the name, the layer, input and states of each model, of the longest sequences.

    What comes after the end of a shorter sequence would be taken for steps.
    """
    for at in range(call.layer.models or 1):
        layer, inputs, hx, lengths, member = call.layer, call.input, call.hx, call.lengths, ""
        if layer.models is not None:
            member = f", member {at + 1}"
            layer = unstack_models(layer)[at]
            inputs = inputs[at] if inputs.dim() == 4 else inputs
            hx = None if hx is None else map_state(hx, lambda own, at=at: own[at])
        if lengths is not None and inputs.dim() == 3:
            lengths = torch.as_tensor(lengths)
            lengths = lengths[at] if lengths.dim() == 2 else lengths
            longest = (lengths == lengths.max()).nonzero()[:, 0].to(inputs.device)
            axis, steps = (0, 1) if layer.batch_first else (1, 0)
            inputs = inputs.index_select(axis, longest).narrow(steps, 0, int(lengths.max()))
            select = partial(torch.index_select, dim=-2, index=longest)
            hx = None if hx is None else map_state(hx, select)
        yield member, layer, inputs, hx


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
