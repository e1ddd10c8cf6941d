"""What int8 costs a trained model: the weather demo's forecaster, scored in float32 and in int8.

    python benchmarks/weather_int8.py      prints the metrics

native_speed.py saves them.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from grukit.cli.demo import weather
from grukit.core import clib
from grukit.nn import quantize
from grukit.tasks.forecasting import Forecaster


def row() -> dict[str, Any]:
    """The metrics of the demo's model, or why there are none in int8."""
    if missing := clib.why_missing():
        return {"refused": missing}
    with tempfile.TemporaryDirectory() as folder:
        weather(Path(folder))
        return compare(Forecaster.load(Path(folder, "model")), Path(folder, "weather.csv"))


def compare(forecaster: Forecaster, data: Any) -> dict[str, Any]:
    """The metrics of a forecaster, whose encoder is in int8 from then on, and their changes."""
    network = forecaster.network_
    before = forecaster.evaluate(data, stride=6).scores[0].metrics
    network.encoder = quantize(network.encoder)
    after = forecaster.evaluate(data, stride=6).scores[0].metrics
    change = {name: abs(after[name] - value) / abs(value) for name, value in before.items()}
    return {"float32": before, "int8": after, "change": change}


if __name__ == "__main__":
    print(json.dumps(row(), indent=2))
