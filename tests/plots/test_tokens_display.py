from __future__ import annotations

import numpy as np
import pytest

from grukit.core.errors import ParameterError
from grukit.plots.tokens import TokensDisplay
from grukit.results.classification import TextExplanation


def texts(display: TokensDisplay) -> dict[tuple[float, float], str]:
    """What is written where: by line and column."""
    return {
        (own.get_position()[1] - 0.5, own.get_position()[0]): own.get_text()
        for own in display.plot().axes[0].texts
    }


def test_words_stand_apart_and_go_over_lines():
    words = ["never", "dull"] * 30 + ["x" * 130]
    found = texts(TokensDisplay(words, np.ones(61)))
    assert [found[0, 0], found[0, 6], found[0, 11]] == ["never", "dull", "never"]
    assert all(column + len(text) <= 100 for (_, column), text in found.items())
    assert [text for _, text in sorted(found.items())] == [*words[:60], "x" * 100, "x" * 30]


def test_tokens_with_spaces_follow_each_other_and_break_where_words_do():
    tokens = [*"ab ", "cd", "\n", "\t", " e", "\n\n", "f\ng"]
    found = texts(TokensDisplay(tokens, np.ones(len(tokens))))
    assert found == {
        (0, 0): "a",
        (0, 1): "b",
        (0, 2): " ",
        (0, 3): "cd",
        (0, 5): "↵",
        (1, 0): "→   ",
        (1, 4): " e",
        (1, 6): "↵",
        (2, 0): "↵",
        (3, 0): "f↵",
        (4, 0): "g",
    }
    letters = list("word " * 30)
    found = texts(TokensDisplay(letters, np.ones(len(letters))))
    starts = [found[line, 0] for line in sorted({line for line, _ in found})]
    assert starts == ["w", "w"]
    assert max(column for _, column in found) == 99


def test_boxes_have_the_colours_of_the_scale():
    display = TokensDisplay(["a", "b", "c", "d"], [2.0, -2.0, 0.0, 1.0])
    boxes = display.plot().axes[0].collections[0].get_facecolor()[:, :3]
    strong = 0.7 * np.array([[0, 0x72, 0xB2], [0xD5, 0x5E, 0]]) / 255 + 0.3
    np.testing.assert_allclose(boxes[:2], strong, atol=2e-3)
    np.testing.assert_allclose(boxes[2], 1.0)
    np.testing.assert_allclose(boxes[3], (strong[0] + 1) / 2, atol=4e-3)
    assert display.plot().axes[1].get_xlim() == (-2, 2)
    single = TokensDisplay(["a", "b"], [0.0, 4.0], signed=False).plot()
    np.testing.assert_allclose(single.axes[0].collections[0].get_facecolor()[1, :3], strong[1], 0.1)
    assert single.axes[1].get_xlim() == (0, 4)


def test_letters_are_as_wide_as_their_boxes(tmp_path):
    figure = TokensDisplay(["m" * 100], [1.0]).plot()
    figure.savefig(tmp_path / "wide.png", dpi=160)
    figure.set_dpi(160)
    ax = figure.axes[0]
    letters, box = ax.texts[0].get_window_extent(), ax.get_window_extent()
    assert letters.width == pytest.approx(box.width, rel=0.005)


def test_of_a_long_text_the_first_lines_are_drawn():
    display = TokensDisplay(["line\n"] * 200, np.ones(200), "surprise, nats")
    assert len(texts(display)) == 80
    words = [text.get_text() for text in display.plot().texts]
    assert "surprise, nats; 80 of 200 tokens shown, 120 left out" in words
    assert display._page().count("line↵") == 200


def test_any_text_is_drawn_as_it_is(tmp_path):
    odd = ["$x$", "日本語", "🙂", "\x00", "<b>&", "a_{b}", "हिन्दी", "e\u0301"]
    display = TokensDisplay(odd, np.arange(8.0), title="$1 and $2 <i>")
    written = set(texts(display).values())
    assert {"$x$", "<b>&", "a_{b}", "▯" * 6} <= written
    for name in ("odd.png", "odd.svg", "odd.html"):
        display.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000
    page = (tmp_path / "odd.html").read_text(encoding="utf-8")
    assert "日本語" in page
    assert "&lt;b&gt;&amp;" in page
    assert "<i>" not in page
    assert "<b>" not in page
    assert 'title="2"' in page


def test_an_explanation_says_of_which_class():
    weights = np.array([0.5, -1.5])
    own = TextExplanation("good", ("a", "b"), weights, weights, -0.75, 0.25, 0.0)
    figure = TokensDisplay.from_explanation(own).plot()
    words = [text.get_text() for text in figure.texts]
    assert words == ["good: log-odds -0.75, from +0.25", "added to the log-odds of good"]
    assert TokensDisplay.from_explanation(own)._repr_png_()[1:4] == b"PNG"


def test_nothing_is_drawn_of_nothing_and_bad_weights_are_refused(tmp_path):
    TokensDisplay([], []).save(tmp_path / "nothing.png")
    TokensDisplay(["", "\n"], [0.0, 0.0]).save(tmp_path / "little.png")
    with pytest.raises(ParameterError, match=r"weights must be one for each of 1 tokens, got '?sh"):
        TokensDisplay(["a"], [1.0, 2.0])
    with pytest.raises(ParameterError, match="weights must be finite numbers, got nan"):
        TokensDisplay(["a"], [np.nan])
    with pytest.raises(ParameterError, match="weights must be finite numbers of at least 0, got -"):
        TokensDisplay(["a"], [-1.0], signed=False)


def test_colours_may_be_full_before_the_largest_weight():
    tokens, weights = ["a", "b", "c"], [1.0, 5.0, 50.0]
    display = TokensDisplay(tokens, weights, signed=False, full=5.0)
    less, full, more = map(display._colour, weights)
    assert less != full == more
    page = display._page()
    assert 'title="50"' in page
    assert " 5 " in page
