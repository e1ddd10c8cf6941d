"""A linear map, or those of several models in one call."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


def models_axis(models: int | None) -> tuple[int, ...]:
    """The leading sizes of a parameter: (K,) for K models, none without."""
    return () if models is None else (models,)


class Linear(nn.Module):
    """torch.nn.Linear, or K of them at once.

    >>> Linear(10, 20)(torch.zeros(3, 10)).shape
    torch.Size([3, 20])
    >>> Linear(10, 20, models=5)(torch.zeros(5, 3, 10)).shape
    torch.Size([5, 3, 20])

    models: K; then weight [K, out, in], bias [K, out], input [K, ..., in] and output [K, ..., out]
        have a leading model axis, and every model draws its own first weights.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, models: int | None = None
    ) -> None:
        super().__init__()
        members = [nn.Linear(in_features, out_features, bias) for _ in range(models or 1)]
        for name, parameter in members[0].named_parameters():
            if models is not None:
                together = torch.stack([member.get_parameter(name) for member in members])
                parameter = nn.Parameter(together.detach())
            self.register_parameter(name, parameter)
        if not bias:
            self.register_parameter("bias", None)
        self.in_features, self.out_features, self.models = in_features, out_features, models

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] to [..., out], with models [K, ..., in] to [K, ..., out]."""
        if self.models is None:
            return linear(input, self.weight, self.bias)
        output = input.flatten(1, -2) @ self.weight.mT
        if self.bias is not None:
            output = output + self.bias[:, None]
        return output.view(*input.shape[:-1], output.shape[-1])
