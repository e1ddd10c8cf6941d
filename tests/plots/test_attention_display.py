from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.attention import AttentionDisplay
from grukit.results.translation import Translation


def translation(source_tokens, tokens) -> Translation:
    shape = len(tokens), len(source_tokens)
    weights = np.random.default_rng(0).dirichlet(np.ones(shape[1]), shape[0])
    return Translation(
        "source", "text", (), tuple(source_tokens), tuple(tokens), weights.astype(np.float32)
    )


@pytest.fixture
def answer() -> Translation:
    return translation([" Ein", " $5", "$<b>\n", "<end>"], [" a", " dog", "<end>"])


def test_rows_are_the_translation_and_columns_the_source(answer):
    ax, bar = AttentionDisplay(answer, title="$x$ of $y$").plot().axes
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "␣Ein",
        "␣$5",
        "$<b>\\n",
        "<end>",
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["␣a", "␣dog", "<end>"]
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), answer.attention)
    assert image.get_clim() == (0, 1)
    assert bar.get_ylabel() == "attention"


def test_letters_stand_upright_and_words_are_turned(answer):
    def angle(display):
        return display.plot().axes[0].get_xticklabels()[0].get_rotation()

    assert angle(AttentionDisplay(answer)) == 90
    assert angle(AttentionDisplay(translation(["a", "b", "<end>"], ["<end>"]))) == 0


def test_what_is_too_long_is_left_out_and_told():
    display = AttentionDisplay(translation("ab" * 50, "abc" * 30))
    figure = display.plot()
    assert figure.axes[0].images[0].get_array().shape == (80, 80)
    assert figure.get_supxlabel() == (
        "80 of 100 pieces of the source shown, 20 left out; "
        "80 of 90 of the translation shown, 10 left out"
    )


@pytest.mark.parametrize("name", ["look.png", "look.svg", "look.html"])
def test_it_is_saved(answer, tmp_path, name):
    AttentionDisplay(answer).save(tmp_path / name)
    assert (tmp_path / name).stat().st_size > 5000


def test_the_page_has_the_numbers_and_names_stay_words(answer, tmp_path):
    AttentionDisplay(answer, title="</script><b onclick=x>").save(tmp_path / "look.html")
    page = (tmp_path / "look.html").read_text(encoding="utf-8")
    assert json.dumps("␣dog from ␣Ein") in page
    assert "<b onclick" not in page
    assert "\\u003cb onclick" not in page


def test_nothing_cannot_be_drawn():
    with pytest.raises(ParameterError, match="translation must be of a text that says something"):
        AttentionDisplay(Translation("", "", (), (), (), np.zeros((0, 0))))
