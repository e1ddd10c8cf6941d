"""grukit: gated recurrent networks from equation to product.

Names resolve on first use, so that importing grukit loads neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from grukit import nn as nn
    from grukit.tasks.anomaly import AnomalyDetector as AnomalyDetector
    from grukit.tasks.classification import TextClassifier as TextClassifier
    from grukit.tasks.forecasting import Forecaster as Forecaster
    from grukit.tasks.generation import TextGenerator as TextGenerator
    from grukit.tasks.speech import SpeechRecognizer as SpeechRecognizer
    from grukit.tasks.translation import Translator as Translator
    from grukit.training.fit import FitConfig as FitConfig

_HOME = {
    "nn": "grukit.nn",
    "AnomalyDetector": "grukit.tasks.anomaly",
    "FitConfig": "grukit.training.fit",
    "Forecaster": "grukit.tasks.forecasting",
    "SpeechRecognizer": "grukit.tasks.speech",
    "TextClassifier": "grukit.tasks.classification",
    "TextGenerator": "grukit.tasks.generation",
    "Translator": "grukit.tasks.translation",
}

__all__ = [
    "AnomalyDetector",
    "FitConfig",
    "Forecaster",
    "SpeechRecognizer",
    "TextClassifier",
    "TextGenerator",
    "Translator",
    "__version__",
    "nn",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'grukit' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    value = module if name == "nn" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
