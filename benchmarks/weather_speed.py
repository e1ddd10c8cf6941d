"""The seconds of the weather demo's training, from its table to the fitted model.

    python benchmarks/weather_speed.py NAME THREADS      in a fresh process

grukit: as the demo runs. reference: with GRUKIT_BACKEND=reference. torch: with torch.nn's layers
in the same network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("grukit", "reference", "torch")


class Trained(Exception):
    """The training is over; what the demo does next is not measured."""


def seconds(name: str, threads: int) -> float:
    """The seconds of a training in a fresh process."""
    environment = {key: value for key, value in os.environ.items() if key != "GRUKIT_BACKEND"}
    if name == "reference":
        environment["GRUKIT_BACKEND"] = "reference"
    command = [sys.executable, __file__, name, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def measure(name: str) -> float:
    """The seconds of a training in this process."""
    import torch

    from grukit.cli.demo import weather
    from grukit.nn import encoder_decoder
    from grukit.tasks.forecasting import Forecaster

    if name == "torch":
        encoder_decoder.ENCODERS = {"gru": torch.nn.GRU}
    fit = Forecaster.fit
    took = []

    def timed(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        fit(*arguments, **options)
        took.append(time.perf_counter() - start)
        raise Trained

    Forecaster.fit = timed
    with tempfile.TemporaryDirectory() as folder:
        try:
            weather(Path(folder))
        except Trained:
            return took[0]
    raise RuntimeError("the demo did not train")


def main() -> None:
    import torch

    name, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    found = measure(name)
    print(found)


if __name__ == "__main__":
    main()
