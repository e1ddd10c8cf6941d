"""What is drawn or thinned where a panel has more windows than training needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grukit.data import columns
from grukit.data.encoding import PanelEncoder
from grukit.data.frames import Columns, to_panel
from grukit.tasks import forecast_job, forecasting
from grukit.training.fit import FitConfig, FitResult


@pytest.fixture
def called(monkeypatch):
    """(training items, validation items, config) of the call of `fit` that follows."""
    seen = []

    def only_look(model, loss, train, validation, config, **others):
        seen.append((len(train), len(validation), config))
        return FitResult((), 0, 0.0, "epochs")

    monkeypatch.setattr(forecasting, "fit", only_look)
    monkeypatch.setattr(forecasting, "forecast_card", lambda *arguments: "")
    return seen


def test_an_epoch_is_bounded_and_so_is_what_it_is_stopped_by(small, frame, called, monkeypatch):
    whole = small().fit(frame)
    monkeypatch.setattr(forecasting, "LARGEST_EPOCH", 70)
    monkeypatch.setattr(forecast_job, "ENOUGH_FOR_A_MEAN", 20)
    bounded = small().fit(frame)
    asked = small(training=FitConfig(items_per_epoch=90)).fit(frame)
    (items, judged, config), (some, few, drawn), (_, _, wanted) = called
    assert items == some > 90
    assert judged > few == 20
    assert (config.items_per_epoch, drawn.items_per_epoch) == (1_000_000, 70)
    assert wanted.items_per_epoch == 90
    # All validation windows are scored, and the scale of the answers is nearly the same.
    assert bounded.validation_.windows == whole.validation_.windows == judged
    scale, near = whole.network_.step_scale, bounded.network_.step_scale
    np.testing.assert_allclose(near, scale, rtol=0.5)
    assert not np.array_equal(near, scale)
    assert asked.training == FitConfig(items_per_epoch=90)


def test_rows_are_encoded_alike_in_parts_and_at_once(rich_table, monkeypatch):
    roles = Columns(past=("wind",), future=("promo", "day"), static=("kind",))
    table = rich_table.assign(day=rich_table.ds.dt.day_name())
    panel = to_panel(table, roles)
    encoder = PanelEncoder.fit(panel)
    whole = encoder.encode(panel)
    monkeypatch.setattr(columns, "_ROWS_AT_ONCE", 7)
    parts = encoder.encode(panel)
    for name in ("past", "known", "static"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert whole.digest() == parts.digest() != replace(whole, known=whole.known + 1).digest()
