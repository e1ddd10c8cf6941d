"""Find five kinds of anomalies in three pumps, from rows without labels, and check the result.

    python examples/anomalies.py [FOLDER]

Writes a picture and an interactive page into FOLDER, by default anomalies.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from grukit import AnomalyDetector
from grukit.data.synthetic import planted_anomalies

CHANNELS = ["channel_0", "channel_1", "channel_2"]


def main(folder: Path) -> None:
    rows = pd.DataFrame(planted_anomalies(channels=3, length=3000, seed=4))
    past, new = rows[:1200], rows[1200:]

    detector = AnomalyDetector(time="ds", channels=CHANNELS).fit(past)
    report = detector.detect(new, goes_on=True)
    for event in report.events():
        print(f"{event.start.astype('datetime64[m]')}  {event.channel}  score {event.score:.1f}")

    evaluation = detector.evaluate(new, "label", goes_on=True)
    print(evaluation.table())
    folder.mkdir(exist_ok=True)
    display = detector.plot(report, new, labels=new["label"], title="Three pumps")
    display.save(folder / "anomalies.png")
    display.save(folder / "anomalies.html")

    assert evaluation.scores[0].metrics["recall"] == 1.0
    for metric in ("nab", "vus_pr", "f1"):
        assert evaluation.beats(metric), metric
    blamed = {event.channel for event in report.events()}
    assert blamed >= set(new["culprit"]) - {""}

    # Half of the rows one by one, a restart, and the rest: the same scores as in one table.
    half = len(new) // 2
    stream = [detector.update(row) for row in new[["ds", *CHANNELS]][:half].to_dict("records")]
    detector.save(folder / "detector")
    again = AnomalyDetector.load(folder / "detector")
    stream += [again.update(row) for row in new[["ds", *CHANNELS]][half:].to_dict("records")]
    np.testing.assert_allclose(stream, report.scores, rtol=1e-5, atol=1e-5)
    print(f"every event found; wrote {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "anomalies"))
