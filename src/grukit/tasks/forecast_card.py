"""The model card: what a model folder says about itself to people (Mitchell et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grukit import __version__
from grukit.data.calendar import show_time
from grukit.results.cells import with_article

if TYPE_CHECKING:
    from grukit.data.frames import Panel
    from grukit.results import Evaluation
    from grukit.tasks.forecast_model import ForecastModel
    from grukit.tasks.forecast_refit import Refit
    from grukit.training.fit import FitResult


def forecast_card(
    model: ForecastModel,
    panel: Panel,
    result: FitResult | None,
    scores: Evaluation | None,
    refitted: Refit | None = None,
) -> str:
    """The card of a forecaster just trained on `panel`; an interrupted run has no result."""
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    covariates = panel.columns.past + panel.columns.future + panel.columns.static
    models = model.network.models
    members = "" if models is None else f" in {models} members"
    if result is None:
        training = "Training was interrupted; the weights are the best until then."
    else:
        epochs, best = len(result.history), result.best_epoch
        training = f"Trained for {epochs} epochs; the weights are those of epoch {best}."
    if refitted is not None:
        training = f"Trained before on other rows. {refitted}."
    if scores is None:
        judged = "Not scored on validation data."
    else:
        judged = (
            f"On the {scores.windows:,} validation windows, which chose the epoch, so take the "
            f"scores as somewhat optimistic and evaluate on later data. {_calibration(model)}:\n\n"
            f"```\n{scores.table()}\n```"
        )
    first, last = show_time(panel.times.min()), show_time(panel.times.max())
    return f"""\
# Forecaster of {panel.columns.target}

{model.shape.horizon} steps of frequency `{panel.calendar.freq}` ahead, from
{model.shape.lookback} steps of the past, {_answers(model)}.
{with_article(model.network.cell)} with {parameters:,} parameters{members}, written by
grukit {__version__}.

## Data

{len(panel)} series from {first} to {last}: {panel.report}.
Covariates: {", ".join(covariates) or "none"}.

## Scores

{judged}

{training}

## Limits

Trained on these series only. It knows nothing of causes, and its intervals hold as long as the
future behaves like the past it saw.

## Use

```python
from grukit import Forecaster

forecast = Forecaster.load("this folder").predict()
```
"""


def _answers(model: ForecastModel) -> str:
    """What a forecast is made of."""
    levels = ", ".join(f"{level:g}" for level in model.levels)
    answer = {
        "quantiles": f"as quantiles {levels}",
        "student_t": f"by a Student t, with quantiles {levels}",
        "mixture": f"by a mixture of normals, with quantiles {levels}",
        "negative_binomial": f"as counts by a negative binomial, with quantiles {levels}",
        "bernoulli": "as the probability of an event",
    }[model.family.name]
    return answer + ", step by step from samples" * model.recursive


def _calibration(model: ForecastModel) -> str:
    if not model.family.continuous:
        return "Nothing was calibrated"
    return "The intervals scored on each half of them were calibrated on the other half"
