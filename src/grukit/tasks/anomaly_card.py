"""The model card of a detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grukit import __version__
from grukit.data.calendar import show_time
from grukit.tasks.anomaly_input import Rows
from grukit.tasks.anomaly_stream import Scored, Stream


def anomaly_card(stream: Stream, settings: Mapping[str, Any], rows: Rows, scored: Scored) -> str:
    """The card of a detector just trained on `rows`, which it judged as `scored`."""
    model = stream.model
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    times = ""
    if rows.times is not None:
        times = f" up to {show_time(rows.times[-1])}"
    listed = "\n".join(
        f"| {name} | {center:.6g} | {spread:.6g} |"
        for name, center, spread in zip(model.channels, model.center, model.spread, strict=True)
    )
    return f"""\
# Anomaly detector of {", ".join(model.channels)}

Scores how unusual each row is, from the errors of a {settings["cell"].upper()} with {parameters:,}
parameters: {", ".join(model.signals)}. Written by grukit {__version__}.

## Data

{len(rows.values):,} rows{times}, without labels.

| channel | middle | spread |
| --- | --- | --- |
{listed}

## Alarms

Threshold `{settings["threshold"]}` at risk {settings["risk"]:g}; {stream.quiet.rows} quiet rows
after an alarm. In the training rows it raised {int(scored.alarms.sum())}.

## Limits

An alarm says that a row is unusual for this stream, not that it is harmful, nor why. What was
usual in training and in the latest rows is what it compares with: a slow drift is learned.

## Use

```python
from grukit import AnomalyDetector

detector = AnomalyDetector.load("this folder")
score = detector.update(row)
```
"""
