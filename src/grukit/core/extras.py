"""Importing optional packages with an error that says how to get them."""

from __future__ import annotations

import importlib
from types import ModuleType

from grukit.core.errors import MissingExtra

_EXTRA_OF = {
    "jiwer": "speech",
    "kaldi_native_fbank": "speech",
    "keras": "keras",
    "matplotlib": "plots",
    "narwhals": "forecast",
    "onnx": "onnx",
    "optuna": "tune",
    "pandas": "forecast",
    "plotly": "plots",
    "pyarrow": "parquet",
    "scipy": "forecast",
    "sklearn": "text",
    "sounddevice": "mic",
    "soundfile": "speech",
    "soxr": "speech",
    "tensorboard": "tensorboard",
    "sacrebleu": "text",
    "tokenizers": "text",
}


def require(module: str) -> ModuleType:
    """Import `module`, or raise MissingExtra with the pip command that installs it."""
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtra(package, _EXTRA_OF[package]) from error
