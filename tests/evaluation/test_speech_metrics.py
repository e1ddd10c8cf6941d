from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import DataError, ParameterError
from grukit.evaluation.speech_metrics import (
    character_edits,
    confusions,
    right_words,
    speech_evaluation,
    word_edits,
)
from grukit.results.speech_evaluation import Confusion, Edits

TEXTS = st.lists(st.tuples(st.text("ab \n", max_size=9), st.text("abB ", max_size=9)), max_size=4)


def distance(one, other) -> int:
    """Levenshtein's, by the textbook."""
    rows = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if not i or not j:
                rows[i][j] = i + j
                continue
            swapped = rows[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            rows[i][j] = min(swapped, rows[i - 1][j] + 1, rows[i][j - 1] + 1)
    return rows[-1][-1]


@pytest.mark.parametrize(
    ("edits_of", "units"),
    [(word_edits, str.split), (character_edits, lambda text: " ".join(text.split()))],
    ids=["words", "characters"],
)
@given(TEXTS)
def test_errors_are_the_fewest_there_can_be(edits_of, units, pairs):
    texts, references = [text for text, _ in pairs], [reference for _, reference in pairs]
    edits = edits_of(texts, references)
    said, heard = (sum(len(units(own)) for own in side) for side in (references, texts))
    wrong = edits.substitutions + edits.deletions + edits.insertions
    assert wrong == sum(distance(units(a), units(b)) for a, b in pairs)
    assert edits.said == edits.hits + edits.substitutions + edits.deletions == said
    assert edits.hits + edits.substitutions + edits.insertions == heard
    assert math.isnan(edits.rate) if not said else edits.rate == wrong / said


def test_the_four_kinds_are_told_apart():
    assert word_edits(["a x c e"], ["a b c d d"]) == Edits(
        hits=2, substitutions=2, deletions=1, insertions=0
    )
    assert word_edits(["new word"], [""]) == Edits(0, 0, 0, 2)
    assert word_edits([""], ["old"]) == Edits(0, 0, 1, 0)
    assert str(Edits(1000, 20, 3, 4)) == "20 wrong, 3 missing, 4 too many of 1,023"


def test_case_and_punctuation_count_as_written_and_white_space_does_not():
    assert word_edits(["Good morning"], ["good morning."]).substitutions == 2
    assert word_edits(["  good\tmorning\n"], ["good  morning"]).rate == 0
    assert character_edits(["ab"], ["a b"]) == Edits(2, 0, 1, 0)
    assert character_edits([" a  b "], ["a b"]).rate == 0


def test_confusions_are_counted_over_all_texts():
    texts = ["won too", "won three", "to won", "x", ""]
    references = ["one two", "one three", "two one", "", "lost"]
    assert confusions(texts, references) == (
        Confusion("one", "won", 3),
        Confusion("two", "to", 1),
        Confusion("two", "too", 1),
    )


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_right_words_are_the_same_words_in_order(text, reference):
    pairs = right_words(text, reference)
    assert all(text.split()[own] == reference.split()[said] for own, said in pairs)
    assert len(pairs) == word_edits([text], [reference]).hits
    for side in zip(*pairs, strict=True):
        assert list(side) == sorted(set(side))


def test_a_model_stands_beside_the_most_frequent_transcript_and_nothing():
    references = ["yes", "no way", ""]
    answer = speech_evaluation("model", ["yes", "no", ""], references, "yes", 10.0, took=0.25)
    assert answer.table().splitlines() == [
        "                              WER       CER",
        "model                      33.3 %*   44.4 %*",
        "most frequent transcript  100.0 %   100.0 %",
        "nothing said              100.0 %   100.0 %",
    ]
    assert answer.beats("wer")
    assert (answer.utterances, answer.empty_references, answer.seconds) == (3, 1, 10.0)
    assert answer.real_time_factor == 0.025
    found = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert found["words"] == {"hits": 2, "substitutions": 0, "deletions": 1, "insertions": 0}
    assert found["characters"]["deletions"] == 4
    assert found["confusions"] == []


def test_what_has_no_rate_is_none():
    answer = speech_evaluation("model", ["", "well"], ["", " "], "")
    assert "-" in answer.table()
    found = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert found["scores"][0] == {"name": "model", "wer": None, "cer": None}
    assert (found["empty_references"], found["seconds"], found["real_time_factor"]) == (
        2,
        None,
        None,
    )
    assert found["words"]["insertions"] == 1


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="at least one recording with a transcript, got none"):
        speech_evaluation("model", [], [], "")
    with pytest.raises(ParameterError, match=r"texts must be as many as references \(2\), got 1"):
        word_edits(["a"], ["a", "b"])
