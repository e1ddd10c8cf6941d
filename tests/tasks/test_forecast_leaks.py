"""A forecaster, and the table it reads, are found safe or told apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grukit.core.errors import LeakError, NotFittedError, ParameterError


def test_an_honest_forecaster_passes(rich, rich_table):
    (wind,) = rich.check_leaks(rich_table)
    assert wind.column == "wind"
    assert abs(wind.correlation) < 0.3


def test_without_past_covariates_only_forecasts_are_checked(fitted, frame):
    assert fitted.check_leaks(frame) == ()


def test_a_planted_column_is_named(small, planted):
    table = planted(length=300)
    table["tomorrow"] = table.groupby("unique_id").y.shift(-1)
    model = small(past_covariates=("tomorrow",)).fit(table)
    with pytest.raises(LeakError, match="'tomorrow' tells the target 1 step later"):
        model.check_leaks(table)
    assert model.check_leaks(table, limit=1.1)[0].steps == 1


def test_a_network_that_reads_on_is_caught(fitted, frame, monkeypatch):
    model = fitted._model

    def looks_ahead(self, encoded, origins):
        return np.nan_to_num(encoded.target[origins])[:, None, None]

    monkeypatch.setattr(type(model), "quantiles", looks_ahead)
    with pytest.raises(LeakError, match="must not depend on later rows, got another one when 'y'"):
        fitted.check_leaks(frame)


def test_an_encoder_that_learns_from_what_comes_is_caught(fitted, frame, monkeypatch):
    def over_all_rows(self, panel, seen=None):
        unseen = replace(self, scales={})
        return original(unseen, panel, seen=panel.lengths)

    encoder = type(fitted._model.encoder)
    original = encoder.encode
    monkeypatch.setattr(encoder, "encode", over_all_rows)
    with pytest.raises(LeakError, match="'y'"):
        fitted.check_leaks(frame)


def test_bad_calls_are_refused(small, fitted, frame):
    with pytest.raises(NotFittedError):
        small().check_leaks(frame)
    with pytest.raises(ParameterError, match="limit must be a number above 0"):
        fitted.check_leaks(frame, limit=0)
