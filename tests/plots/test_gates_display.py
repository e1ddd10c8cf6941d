from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from grukit import nn
from grukit.core.errors import ParameterError
from grukit.insight.gates import inspect_gates, read_gates
from grukit.plots.gates import GatesDisplay
from grukit.plots.style import render
from grukit.results.gates import GateRecord

pytest.importorskip("matplotlib")


def record(steps: int = 30, units: int = 4, **changed) -> GateRecord:
    random = np.random.default_rng(0)
    gates = {
        "update": random.random((steps, units)),
        "hidden": random.uniform(-1, 1, (steps, units)),
    }
    return GateRecord(
        "layer", "gru", tuple("ab cd\n"[at % 6] for at in range(steps)), gates, **changed
    )


def display(*records: GateRecord, **changed) -> GatesDisplay:
    return GatesDisplay(records, inspect_gates(records), **changed)


def maps(figure) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]


def test_each_gate_is_a_map_of_units_and_steps():
    own = record(step="character")
    figure = display(own).plot()
    update, hidden = maps(figure)
    np.testing.assert_array_equal(update, own.gates["update"].T)
    np.testing.assert_array_equal(hidden, own.gates["hidden"].T)
    labels = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert "".join(labels[:6]) == "ab␣cd⏎"
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["update", "hidden"]


def test_of_many_units_and_steps_a_part_is_drawn_and_the_rest_told():
    figure = display(record(300, 60)).plot()
    assert maps(figure)[0].shape == (40, 160)
    assert figure._supxlabel.get_text() == (
        "40 of 60 units shown, 20 left out; 160 of 300 steps shown, 140 left out"
    )


@pytest.mark.parametrize("bands", [1, 12])
def test_a_series_or_a_spectrogram_is_below(bands):
    picture = np.random.default_rng(0).normal(size=(30, bands))
    figure = display(record(picture=picture, step="moment")).plot()
    below = figure.axes[2]
    assert below.get_ylabel() == "input"
    drawn = below.images[0].get_array().T if bands > 6 else below.get_lines()[0].get_ydata()
    np.testing.assert_allclose(np.squeeze(drawn), np.squeeze(picture))


def test_times_below_do_not_overlap():
    hours = np.datetime64("2024-01-01T00:00:00") + np.arange(72) * np.timedelta64(3600, "s")
    own = replace(record(72, step="row"), steps=tuple(map(str, hours)))
    figure = display(own).plot()
    render(figure, "png")
    labels = figure.axes[1].get_xticklabels()
    assert labels[0].get_text() == "2024-01-01 00:00"
    assert len(labels) >= 3
    boxes = [label.get_window_extent() for label in labels]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    own = replace(own, steps=tuple(f"{at / 50:.2f} s" for at in range(72)))
    assert display(own).plot().axes[1].get_xticklabels()[0].get_text() == "0.00 s"


@pytest.mark.parametrize("bands", [1, 12])
def test_a_gap_of_a_series_stays_one(bands):
    picture = np.arange(30.0)[:, None] + np.zeros(bands)
    picture[5:9] = np.nan
    below = display(record(picture=picture, step="row")).plot().axes[2]
    if bands == 1:
        np.testing.assert_array_equal(below.get_lines()[0].get_ydata(), picture[:, 0])
    else:
        np.testing.assert_allclose(below.images[0].get_clim(), (0, 29), atol=0.5)


def test_signs_that_the_font_lacks_are_no_warning():
    own = replace(record(3, step="character"), steps=tuple("東京a"))
    assert render(display(own).plot(), "png").startswith(b"\x89PNG")


def test_one_of_several_layers_is_drawn_and_all_are_in_the_page(tmp_path):
    records = read_gates(nn.GRU(3, 4, 2), torch.randn(8, 1, 3))
    own = display(*records, layer="GRU, layer 2", title="Title")
    np.testing.assert_array_equal(maps(own.plot())[3], records[1].hidden.T)
    own.save(tmp_path / "gates.svg")
    own.save(tmp_path / "gates.html")
    page = (tmp_path / "gates.html").read_text(encoding="utf-8")
    assert "GRU, layer 1" in page
    assert "GRU, layer 2" in page


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ParameterError, match="layer must be one of"):
        display(record(), layer="other")
