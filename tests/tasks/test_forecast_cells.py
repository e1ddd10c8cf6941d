"""A forecaster of every cell: trained, told by its name, saved and loaded."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from grukit import Forecaster
from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN, MinGRU
from grukit.nn.gap_encoder import Gap, GapEncoder

CELLS = {
    "gru": (GRU, "A GRU"),
    "gru_before": (GRU, "A GRU (reset before)"),
    "lstm": (LSTM, "An LSTM"),
    "rnn": (RNN, "An RNN"),
    "mingru": (MinGRU, "A minGRU"),
    "gru_d": (GapEncoder, "A GRU-D"),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_forecaster_of_each_cell(cell, frame, small, tmp_path):
    model = small(cell=cell).fit(frame)
    kind, name = CELLS[cell]
    assert type(model.network_.encoder) is kind
    assert getattr(model.network_.encoder, "reset_after", True) == (cell != "gru_before")
    assert f"grukit {name.partition(' ')[2]} " in model.validation_.table()
    model.save(tmp_path / "model")
    assert f"{name} with " in (tmp_path / "model" / "README.md").read_text()
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.cell == cell
    np.testing.assert_array_equal(loaded.predict().values, model.predict().values)


def test_cells_give_forecasts_of_their_own(frame, small):
    values = [small(cell=cell).fit(frame).predict().values for cell in CELLS]
    for one, other in combinations(values, 2):
        assert not np.allclose(one, other)


def test_a_model_of_before_there_were_cells_is_a_gru(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    assert config["settings"].pop("cell") == "gru"
    file.write_text(json.dumps(config))
    loaded = Forecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict().values, fitted.predict().values)


def test_an_unknown_cell_is_refused(frame, small):
    with pytest.raises(
        ParameterError,
        match="cell must be one of 'rnn', 'lstm', 'gru', 'gru_before', 'mingru', 'gru_d'",
    ):
        small(cell="mgu").fit(frame)


def test_gru_d_knows_the_gaps_of_the_target_and_of_every_covariate(rich_table, small):
    table = rich_table.assign(rain=rich_table.wind, note=rich_table.kind.where(rich_table.y > 9))
    table.loc[::3, "wind"] = np.nan
    table.loc[::5, "promo"] = np.nan
    model = small(
        cell="gru_d", past_covariates=("note", "wind", "rain"), future_covariates=("promo",)
    )
    encoder = model.fit(table).network_.encoder
    # Target, marker and change; two categories; wind and marker; rain; promo and marker; calendar.
    assert encoder.gaps == (Gap(0, 1, 0), Gap(5, 6, 1), Gap(8, 9, 1))
    assert len(encoder.columns) == model.network_.encoder.gru_d.input_size


def test_gru_d_goes_by_steps_alone(frame, planted, small):
    with pytest.raises(ParameterError, match="'auto', 'steps' with cell='gru_d'"):
        small(cell="gru_d", network="segments").fit(frame)
    table = planted(count=1, length=300)
    model = small(cell="gru_d", horizon=96, lookback=8, hidden_size=2).fit(table)
    assert type(model.network_.encoder) is GapEncoder
