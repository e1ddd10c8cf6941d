from __future__ import annotations

import numpy as np

from grukit.data.alphabet import Alphabet
from grukit.decoding.ctc import CtcHypothesis
from grukit.decoding.segments import segment_of
from grukit.decoding.word_times import spoken_spans


def test_words_last_as_long_as_they_are_loud():
    loudness = np.full(100, 1.0)
    loudness[10:30] = 9
    loudness[50:70] = 6
    for found in ([(20, 20), (60, 60)], [(10, 29), (50, 69)], [(32, 32), (75, 75)]):
        assert spoken_spans(found, loudness, 0.02) == [(10, 30), (50, 70)]


def test_words_that_are_all_found_late_are_where_it_is_loud():
    loudness = np.full(160, 1.0)
    for start in (10, 50, 90):
        loudness[start : start + 20] = 9
    late = [(start + 30, start + 30) for start in (10, 50, 90)]
    assert spoken_spans(late, loudness, 0.02, is_late=True) == [(10, 30), (50, 70), (90, 110)]


def test_a_short_silence_inside_a_word_is_part_of_it_and_a_long_one_is_not():
    loudness = np.full(60, 1.0)
    loudness[10:15] = loudness[19:25] = loudness[45:50] = 9
    assert spoken_spans([(12, 12)], loudness, 0.02) == [(10, 25)]
    assert spoken_spans([(47, 47)], loudness, 0.02) == [(45, 50)]


def test_words_without_a_pause_meet_where_it_is_quietest():
    loudness = 9.0 - 4 * np.exp(-((np.arange(60) - 33.0) ** 2) / 10)
    loudness[:10] = loudness[50:] = 1
    assert spoken_spans([(20, 25), (40, 44)], loudness, 0.02) == [(10, 33), (33, 50)]


def test_what_is_nowhere_loud_lasts_from_token_to_token():
    assert spoken_spans([(3, 5)], np.ones(10), 0.02) == [(3, 6)]
    assert spoken_spans([], np.ones(10), 0.02) == []


def test_a_segment_has_the_times_of_its_sound():
    alphabet = Alphabet("word", ["", "left", "turn"])
    found = CtcHypothesis((2, 1), (115, 134), (0.9, 0.8), -0.4, -0.4)
    loudness = np.zeros(60)
    loudness[10:20] = loudness[30:40] = 5
    words = segment_of(found, alphabet, 0.02, loudness, first=100).words
    assert [(w.text, round(w.start, 2), round(w.end, 2)) for w in words] == [
        ("turn", 2.2, 2.4),
        ("left", 2.6, 2.8),
    ]
    plain = segment_of(found, alphabet, 0.02).words
    assert [(round(w.start, 2), round(w.end, 2)) for w in plain] == [(2.3, 2.32), (2.68, 2.7)]
