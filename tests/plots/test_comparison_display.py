from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.comparison import ComparisonDisplay
from grukit.results.cells import NAMES
from grukit.results.comparison import Comparison, Question, Run

ADDING = Question("adding", "Adding", "mse", False, 1 / 6, "always 1", 0.01)


def comparison(**losses: list[tuple[float, ...]]) -> Comparison:
    first = Run("adding", "", 0.01, 0, 8, 300, 250, 1, (), (), (), 0.1, False)
    runs = [
        dataclasses.replace(first, cell=cell, seed=seed, validation_losses=own)
        for cell, every in losses.items()
        for seed, own in enumerate(every)
    ]
    return Comparison(
        (ADDING, dataclasses.replace(ADDING, name="b", title="B")), tuple(runs), "width"
    )


def test_a_line_is_the_median_of_seeds_and_a_band_their_range():
    display = ComparisonDisplay(comparison(gru=[(4.0, 2.0), (1.0, 3.0, 0.5), (2.0, 5.0, 1.0)]))
    (ax, other), legend = display.plot().axes, display.plot().legends[0]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert ax.lines[0].get_ydata().tolist() == [2.0, 3.0, 1.0]
    assert ax.lines[1].get_ydata()[0] == 0.01
    band = ax.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in np.unique(band, axis=0)} >= {(1, 1), (1, 4), (3, 0.5), (3, 2)}
    assert [text.get_text() for text in legend.get_texts()] == ["GRU"]
    assert ax.get_title(loc="left") == "Adding"
    assert not [line for line in other.lines if len(line.get_xdata()) > 2]


def test_a_seed_that_ended_keeps_its_best_loss_and_a_page_has_the_median():
    display = ComparisonDisplay(comparison(gru=[(2.0, 4.0), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0)]))
    assert display.plot().axes[0].lines[0].get_ydata().tolist() == [2.0, 4.0, 2.0]
    pytest.importorskip("plotly")
    page = display.page()
    (line,) = page._figure.data
    assert list(line.y) == [2.0, 4.0, 2.0]
    assert [shape.y0 for shape in page._figure.layout.shapes] == [0.01]


def test_a_cell_without_an_epoch_is_left_out():
    display = ComparisonDisplay(comparison(gru=[(1.0,)], rnn=[()]), ["adding"])
    labels = [line.get_label() for line in display.plot().axes[0].lines]
    assert labels[0] == "GRU"
    assert "RNN" not in labels


def test_no_two_cells_have_one_colour():
    display = ComparisonDisplay(comparison(**{cell: [(1.0,)] for cell in NAMES}), ["adding"])
    lines = display.plot().axes[0].lines[: len(NAMES)]
    assert len({line.get_color() for line in lines}) == len(NAMES)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".html"])
def test_it_saves_itself(tmp_path, suffix):
    path = tmp_path / f"curves{suffix}"
    ComparisonDisplay(comparison(gru=[(1.0, 0.5)], lstm=[(1.0, 0.4)])).save(path)
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("wrong", [[], ["parity"]])
def test_unknown_problems_are_refused(wrong):
    with pytest.raises(ParameterError, match="problems must be of adding, b"):
        ComparisonDisplay(comparison(gru=[(1.0,)]), wrong)
