"""The model card: what a model folder says about itself to people (Mitchell et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grukit import __version__
from grukit.data.calendar import show_time

if TYPE_CHECKING:
    from grukit.data.frames import Panel
    from grukit.tasks.forecasting import Forecaster
    from grukit.training.fit import FitResult


def model_card(model: Forecaster, panel: Panel, result: FitResult) -> str:
    """The card of a forecaster just trained on `panel`."""
    parameters = sum(parameter.numel() for parameter in model.network_.parameters())
    covariates = panel.columns.past + panel.columns.future + panel.columns.static
    validation = model.validation_
    if validation is None:
        scores = "No validation data: the weights are those of the last epoch, unchecked."
    else:
        scores = (
            f"On the {validation.windows:,} validation windows, which chose the epoch (so take "
            f"them as optimistic; evaluate on later data):\n\n```\n{validation.table()}\n```"
        )
    levels = ", ".join(f"{level:g}" for level in model.levels)
    first, last = show_time(panel.times.min()), show_time(panel.times.max())
    return f"""\
# Forecaster of {panel.columns.target}

{model.horizon} steps of frequency `{panel.calendar.freq}` ahead, from {model.lookback_} steps of
the past, as quantiles {levels}.
A GRU with {parameters:,} parameters, written by grukit {__version__}.

## Data

{len(panel)} series from {first} to {last}: {panel.report}.
Covariates: {", ".join(covariates) or "none"}.

## Scores

{scores}

Trained for {len(result.history)} epochs; the weights are those of epoch {result.best_epoch}.

## Limits

Trained on these series only. It knows nothing of causes, and its intervals hold as long as the
future behaves like the past it saw.

## Use

```python
from grukit import Forecaster

forecast = Forecaster.load("this folder").predict()
```
"""
