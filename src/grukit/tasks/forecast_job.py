"""What a fit works on: windows, and a model that has not learned from them yet."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grukit.data.encoding import Encoded, PanelEncoder
from grukit.data.frames import Panel, to_panel
from grukit.data.windows import Windows, check_lengths
from grukit.evaluation.backtest import fit_baselines, series_scales, thinned
from grukit.evaluation.occurrence import fit_occurrence
from grukit.nn.segments import SegmentForecaster
from grukit.tasks.forecast_families import FAMILIES
from grukit.tasks.forecast_model import ForecastModel
from grukit.tasks.forecast_network import new_network
from grukit.tasks.forecast_settings import columns_of, window_shape
from grukit.tasks.forecast_split import (
    ENOUGH_FOR_A_MEAN,
    check_same_freq,
    cutoff,
    default_lookback,
    origins_within,
    rows_before,
)
from grukit.training.progress import Stages

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster


class Job(NamedTuple):
    """What a fit works on; `judge` holds the origins of the validation windows."""

    model: ForecastModel
    panel: Panel
    encoded: Encoded
    learn: Windows
    judge: np.ndarray | None

    @property
    def judged(self) -> Windows | None:
        """Enough of the validation windows to stop training by."""
        if self.judge is None:
            return None
        return Windows(self.encoded, thinned(self.judge, ENOUGH_FOR_A_MEAN), self.model.shape)


def prepare(
    settings: Forecaster, data: Any, validation: Any, start: ForecastModel | None, stage: Stages
) -> Job:
    """Everything that training needs; `start` is the model to go on from, left as it is."""
    family = FAMILIES[settings.distribution]
    stage("reading the data")
    panel = to_panel(data, columns_of(settings), settings.freq)
    if start is not None:
        check_same_freq(panel, start.encoder)
    family.check_target(panel)
    season = panel.calendar.season
    cut, learned = panel.lengths, panel
    if validation is not None:
        time = cutoff(panel, validation, settings.horizon)
        cut, learned = rows_before(panel, time), panel.before(time)
    default = default_lookback(season, settings.horizon, cut.max())
    shape = window_shape(settings, settings.lookback or default) if start is None else start.shape
    check_lengths(
        panel.ids,
        panel.lengths,
        shape.lookback + shape.horizon,
        f"(lookback + horizon, {shape.lookback} + {shape.horizon}; lower them, or leave short "
        "series out)",
    )
    stage(f"encoding {len(panel.times):,} rows of {len(panel):,} series")
    encoder = (
        PanelEncoder.fit(learned, family.unit, settings.calendar)
        if start is None
        else start.encoder
    )
    encoded = encoder.encode(panel, seen=np.maximum(cut, shape.lookback))
    learn = origins_within(encoded, shape, "training", to_row=cut)
    judge = None
    if validation is not None:
        judge = origins_within(encoded, shape, "validation", from_row=cut)
    scales = series_scales(encoded, season, cut)
    if start is None:
        network = new_network(settings, encoder, shape)
        if not isinstance(network, SegmentForecaster):
            some = Windows(encoded, thinned(learn, ENOUGH_FOR_A_MEAN), shape)
            network.step_scale.copy_(some.step_scale()[: len(network.step_scale)])
    else:
        network = copy.deepcopy(start.network)
    model = ForecastModel(
        network=network,
        encoder=encoder,
        shape=shape,
        levels=tuple(settings.levels),
        season=season,
        baselines=fit_baselines(
            encoded, learn, scales, shape.lookback, shape.horizon, season, settings.levels
        ),
        scales={
            name: float(scale)
            for name, scale in zip(panel.ids, scales, strict=True)
            if name in encoder.scales
        },
        context=encoded.tail(shape.lookback),
        series_column=panel.columns.series,
        trained_until=panel.times.max(),
        stretch=np.ones((settings.horizon, len(settings.levels))),
        family=family,
        occurrence=fit_occurrence(encoded, thinned(learn), cut, shape.lookback, shape.horizon)
        if settings.distribution == "bernoulli"
        else None,
    )
    return Job(model, panel, encoded, Windows(encoded, learn, shape), judge)
