"""The network of a forecaster, made from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from grukit.data.encoding import PanelEncoder
from grukit.data.windows import WINDOW_COLUMNS, WINDOW_SCALE_COLUMNS, WindowBatch, WindowShape
from grukit.nn.encoder_decoder import DirectForecaster
from grukit.nn.gap_encoder import Gap
from grukit.nn.models import join_models
from grukit.nn.recursive import RecursiveForecaster
from grukit.nn.segments import SegmentForecaster

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster

Network = DirectForecaster | SegmentForecaster | RecursiveForecaster

# From this horizon on "auto" takes segments.
LONG_HORIZON = 96


def new_network(settings: Forecaster, encoder: PanelEncoder, shape: WindowShape) -> Network:
    """A network that has not learned yet; `settings.seed` alone decides its weights.

    Member k of an ensemble begins with the weights of a single network of seed + k.
    """
    sizes: dict[str, Any] = {
        "past_size": WINDOW_COLUMNS + encoder.past_width + encoder.known_width,
        "known_size": encoder.known_width,
        "static_size": encoder.static_width + (shape.scaling == "window") * WINDOW_SCALE_COLUMNS,
        "horizon": shape.horizon,
        "levels": settings.levels,
        "hidden_size": int(settings.hidden_size),
        "num_layers": settings.num_layers,
        "dropout": settings.dropout,
        "cell": settings.cell,
        "series": len(encoder.scales),
        "series_embedding": int(settings.series_embedding),
        "distribution": settings.distribution,
    }
    kind = DirectForecaster
    if settings.mode == "recursive":
        kind, sizes["lag"] = RecursiveForecaster, shape.differencing
        del sizes["past_size"], sizes["horizon"]
    elif by_segments(settings):
        kind, sizes["segment"] = SegmentForecaster, _segment(settings, encoder, shape)
    else:
        sizes["gaps"] = _gaps(encoder)

    def new(seed: int, **models: Any) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed % 2**63)
            return kind(**sizes, **models)

    seed, members = int(settings.seed), int(settings.ensemble)
    if members == 1:
        return new(seed)
    network = new(seed, models=members)
    join_models(network, [new(seed + member) for member in range(members)])
    return network


def answer(network: Network, batch: WindowBatch) -> Tensor:
    """The parameters [B, H, P] of what is forecast, the mean over the members of an ensemble."""
    device = next(network.parameters()).device
    inputs = (batch.past, batch.future, batch.static, batch.series)
    answers = network(*(part.to(device) for part in inputs))
    return answers if network.models is None else answers.mean(dim=0)


def by_segments(settings: Forecaster) -> bool:
    """Whether the network goes by segments."""
    if settings.network == "auto":
        return settings.horizon >= LONG_HORIZON and settings.cell != "gru_d"
    return settings.network == "segments"


def _gaps(encoder: PanelEncoder) -> list[Gap]:
    """The target, and the numeric covariates that can be missing, among the past's columns."""
    gaps, first = [Gap(0, 1, missing=0)], WINDOW_COLUMNS
    for column in (*encoder.past, *encoder.future):
        if column.can_be_missing and column.categories is None:
            gaps.append(Gap(first, first + 1, missing=1))
        first += column.width
    first += len(encoder.calendar.feature_names)
    for column in encoder.issued:
        if column.categories is None:
            gaps.append(Gap(first, first + 1, missing=1))
        first += column.width
    return gaps


def _segment(settings: Forecaster, encoder: PanelEncoder, shape: WindowShape) -> int:
    """Steps of one segment: one season, and never more than the lookback or the horizon."""
    wanted = settings.segment or encoder.calendar.season
    return int(min(wanted, shape.lookback, shape.horizon))
