from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grukit.core.errors import ParameterError
from grukit.results.spoken_words import Detection, WordAnswer
from grukit.results.transcript import Segment, TimedCharacter, TimedWord, Transcript

HOUR = 3600.0


def segment(*words: tuple[str, float, float], text: str | None = None, **more) -> Segment:
    timed = tuple(TimedWord(*word, confidence=0.5) for word in words)
    said = " ".join(word.text for word in timed) if text is None else text
    return Segment(timed[0].start, timed[-1].end, said, timed, **more)


def spoken(text: str, start: float = 0.0, each: float = 0.4) -> Segment:
    words = text.split()
    return segment(*((w, start + each * at, start + each * (at + 1)) for at, w in enumerate(words)))


EMPTY = Transcript((), 3.0)
LONG = spoken(
    "the quick brown fox jumps over the lazy dog and then it sleeps in the warm sun all day"
)
LATE = segment(("later", 100 * HOUR + 61.5, 100 * HOUR + 63.25))
WHOLE = Transcript((LONG, LATE), 101 * HOUR)


def test_srt_is_as_it_must_be():
    assert WHOLE.to_srt() == (
        "1\n"
        "00:00:00,000 --> 00:00:06,800\n"
        "the quick brown fox jumps over the lazy\n"
        "dog and then it sleeps in the warm sun\n"
        "\n"
        "2\n"
        "00:00:06,800 --> 00:00:07,800\n"
        "all day\n"
        "\n"
        "3\n"
        "100:01:01,500 --> 100:01:03,250\n"
        "later\n"
    )


def test_vtt_is_as_it_must_be():
    answer = Transcript((segment(("R&D", 0.25, 0.5), ("<unk>", 0.5, 2.0)), LATE), 101 * HOUR)
    assert answer.to_vtt() == (
        "WEBVTT\n"
        "\n"
        "00:00:00.250 --> 00:00:02.000\n"
        "R&amp;D &lt;unk&gt;\n"
        "\n"
        "100:01:01.500 --> 100:01:03.250\n"
        "later\n"
    )


def test_nothing_said_is_no_subtitle():
    for answer in (EMPTY, Transcript((Segment(1.0, 2.0, ""), Segment(2.0, 2.0, " ")), 3.0)):
        assert answer.to_srt() == ""
        assert answer.to_vtt() == "WEBVTT\n"
    assert (EMPTY.text, str(EMPTY), EMPTY.words) == ("", "", ())
    assert EMPTY.table() == "start  end  sure  word"
    assert EMPTY.to_dict() == {"text": "", "duration": 3.0, "segments": []}


def test_srt_takes_no_text_for_a_tag_or_a_time():
    answer = Transcript((segment(("<i>", 0.0, 1.0), ("{an8}", 1.0, 2.0), ("-->", 2.0, 3.0)),), 3.0)
    (body,) = answer.to_srt().splitlines()[2:]
    assert not re.search(r"<i>|\{an8|-->", body)
    assert body.replace("\u2060", "") == "<i> {an8} -->"


def test_a_short_cue_stays_for_a_second_where_there_is_room():
    short = [segment((word, at, at + 0.125)) for word, at in (("a", 0.0), ("b", 0.5), ("c", 2.0))]
    cues = parsed(Transcript(tuple(short), 2.5).to_srt())
    assert [(cue[0], cue[1]) for cue in cues] == [(0, 500), (500, 1500), (2000, 2500)]


def test_a_cue_ends_where_the_next_begins_though_words_overlap():
    both = segment(("a", 0.0, 2.0)), segment(("b", 1.5, 3.0))
    cues = parsed(Transcript(both, 4.0).to_srt())
    assert [(cue[0], cue[1]) for cue in cues] == [(0, 1500), (1500, 3000)]


def test_what_is_longer_than_a_line_is_cut_and_its_time_shared():
    cues = parsed(Transcript((Segment(0.0, 12.6, "漢" * 126),), 20.0).to_srt())
    assert [lines for _, _, lines in cues] == [["漢" * 42]] * 3
    assert [(start, end) for start, end, _ in cues] == [(0, 4200), (4200, 8400), (8400, 12600)]


def test_a_word_that_never_ends_is_shown_for_seven_seconds():
    assert parsed(Transcript((segment(("oh", 1.0, 30.0)),), 30.0).to_srt()) == [
        (1000, 8000, ["oh"])
    ]


def parsed(text: str) -> list[tuple[int, int, list[str]]]:
    """The cues of either format: start and end in milliseconds, and the lines."""
    found = []
    for block in re.split(r"\n\n", text.removeprefix("WEBVTT\n").strip("\n")):
        lines = block.split("\n")
        if lines[0].isdigit():
            assert int(lines.pop(0)) == len(found) + 1
        if lines == [""]:
            continue
        times = re.fullmatch(
            r"(\d\d+):(\d\d):(\d\d)[.,](\d{3}) --> (\d\d+):(\d\d):(\d\d)[.,](\d{3})", lines[0]
        )
        assert times, block
        numbers = list(map(int, times.groups()))
        start, end = (
            ((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (numbers[:4], numbers[4:])
        )
        found.append((start, end, lines[1:]))
    return found


SIGNS = st.text("ab<>&{-\n\u2028 é漢", min_size=1, max_size=100)


@st.composite
def transcripts(draw) -> Transcript:
    segments, now = [], 0.0
    for _ in range(draw(st.integers(0, 4))):
        words = []
        for _ in range(draw(st.integers(0, 12))):
            start = now + draw(st.floats(0, 2))
            now = start + draw(st.floats(0, 9))
            words.append(TimedWord(draw(SIGNS), start, now, 1.0))
        start = words[0].start if words else now
        segments.append(Segment(start, now, " ".join(word.text for word in words), tuple(words)))
    return Transcript(tuple(segments), now)


@given(transcripts())
def test_subtitles_can_be_read_back_and_keep_to_their_bounds(answer):
    wanted = answer.text.split()
    srt, vtt = parsed(answer.to_srt()), parsed(answer.to_vtt())
    assert [cue[:2] for cue in srt] == [cue[:2] for cue in vtt]
    before = 0
    for start, end, lines in srt:
        assert before <= start < end <= start + 7000
        assert 1 <= len(lines) <= 2
        before = end
    said = " ".join(line for _, _, lines in vtt for line in lines)
    for sign, name in ((">", "&gt;"), ("<", "&lt;"), ("&", "&amp;")):
        assert sign not in said.replace("&", "") or sign == "&"
        said = said.replace(name, sign)
    assert "".join(said.split()) == "".join(wanted)
    plain = [line.replace("\u2060", "") for _, _, lines in srt for line in lines]
    assert all(0 < len(line) <= 42 for line in plain)
    assert "".join(" ".join(plain).split()) == "".join(wanted)


def test_json_has_all_there_is():
    word = TimedWord("hi", 0.5, 1.0, 0.75)
    letters = (TimedCharacter("h", 0.5, 0.7, 0.5), TimedCharacter("i", 0.7, 1.0, 1.0))
    own = Segment(0.25, 1.5, "hi", (word,), letters, is_final=False)
    answer = Transcript((own, Segment(1.5, 2.0, "")), 2.0)
    assert json.loads(json.dumps(answer.to_dict(), allow_nan=False)) == {
        "text": "hi",
        "duration": 2.0,
        "segments": [
            {
                "start": 0.25,
                "end": 1.5,
                "text": "hi",
                "confidence": 0.75,
                "is_final": False,
                "words": [{"text": "hi", "start": 0.5, "end": 1.0, "confidence": 0.75}],
                "characters": [
                    {"text": "h", "start": 0.5, "end": 0.7, "confidence": 0.5},
                    {"text": "i", "start": 0.7, "end": 1.0, "confidence": 1.0},
                ],
            },
            {
                "start": 1.5,
                "end": 2.0,
                "text": "",
                "confidence": None,
                "is_final": True,
                "words": [],
            },
        ],
    }


def test_words_are_a_table_and_a_frame():
    answer = Transcript((segment(("ten", 0.5, 1.0)), segment(("eleven", 10.0, 12.25))), 13.0)
    assert answer.text == "ten eleven"
    assert answer.table() == (
        "start    end  sure  word\n 0.50   1.00  0.50  ten\n10.00  12.25  0.50  eleven"
    )
    assert answer.to_frame().to_dict("list") == {
        "segment": [0, 1],
        "start": [0.5, 10.0],
        "end": [1.0, 12.25],
        "confidence": [0.5, 0.5],
        "word": ["ten", "eleven"],
    }


def test_confidence_is_the_mean_of_the_words():
    words = (TimedWord("a", 0, 1, 1.0), TimedWord("b", 1, 2, 0.5))
    assert Segment(0, 2, "a b", words).confidence == 0.75
    assert math.isnan(Segment(0, 2, "").confidence)


def test_times_go_forwards():
    with pytest.raises(ParameterError, match=r"times of a segment must be from 0 up, .* \(2, 1\)"):
        Segment(2, 1, "")
    with pytest.raises(ParameterError, match="times must be in order"):
        segment(("b", 1.0, 2.0), ("a", 0.0, 2.0))
    with pytest.raises(ParameterError, match="times must be in order"):
        segment(("b", 1.0, 2.0), ("a", 2.0, 1.5))


def test_words_that_were_spotted_are_json():
    assert Detection("yes", 0.5, 1.0, 0.75)._asdict() == {
        "word": "yes",
        "start": 0.5,
        "end": 1.0,
        "confidence": 0.75,
    }
    unknown = WordAnswer(None, {"yes": 0.4, "no": 0.1})
    assert unknown.to_dict() == {
        "word": None,
        "confidence": 0.4,
        "chances": {"yes": 0.4, "no": 0.1},
    }
