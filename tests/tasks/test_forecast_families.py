"""What a family makes of a network's answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grukit.tasks.forecast_families import FAMILIES

LEVELS = (0.1, 0.5, 0.9)


@pytest.mark.parametrize("scaling", ["series", "window"])
@pytest.mark.parametrize("differencing", [0, 1])
def test_the_quantile_loss_is_that_of_the_forecast_in_units_of_its_series(
    scaling, differencing, frame, small
):
    job = small(scaling=scaling, differencing=differencing, levels=LEVELS)._prepare(frame, None)
    batch = job.learn.batch(torch.arange(0, len(job.learn), 7))
    parameters = torch.randn(*batch.target.shape, 3).sort(dim=-1).values
    center, spread = batch.center[:, None], batch.spread[:, None]
    spread_of_series = torch.as_tensor(job.encoded.spread)[batch.series][:, None]
    total = 0.0
    for at, level in enumerate(LEVELS):
        forecast = center + spread * (batch.base + parameters[..., at])
        error = (center + spread * batch.target - forecast) / spread_of_series
        loss = torch.maximum(level * error, (level - 1) * error)
        total += float(loss[batch.observed].sum())
    found = FAMILIES["quantiles"].batch_loss(parameters, batch, LEVELS)
    assert float(found.total) == pytest.approx(total, rel=1e-4)
    assert float(found.count) == 3 * int(batch.observed.sum())
    assert np.isfinite(total)
