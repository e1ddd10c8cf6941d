from __future__ import annotations

import json

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.evaluation.word_metrics import words_evaluation
from grukit.plots.speech import ConfusionDisplay, PosteriorsDisplay, SpectrogramDisplay
from grukit.results.transcript import TimedWord

HOP = 0.01
WORDS = [
    TimedWord("one", 0.25, 0.75, 0.9),
    TimedWord("$x$ <b onclick=y>", 1.0, 1.5, 0.1),
    TimedWord("late", 40.0, 41.0, 1.0),
]


def features(frames: int = 200) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, 40)).astype(np.float32)


def log_probs(chances: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(chances, np.float32))


@pytest.fixture
def confused():
    said = ["yes", "yes", "no", "no", "no", "no"]
    heard = ["yes", None, "no", "no", "no", "yes"]
    return words_evaluation({"model": heard}, said, ["yes", "no", "$never"], 0.5)


def test_words_stand_above_their_features():
    given = features()
    words, ax = SpectrogramDisplay(given, HOP, WORDS, title="$a$ of $b$").plot().axes
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), given.T)
    assert image.get_extent() == [0, pytest.approx(2.0), -0.5, 39.5]
    assert image.origin == "lower"
    assert [text.get_text() for text in words.texts] == ["one", "$x$ <b onclick=y>"]
    assert [text.get_position()[0] for text in words.texts] == [0.5, 1.25]
    assert {text.get_rotation() for text in words.texts} == {90.0}
    surer, less = (patch.get_facecolor() for patch in words.patches)
    assert surer[0] < less[0]
    assert [line.get_xdata()[0] for line in ax.lines] == [0.25, 0.75, 1.0, 1.5]


def test_short_words_are_not_turned_and_none_need_no_row():
    words, _ = SpectrogramDisplay(features(), HOP, WORDS[:1]).plot().axes
    assert words.texts[0].get_rotation() == 0
    assert len(SpectrogramDisplay(features(), HOP).plot().axes) == 1
    assert SpectrogramDisplay(np.zeros((1, 3)), HOP).plot().axes[0].images[0].get_clim()[0] == 0


def test_of_a_long_recording_the_beginning_is_drawn_and_told():
    figure = SpectrogramDisplay(features(3500), HOP, WORDS).plot()
    assert figure.axes[1].images[0].get_array().shape == (40, 3000)
    assert figure.get_supxlabel() == "the darker a word, the surer; the first 30 of 35.0 seconds"
    assert len(figure.axes[0].texts) == 2


def test_posteriors_are_chances_of_the_tokens_that_were_heard():
    chances = [[0.9, 0.0, 0.1, 0.0], [0.2, 0.0, 0.0, 0.8], [0.97, 0.03, 0.0, 0.0]]
    display = PosteriorsDisplay(log_probs(np.array(chances)), ["", "never", " ", "$a$\n"], 0.04)
    ax, bar = display.plot().axes
    np.testing.assert_allclose(
        ax.images[0].get_array(), [[0.9, 0.2, 0.97], [0.1, 0.0, 0.0], [0.0, 0.8, 0.0]], rtol=1e-6
    )
    assert ax.images[0].get_extent() == [0, pytest.approx(0.12), 2.5, -0.5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["(blank)", "␣", "$a$\\n"]
    assert bar.get_ylabel() == "chance"


def test_of_many_tokens_the_likeliest_are_drawn_in_their_order():
    chances = np.eye(60) * np.linspace(0.1, 1, 60)
    figure = PosteriorsDisplay(log_probs(chances), [str(at) for at in range(60)], 0.04).plot()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [str(at) for at in range(20, 60)]
    assert figure.get_supxlabel() == "40 of 60 tokens that were heard shown, 20 left out"


def test_rows_of_a_confusion_are_what_was_said(confused):
    ax, bar = ConfusionDisplay(confused).plot().axes
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "yes",
        "no",
        "$never",
        "(unknown)",
    ]
    np.testing.assert_array_equal(
        ax.images[0].get_array(),
        [[0.5, 0, 0, 0.5], [0.25, 0.75, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    )
    placed = {text.get_position(): text.get_text() for text in ax.texts}
    assert placed == {(0, 0): "1", (3, 0): "1", (0, 1): "1", (1, 1): "3"}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("heard", "said")
    assert bar.get_ylabel() == "share of the row"


def test_what_is_not_used_or_too_much_is_left_out():
    names = [f"word {at}" for at in range(50)]
    said = [name for at, name in enumerate(names) for _ in range(1 + (at < 40))]
    figure = ConfusionDisplay(words_evaluation({"m": said}, said, names, 0.0)).plot()
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == names[:40]
    assert figure.get_supxlabel() == "40 of 50 words shown, 10 left out"


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html"])
def test_all_are_saved(confused, tmp_path, suffix):
    displays = (
        SpectrogramDisplay(features(), HOP, WORDS),
        PosteriorsDisplay(log_probs(np.full((9, 3), 1 / 3)), ["", "a", "b"], 0.04),
        ConfusionDisplay(confused),
    )
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!doctype html>"}[
        suffix
    ]
    for at, display in enumerate(displays):
        display.save(tmp_path / f"{at}.{suffix}")
        assert (tmp_path / f"{at}.{suffix}").read_bytes().startswith(begins)


def test_pages_have_the_names_as_words(confused, tmp_path):
    SpectrogramDisplay(features(), HOP, WORDS, "</script><b>").save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "onclick" in page
    assert "<b onclick" not in page
    assert "\\u003cb onclick" not in page
    ConfusionDisplay(confused).save(tmp_path / "b.html")
    assert json.dumps("$never") in (tmp_path / "b.html").read_text(encoding="utf-8")


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ParameterError, match=r"features must be float \[T, F\] .*shape \(0, 40\)"):
        SpectrogramDisplay(np.zeros((0, 40)), HOP)
    with pytest.raises(ParameterError, match="features must be finite"):
        SpectrogramDisplay(np.full((2, 2), np.nan), HOP)
    with pytest.raises(ParameterError, match="hop must be a number above 0, got 0"):
        SpectrogramDisplay(features(), 0)
    with pytest.raises(ParameterError, match=r"tokens must be one for each .* \(3\), got 2"):
        PosteriorsDisplay(np.zeros((2, 3)), ["", "a"], HOP)
    for wrong in (0.5, np.nan):
        with pytest.raises(ParameterError, match="log_probs must be at most 0"):
            PosteriorsDisplay(np.full((2, 2), wrong), ["", "a"], HOP)
    with pytest.raises(ParameterError, match=r"ending in .png, .svg, .pdf or .html"):
        SpectrogramDisplay(features(), HOP).save("a.gif")
