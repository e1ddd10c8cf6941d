"""The products of a step, W a + b, and layer norm between product and bias.

Layer norm as in Ba et al. 2016 (arXiv:1607.06450): norm(W a) * gain + b, the norm over each
block of rows on its own. The bias is the shift of the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

EPSILON = 1e-5
"""Added to the variance, as in torch."""


def product(a: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """a w^T + b for a [*, N, P] and w [R, P]; with models [K, N, P], [K, R, P] and b [K, 1, R]."""
    if w.dim() == 2:
        return linear(a, w, b)
    return torch.bmm(a, w.mT) if b is None else torch.baddbmm(b, a, w.mT)


def over_time(function: Callable[[Tensor], Tensor], a: Tensor) -> Tensor:
    """A function of [N, P] or [K, N, P], on [T, B, P] or [K, T, B, P]."""
    return function(a.flatten(-3, -2)).unflatten(-2, a.shape[-3:-1])


def rows(vector: Tensor) -> Tensor:
    """[R] as it is, [K, R] as [K, 1, R], to go with [N, R] or [K, N, R]."""
    return vector if vector.dim() == 1 else vector.unsqueeze(-2)


def normalize(y: Tensor, sizes: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """y with mean 0 and variance 1 in each block of its last axis, and 1/deviation of each."""
    parts = [
        torch.native_layer_norm(part, (size,), None, None, EPSILON)
        for part, size in zip(y.split(list(sizes), dim=-1), sizes, strict=True)
    ]
    hats = [hat for hat, _, _ in parts]
    return (hats[0] if len(hats) == 1 else torch.cat(hats, dim=-1)), [s for _, _, s in parts]


def normalize_backward(
    d: Tensor, hat: Tensor, scales: Sequence[Tensor], sizes: Sequence[int]
) -> Tensor:
    """The gradient of y, for normalize(y) = (hat, scales) and the gradient d of hat."""
    parts = zip(d.split(list(sizes), -1), hat.split(list(sizes), -1), scales, strict=True)
    found = [
        (part - part.mean(-1, True) - own * (part * own).mean(-1, True)) * scale
        for part, own, scale in parts
    ]
    return found[0] if len(found) == 1 else torch.cat(found, dim=-1)


class Projection:
    """a -> W a + b, or with a gain norm(W a) * gain + b."""

    def __init__(
        self, w: Tensor, b: Tensor | None, gain: Tensor | None, sizes: Sequence[int]
    ) -> None:
        self.w, self.sizes = w, sizes
        self.b = None if b is None else rows(b)
        self.gain = None if gain is None else rows(gain)

    def __call__(self, a: Tensor) -> Tensor:
        if self.gain is None:
            return product(a, self.w, self.b)
        hat, _ = normalize(product(a, self.w), self.sizes)
        scaled = hat * self.gain
        return scaled if self.b is None else scaled + self.b


class ProjectionBackward:
    """The gradients of a projection, step by step or for all steps at once.

    a: what entered it at every step, [T, B, P] or [K, T, B, P].
    """

    def __init__(self, projection: Projection, a: Tensor) -> None:
        self.projection = projection
        self.a = a.flatten(-3, -2)
        self.steps = a.shape[-3:-1]
        if projection.gain is not None:
            self.hat, self.scales = normalize(product(self.a, projection.w), projection.sizes)
            self.hat_steps = self._unbind(self.hat)
            self.scale_steps = list(zip(*(self._unbind(s) for s in self.scales), strict=True))
            self.of_products: list[Tensor | None] = [None] * self.steps[0]

    def of_a(self, d: Tensor, t: int) -> Tensor:
        """The gradient of a [B, P] at step t, for the gradient d of the result [B, R]."""
        if self.projection.gain is not None:
            d = normalize_backward(
                d * self.projection.gain,
                self.hat_steps[t],
                self.scale_steps[t],
                self.projection.sizes,
            )
            self.of_products[t] = d
        return torch.matmul(d, self.projection.w)

    def of_product(self, d: Tensor) -> Tensor:
        """The gradient of W a at all steps [N, R], for that of the result; steps seen are known."""
        if self.projection.gain is None:
            return d
        if self.steps[0] and self.of_products[0] is not None:
            return torch.stack(self.of_products, dim=-3).flatten(-3, -2)  # type: ignore[arg-type]
        return normalize_backward(
            d * self.projection.gain, self.hat, self.scales, self.projection.sizes
        )

    def of_weights(self, d: Tensor, of_product: Tensor, wanted: Sequence[str]) -> dict[str, Tensor]:
        """Those wanted of the gradients of w, b and gain.

        d, of_product: the gradients of the result and of the product, [N, R].
        """
        ways = {
            "w": lambda: torch.matmul(of_product.mT, self.a),
            "b": lambda: d.sum(-2),
            "gain": lambda: (d * self.hat).sum(-2),
        }
        return {name: ways[name]() for name in wanted}

    def _unbind(self, values: Tensor) -> tuple[Tensor, ...]:
        return values.unflatten(-2, self.steps).unbind(-3)
