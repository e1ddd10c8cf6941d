"""The definition and its hand-written backward."""

from __future__ import annotations

import pytest
import torch

from grukit.ops import gru


@pytest.mark.parametrize("reverse", [False, True])
def test_a_reset_in_the_padding_is_ignored(reverse):
    x, h0 = torch.randn(5, 2, 3), torch.randn(2, 4, requires_grad=True)
    weights = torch.randn(12, 3), torch.randn(12, 4)
    resets = torch.zeros(5, 2, dtype=torch.bool)
    in_padding = resets.clone()
    in_padding[3:, 0] = True
    results = []
    for flags in (resets, in_padding):
        output, final = gru(
            x, h0, *weights, lengths=torch.tensor([3, 5]), resets=flags, reverse=reverse
        )
        results.append((output, final, *torch.autograd.grad(output.sum() + final.sum(), h0)))
    for without, with_flags in zip(*results, strict=True):
        torch.testing.assert_close(with_flags, without, rtol=0, atol=0)
