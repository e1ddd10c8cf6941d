"""Layers on top of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence

from grukit.core.rules import check, flag
from grukit.nn.arguments import check_rates
from grukit.nn.composition import check_widths, shared_batch_first, states_of_parts
from grukit.nn.packing import run_packed


class Stack(nn.Module):
    """Any layers on top of each other: the output of one is the input of the next.

    >>> import torch
    >>> from grukit.nn import GRU
    >>> from grukit.nn.bidirectional import Bidirectional
    >>> stack = Stack(Bidirectional(GRU(10, 20)), GRU(40, 30))
    >>> output, (below, above) = stack(torch.zeros(5, 3, 10))
    >>> output.shape, above.shape
    (torch.Size([5, 3, 30]), torch.Size([1, 3, 30]))

    layers: modules that are called as layer(input, hx=None, *, lengths=None, resets=None), give
        (output, state) and have batch_first.
    dropout: the probability of an element of the output of each layer but the last to be
        zeroed in training, as in torch.
    residual: from the second layer on, output = layer(input) + input; needs equal widths.

    The parts are the attribute layers. Raises ParameterError for parts that are no layers or
    differ in batch_first.
    """

    def __init__(self, *layers: nn.Module, dropout: float = 0.0, residual: bool = False) -> None:
        super().__init__()
        check_rates(dropout=dropout)
        check({"residual": residual}, {"residual": flag()})
        self.batch_first = shared_batch_first(layers)
        self.layers = nn.ModuleList(layers)
        self.dropout = float(dropout)
        self.residual = residual

    def reset_parameters(self) -> None:
        """Draw the parameters of every layer."""
        for layer in self.layers:
            layer.reset_parameters()  # type: ignore[operator]

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Sequence[Any] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Any, tuple[Any, ...]]:
        """Output of the last layer at every step, and the tuple of every layer's final state.

        input: [T, B, I], [B, T, I] with batch_first, [T, I] unbatched, or a PackedSequence.
            T and B may be 0.
        hx: one state for each layer, each as that layer takes it or None.
        lengths: [B], in any order and on any device, how many steps of each sequence count;
            0 is allowed. Output past a length is zero, as the layers'.
        resets: bool, [T, B] ([B, T], [T] as the input): a new sequence starts at this step.

        Raises ParameterError for an hx of another number of states and for a residual between
        widths that differ, and what the layers raise.
        """
        if isinstance(input, PackedSequence):
            return run_packed(self, input, hx, lengths, resets)

        def run(layer: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
            return layer(x, state, lengths=lengths, resets=resets)

        return self._run(run, input, hx, self.training)

    def step(self, x: Tensor, state: Sequence[Any] | None = None) -> tuple[Tensor, tuple[Any, ...]]:
        """One step of inference [B, I]: the output and the states, as those of forward.

        Raises AttributeError where a layer has no step, such as one that reads the future.
        """
        return self._run(lambda layer, x, state: layer.step(x, state), x, state, training=False)

    def extra_repr(self) -> str:
        settings = [f"dropout={self.dropout}"] * bool(self.dropout)
        return ", ".join(settings + ["residual=True"] * self.residual)

    def _run(
        self, call: Callable[..., tuple[Tensor, Any]], x: Tensor, hx: Any, training: bool
    ) -> tuple[Tensor, tuple[Any, ...]]:
        finals = []
        states = states_of_parts(hx, len(self.layers))
        for index, (layer, state) in enumerate(zip(self.layers, states, strict=True)):
            if index > 0:
                x = dropout(x, self.dropout, training)
            output, final = call(layer, x, state)
            if index > 0 and self.residual:
                check_widths("residual", output, x)
                output = output + x
            x = output
            finals.append(final)
        return x, tuple(finals)
