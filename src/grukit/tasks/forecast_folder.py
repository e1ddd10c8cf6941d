"""A forecaster's model as a config and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from grukit.core.errors import must_be
from grukit.core.rules import check, optional, text
from grukit.data.calendar import as_time
from grukit.data.encoding import Encoded, PanelEncoder
from grukit.evaluation.backtest import baselines
from grukit.evaluation.baselines import FittedBaseline
from grukit.evaluation.occurrence import OccurrenceBaselines
from grukit.tasks.forecast_families import FAMILIES
from grukit.tasks.forecast_model import ForecastModel
from grukit.tasks.forecast_network import new_network
from grukit.tasks.forecast_settings import window_shape

if TYPE_CHECKING:
    from grukit.tasks.forecasting import Forecaster

_CONTEXT_ARRAYS = ("offsets", "times", "target", "past", "known", "static", "center", "spread")


def to_folder(model: ForecastModel) -> tuple[dict[str, Any], bytes]:
    """A config of JSON values, and safetensors."""
    tensors = {
        f"network.{name}": value.detach().cpu().contiguous()
        for name, value in model.network.state_dict().items()
    }
    for name in _CONTEXT_ARRAYS:
        array = getattr(model.context, name)
        if array.dtype.kind == "M":
            array = array.astype("datetime64[us]").view(np.int64)
        tensors[f"context.{name}"] = torch.as_tensor(np.ascontiguousarray(array))
    for fitted in model.baselines:
        tensors[f"baseline.{fitted.name}"] = torch.as_tensor(fitted.residuals)
    tensors["stretch"] = torch.as_tensor(model.stretch)
    if model.copula is not None:
        tensors["copula"] = torch.as_tensor(model.copula)
    config = {
        "encoder": model.encoder.to_config(),
        "lookback": model.shape.lookback,
        "season": model.season,
        "trained_until": str(model.trained_until),
        "series_column": model.series_column,
        "series": list(model.context.ids),
        "scales": dict(model.scales),
    }
    if model.occurrence is not None:
        tensors["occurrence.persistence"] = torch.as_tensor(model.occurrence.persistence)
        config["occurrence"] = {
            "shares": dict(model.occurrence.shares),
            "share": model.occurrence.share,
        }
    return config, safetensors.torch.save(tensors)


def from_folder(
    settings: Forecaster, config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> ForecastModel:
    """The inverse of `to_folder`.

    Raises KeyError, TypeError, ValueError, AttributeError or RuntimeError where the parts are
    not there or do not fit each other.
    """
    encoder = PanelEncoder.from_config(config["encoder"])
    shape, levels = window_shape(settings, int(config["lookback"])), tuple(settings.levels)
    network = new_network(settings, encoder, shape)
    network.load_state_dict(
        {
            name.removeprefix("network."): value
            for name, value in tensors.items()
            if name.startswith("network.")
        }
    )
    check({"series_column": config["series_column"]}, {"series_column": optional(text())})
    season, ids = int(config["season"]), tuple(map(str, config["series"]))
    arrays = {name: tensors[f"context.{name}"].numpy() for name in _CONTEXT_ARRAYS}
    series = len(ids)
    rows = series * shape.lookback
    if arrays["offsets"].tolist() != list(range(0, rows + 1, shape.lookback)):
        raise ValueError("context.offsets must be one lookback apart")
    shapes = {
        "times": (rows,),
        "target": (rows,),
        "past": (rows, encoder.past_width),
        "known": (rows, encoder.known_width),
        "static": (series, encoder.static_width),
        "center": (series,),
        "spread": (series,),
    }
    for name, wanted in shapes.items():
        _check_shape(f"context.{name}", wanted, arrays[name])
    arrays["times"] = arrays["times"].view("datetime64[us]")
    residuals = {rule: tensors[f"baseline.{rule.name}"].numpy() for rule in baselines(season)}
    for rule, values in residuals.items():
        _check_shape(f"baseline.{rule.name}", (shape.horizon, len(levels)), values)
    stretch = tensors["stretch"].numpy()
    _check_shape("stretch", (shape.horizon, len(levels)), stretch)
    occurrence = None
    if "occurrence" in config:
        persistence = tensors["occurrence.persistence"].numpy()
        _check_shape("occurrence.persistence", (shape.horizon, 2), persistence)
        shares = {name: float(share) for name, share in config["occurrence"]["shares"].items()}
        share = float(config["occurrence"]["share"])
        occurrence = OccurrenceBaselines(shares, share, persistence)
    copula = None
    if "copula" in tensors:
        copula = tensors["copula"].numpy()
        _check_shape("copula", (shape.horizon, shape.horizon), copula)
        np.linalg.cholesky(copula)  # LinAlgError, a ValueError, unless positive definite
    return ForecastModel(
        network=network.eval(),
        encoder=encoder,
        shape=shape,
        levels=levels,
        season=season,
        baselines=tuple(FittedBaseline(rule, levels, residuals[rule]) for rule in residuals),
        scales={name: float(scale) for name, scale in config["scales"].items()},
        context=Encoded(
            calendar=encoder.calendar,
            ids=ids,
            index=encoder.index_of(ids),
            issues=None,
            **arrays,
        ),
        series_column=config["series_column"],
        trained_until=as_time(str(config["trained_until"]), "trained_until"),
        stretch=stretch,
        family=FAMILIES[settings.distribution],
        occurrence=occurrence,
        copula=copula,
    )


def _check_shape(what: str, wanted: tuple[int, ...], array: np.ndarray) -> None:
    if array.shape != wanted:
        raise ValueError(must_be(what, f"of shape {list(wanted)}", list(array.shape)))
