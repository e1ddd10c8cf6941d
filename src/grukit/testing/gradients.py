"""Gradients of several outputs at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def gradients(
    outputs: Sequence[Tensor], inputs: Mapping[str, Tensor], cotangents: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The gradient of sum(output * cotangent) by every input, under `d` + its name.

    An input that no output depends on has a gradient of zeros.
    """
    pairs = [
        (output, cotangent)
        for output, cotangent in zip(outputs, cotangents, strict=True)
        if output.requires_grad
    ]
    if not pairs:
        return {f"d{name}": torch.zeros_like(tensor) for name, tensor in inputs.items()}
    found = torch.autograd.grad(
        [output for output, _ in pairs],
        list(inputs.values()),
        [cotangent for _, cotangent in pairs],
        allow_unused=True,
        materialize_grads=True,
    )
    return {f"d{name}": gradient for name, gradient in zip(inputs, found, strict=True)}


def random_like(tensors: Sequence[Tensor], seed: int = 1) -> list[Tensor]:
    """Standard normal tensors with the shapes and dtypes of `tensors`, the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t.device, t.dtype)
        for t in tensors
    ]
