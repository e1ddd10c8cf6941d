"""A forecaster of every cell: trained, told by its name, saved and loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from grukit import Forecaster
from grukit.core.errors import ParameterError
from grukit.nn import GRU, LSTM, RNN

CELLS = {"gru": (GRU, "A GRU"), "lstm": (LSTM, "An LSTM"), "rnn": (RNN, "A plain RNN")}


@pytest.mark.parametrize("cell", CELLS)
def test_a_forecaster_of_each_cell(cell, frame, small, tmp_path):
    model = small(cell=cell).fit(frame)
    kind, name = CELLS[cell]
    assert type(model.network_.encoder) is kind
    assert f"grukit {cell.upper()}" in model.validation_.table()
    model.save(tmp_path / "model")
    assert f"{name} with " in (tmp_path / "model" / "README.md").read_text()
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.cell == cell
    np.testing.assert_array_equal(loaded.predict().values, model.predict().values)


def test_cells_give_forecasts_of_their_own(frame, small):
    values = [small(cell=cell).fit(frame).predict().values for cell in CELLS]
    assert not np.allclose(values[0], values[1])
    assert not np.allclose(values[0], values[2])


def test_a_model_of_before_there_were_cells_is_a_gru(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    config = json.loads(file.read_text())
    assert config["settings"].pop("cell") == "gru"
    file.write_text(json.dumps(config))
    loaded = Forecaster.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict().values, fitted.predict().values)


def test_an_unknown_cell_is_refused(frame, small):
    with pytest.raises(ParameterError, match="cell must be one of 'gru', 'lstm', 'rnn', got 'mgu'"):
        small(cell="mgu").fit(frame)
