from __future__ import annotations

import pytest
import torch

from grukit.nn.linear import Linear


@pytest.mark.parametrize("bias", [True, False])
def test_one_model_is_torchs_linear(bias):
    torch.manual_seed(0)
    ours = Linear(4, 3, bias)
    torch.manual_seed(0)
    theirs = torch.nn.Linear(4, 3, bias)
    x = torch.randn(5, 2, 4)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (5, 2), (0,), (1, 2, 3)])
def test_several_models_are_as_many_linears(bias, shape):
    together = Linear(4, 3, bias, models=6)
    x = torch.randn(6, *shape, 4)
    found = together(x)
    assert found.shape == (6, *shape, 3)
    for model in range(6):
        one = torch.nn.functional.linear(
            x[model], together.weight[model], together.bias[model] if bias else None
        )
        torch.testing.assert_close(found[model], one)
    assert not torch.equal(together.weight[0], together.weight[1])
