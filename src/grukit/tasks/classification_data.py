"""The texts that a classifier learns from, and those that it is validated on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from grukit.core.errors import DataError, ParameterError, must_be
from grukit.core.rules import check, number
from grukit.data.labelled import labelled
from grukit.data.labels import Classes, held_out

if TYPE_CHECKING:
    from grukit.tasks.classification import TextClassifier


class Targeted(NamedTuple):
    """N texts and their targets: int64 [N], or 0 and 1 [N, C] where a text may have several."""

    texts: list[str]
    targets: np.ndarray

    def fingerprint(self) -> str:
        """What tells these texts and targets from all others."""
        return fingerprint(self.texts, self.targets)


def fingerprint(texts: Sequence[str], targets: np.ndarray | None = None) -> str:
    """The same of texts alone, or with targets."""
    digest = hashlib.sha256(b"" if targets is None else targets.tobytes())
    for own in texts:
        digest.update(hashlib.sha256(own.encode()).digest())
    return digest.hexdigest()


def prepare(
    settings: TextClassifier, data: Any, labels: Any, validation: Any
) -> tuple[Classes, Targeted, Targeted | None]:
    """The classes, what is learned, and what is judged, if anything is; arguments as for `fit`."""
    if settings.threshold in ("f1", "accuracy") and validation is None:
        wanted = "a number without validation"
        raise ParameterError(must_be("threshold", wanted, settings.threshold))
    texts, labels = labelled(data, labels, settings.text, settings.label)
    if not texts:
        raise DataError("the data must have texts to learn from, got none")
    classes = Classes.learn(labels, settings.separator)
    if settings.threshold is not None and not classes.multilabel and len(classes.names) > 2:
        wanted = "None where one of more than two classes is to be named"
        raise ParameterError(must_be("threshold", wanted, settings.threshold))
    targets = classes.targets(labels, settings.separator)
    learned, judged = Targeted(texts, targets), None
    if isinstance(validation, (int, float)):
        check({"validation": validation}, {"validation": number(above=0, below=1)})
        parts = held_out(targets, validation, int(settings.seed))
        learned, judged = (Targeted([texts[i] for i in at], targets[at]) for at in parts)
    elif validation is not None:
        given, names = validation if isinstance(validation, tuple) else (validation, None)
        own, names = labelled(given, names, settings.text, settings.label)
        judged = Targeted(own, classes.targets(names, settings.separator))
    if not any(map(str.strip, learned.texts)):
        raise DataError("the texts to learn from must not be all empty")
    return classes, learned, judged
