"""A recurrent layer with a linear head at the steps that are asked: what comparisons train."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grukit.core.errors import ParameterError, must_be
from grukit.nn import init
from grukit.nn.by_name import LAYER_OF
from grukit.nn.masks import drop_mask


class SequenceModel(nn.Module):
    """Recurrent layers, and a linear map of their output at the steps that are asked.

    >>> model = SequenceModel("gru", input_size=2, hidden_size=8, output_size=1)
    >>> asked = torch.tensor([[False, False], [False, True], [True, False]])
    >>> model(torch.zeros(3, 2, 2), torch.tensor([3, 2]), asked).shape
    torch.Size([2, 1])

    Weights begin in the standard way of the field, gate by gate: recurrent ones orthogonal (Saxe et
    al. 2014), those of inputs Glorot uniform, biases zero, but for an LSTM's forget gate, which has
    1 (Jozefowicz et al. 2015).

    cell: a name in `grukit.nn.by_name`. The gates of a minGRU see its input and not its state, so
        that one layer of it remembers blindly, and of a narrow input could be as large only by
        being thousands of units wide: it has one layer more than the others (Feng et al. 2024 stack
        it).
    input_dropout, recurrent_dropout: of the layers; a minGRU has no recurrent product, and nothing
        to drop there. output_dropout: of what enters the head, with one mask for all steps.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        output_size: int,
        num_layers: int = 1,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if cell not in LAYER_OF:
            raise ParameterError(must_be("cell", f"one of {tuple(LAYER_OF)}", cell))
        options = {"input_dropout": input_dropout}
        if cell != "mingru":
            options["recurrent_dropout"] = recurrent_dropout
        self.output_dropout = output_dropout
        layers = num_layers + (cell == "mingru")
        self.recurrent = LAYER_OF[cell](input_size, hidden_size, layers, **options)
        self.head = nn.Linear(hidden_size, output_size)
        init.orthogonal_(self.recurrent)
        if cell == "lstm":
            init.forget_bias_(self.recurrent)

    def forward(self, inputs: Tensor, lengths: Tensor, asked: Tensor) -> Tensor:
        """float32 [T, B, I], int64 [B] and bool [T, B] to [S, O], for the S steps asked."""
        output, _ = self.recurrent(inputs, lengths=lengths)
        if self.training and self.output_dropout:
            output = output * drop_mask(output, (1, *output.shape[1:]), self.output_dropout)
        return self.head(output[asked])

    @property
    def multiply_adds(self) -> int:
        """Of all products at a step of one sequence, in which each weight is used once."""
        return sum(weight.numel() for weight in self.parameters() if weight.dim() == 2)


def parameters_of(module: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(weight.numel() for weight in module.parameters())


def width_for(parameters: int, cell: str, input_size: int, output_size: int, layers: int) -> int:
    """The hidden size with which a SequenceModel has the nearest number of parameters.

    >>> width_for(20_000, "gru", input_size=88, output_size=88, layers=1)
    41
    """

    def count(width: int) -> int:
        with torch.random.fork_rng(devices=[]):
            return parameters_of(SequenceModel(cell, input_size, width, output_size, layers))

    low, high = 1, 2
    while count(high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    return min((low, high), key=lambda width: abs(count(width) - parameters))
