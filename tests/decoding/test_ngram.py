"""N-gram models: their chances, their files, and the automaton that the search reads."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.decoding.ngram import NgramModel, as_ngram_model

LINES = ["a b a", "b c", "a a b c", "c", "a b"]
texts = st.lists(st.sampled_from(["a", "b", "c", "x", "y"]), max_size=5)
ARPA = """\
made by hand

\\data\\
ngram 1=5
ngram 2=2

\\1-grams:
-99 <s> -0.5
-1.0 </s>
-0.6 <UNK>
-0.2 one -0.3
-0.7 two

\\2-grams:
-0.1 <s> one
-0.4 one two

\\end\\
"""


@pytest.fixture
def arpa(tmp_path):
    path = tmp_path / "model.arpa"
    path.write_text(ARPA)
    return path


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@settings(max_examples=20)
@given(history=texts)
def test_chances_sum_to_one_after_every_history(order, history):
    model = NgramModel.learn(LINES, order)
    words = ["a", "b", "c", "unheard-of", "</s>"]
    assert sum(math.exp(model.chance(history, word)) for word in words) == pytest.approx(1)


def test_chances_are_those_of_witten_and_bell():
    model = NgramModel.learn(["a b", "a a"], order=2)
    # 4 words and 2 ends, of 3 kinds; below all is 1 / 4.
    single = {"a": (3 + 3 / 4) / 9, "b": (1 + 3 / 4) / 9, "</s>": (2 + 3 / 4) / 9, "z": 3 / 36}
    for word, chance in single.items():
        assert math.exp(model.chance(["b", "z"], word)) == pytest.approx(chance)
    after_a = {"a": (1 + 3 * single["a"]) / 6, "b": (1 + 3 * single["b"]) / 6}
    for word, chance in after_a.items():
        assert math.exp(model.chance(["b", "a"], word)) == pytest.approx(chance)
    assert math.exp(model.chance([], "a")) == pytest.approx((2 + single["a"]) / 3)


def test_longer_models_foretell_what_they_have_learned_better():
    def nats(order):
        model = NgramModel.learn(LINES, order)
        words = [[*line.split(), "</s>"] for line in LINES]
        return -sum(model.chance(one[:at], w) for one in words for at, w in enumerate(one))

    assert nats(1) > nats(2) > nats(3)


def test_an_arpa_file_is_read_by_its_definition(arpa):
    model = NgramModel.from_arpa(arpa)
    assert model.order == 2
    assert model.vocabulary == {"one", "two"}

    def log10(history, word):
        return model.chance(history, word) / math.log(10)

    assert log10([], "one") == pytest.approx(-0.1)
    assert log10([], "two") == pytest.approx(-0.5 - 0.7)
    assert log10(["one"], "two") == pytest.approx(-0.4)
    assert log10(["one"], "one") == pytest.approx(-0.3 - 0.2)
    assert log10(["one", "two"], "</s>") == pytest.approx(-1.0)
    assert log10(["one"], "three") == pytest.approx(-0.3 - 0.6)
    assert model.unknown / math.log(10) == pytest.approx(-0.6)


def test_without_unk_an_unknown_word_is_as_unlikely_as_the_unlikeliest(arpa):
    arpa.write_text(ARPA.replace("-0.6 <UNK>\n", "").replace("1=5", "1=4"))
    model = NgramModel.from_arpa(arpa)
    assert model.chance(["two"], "three") == model.chance(["two"], "</s>") == model.unknown
    assert model.unknown == pytest.approx(-math.log(10))
    assert walk(model, ["three", "one"]) == pytest.approx(plain(model, ["three", "one"]))


def test_what_is_written_is_read_again(tmp_path):
    model = NgramModel.learn(LINES, order=3)
    model.to_arpa(tmp_path / "a.arpa")
    again = NgramModel.from_arpa(tmp_path / "a.arpa")
    assert [own.keys() for own in again.grams] == [own.keys() for own in model.grams]
    for own, other in zip(again.grams, model.grams, strict=True):
        for gram, values in own.items():
            assert values == pytest.approx(other[gram], rel=1e-8)
    again.to_arpa(tmp_path / "b.arpa")
    assert (tmp_path / "a.arpa").read_text() == (tmp_path / "b.arpa").read_text()


def plain(model, words):
    return sum(model.chance(words[:at], word) for at, word in enumerate(words))


def walk(model, words):
    """The same by the automaton, as the search does it."""
    search_words = model.words()
    own, state, total = search_words.automaton, search_words.automaton.start, 0.0
    for word in words:
        number = own.end if word == "</s>" else search_words.number.get(word, own.unknown)
        while True:
            arcs = slice(own.begin[state], own.begin[state + 1])
            found = np.flatnonzero(own.word[arcs] == number)
            if len(found):
                break
            total, state = total + own.backoff[state], own.shorter[state]
        total += own.chance[arcs][found[0]]
        state = own.next[arcs][found[0]]
    return total


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_automaton_has_the_same_chances(order):
    model = NgramModel.learn(LINES, order)
    for words in itertools.product(["a", "b", "c", "x"], repeat=4):
        assert walk(model, [*words, "</s>"]) == pytest.approx(plain(model, [*words, "</s>"]))


def test_the_automaton_of_a_file_backs_off_as_it_says(arpa):
    model = NgramModel.from_arpa(arpa)
    for words in itertools.product(["one", "two", "three", "</s>"], repeat=3):
        assert walk(model, [*words]) == pytest.approx(plain(model, [*words]))


def test_spared_words_count_as_known():
    words = NgramModel.learn(LINES).words(["zebra", "a"])
    assert words.known["zebra"] == words.unknown
    assert words.known["a"] > words.unknown
    assert words.number["zebra"] == words.automaton.unknown


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("\\end\\", "", "line 18, must be \\end\\, got 'the end of the file'"),
        ("\\data\\", "data", "line 18, must be \\end\\, got 'the end of the file'"),
        ("ngram 2=2", "ngram 3=2", "line 5, must be ngram 2=COUNT, got 'ngram 3=2'"),
        ("ngram 2=2", "ngram 2=x", "line 5, must be ngram 2=COUNT, got 'ngram 2=x'"),
        ("ngram 1=5", "ngram 1=6", "line 14, must be after 6 1-grams, got '5 of them'"),
        ("\\2-grams:", "\\3-grams:", "line 14, must be \\2-grams:, got '\\\\3-grams:'"),
        ("-0.7 two", "x two", "line 12, must be 'LOG10 OF A CHANCE' WORD [BACKOFF], got 'x two'"),
        ("-0.7 two", "0.7 two", "line 12, must be 'LOG10 OF A CHANCE' WORD [BACKOFF]"),
        ("-0.7 two", "nan two", "line 12, must be 'LOG10 OF A CHANCE' WORD [BACKOFF]"),
        ("-0.7 two", "-0.7 two inf", "line 12, must be 'LOG10 OF A CHANCE' WORD [BACKOFF]"),
        ("-0.7 two", "-0.7", "line 12, must be 'LOG10 OF A CHANCE' WORD [BACKOFF], got '-0.7'"),
        ("-0.7 two", "-0.7 one", "line 12, must be an n-gram that is not there yet"),
        ("-0.4 one two", "-0.4 one six", "line 16, must be of words that are 1-grams, got 'six'"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_told_with_the_line(arpa, was, becomes, message):
    arpa.write_text(ARPA.replace(was, becomes, 1))
    with pytest.raises(DataError) as error:
        NgramModel.from_arpa(arpa)
    assert message in str(error.value)
    assert str(error.value).startswith(str(arpa))


def test_other_input_that_cannot_be_used(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="must be text in UTF-8"):
        NgramModel.from_arpa(tmp_path / "x")
    with pytest.raises(DataError, match="texts with words in them"):
        NgramModel.learn(["", "  "])
    with pytest.raises(DataError, match="lines must be without <s> and <unk>"):
        NgramModel.learn(["a <unk> b"])
    with pytest.raises(ParameterError, match="order must be an integer of at least 1, got 0"):
        NgramModel.learn(LINES, order=0)
    with pytest.raises(ParameterError, match="language_model must be an NgramModel or the path"):
        as_ngram_model(3)


def test_the_model_of_an4_is_read(data_folder):
    path = data_folder / "speech" / "an4_mfcc" / "an4" / "etc" / "an4.ug.lm"
    model = as_ngram_model(path)
    assert len(model.vocabulary) == 104
    assert model.chance(["GO"], "YES") == pytest.approx(-2.0253 * math.log(10))
    assert walk(model, ["GO", "YES", "HUH"]) == pytest.approx(plain(model, ["GO", "YES", "HUH"]))
