"""Recognizers of speech on the command line, on files."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from grukit.tasks.base import load_model


def test_training_tells_the_errors_beside_baselines(trained):
    outcome, path = trained
    assert "nothing said" in outcome.out
    assert "trained for 12 epochs" in outcome.err
    assert "recordings; words:" in outcome.err
    assert "s for a second of sound" in outcome.err
    assert not path.with_name(f"{path.name}.training").exists()


@pytest.fixture
def asked(grukit, speech, tmp_path, monkeypatch):
    """What a command that trains gives to SpeechRecognizer and its fit, with these options."""
    seen = {}

    class Spy:
        def __init__(self, **given):
            seen.update(given)

        def fit(self, data, validation, **more):
            seen.update(more, data=data, validation=validation)
            raise KeyboardInterrupt

    def ask(command, *given):
        seen.clear()
        with monkeypatch.context() as patch:
            patch.setattr("grukit.tasks.speech.SpeechRecognizer", Spy)
            outcome = grukit("train", command, speech, "-o", tmp_path / "m", *given)
        assert outcome.code == 130, outcome.err
        return dict(seen)

    return ask


@pytest.mark.parametrize(("command", "mode"), [("transcribe", "text"), ("words", "words")])
def test_training_is_as_in_python_but_for_what_is_given(asked, command, mode):
    from grukit.tasks.speech import SpeechRecognizer
    from grukit.tasks.speech_settings import TRAINING

    seen = asked(command)
    usual = {**SpeechRecognizer().get_params(), "mode": mode, "training": TRAINING}
    usual["tokens"] = {"text": "char", "words": None}[mode]  # None is char for transcripts
    assert {name: seen.get(name, value) for name, value in usual.items()} == usual
    assert seen["validation"] == 0.1
    assert not seen["resume"]


def test_the_options_of_training_arrive(asked):
    given = ("--tokens", "bpe", "--vocabulary", 99, "--validation", "held.csv", "--seed", 7)
    seen = asked("transcribe", *given, "--language", "transcripts")
    assert (seen["mode"], seen["tokens"], seen["vocabulary"]) == ("text", "bpe", 99)
    assert (str(seen["validation"]), seen["language"]) == ("held.csv", "transcripts")
    assert seen["augmentation"] is not None
    more = ("--validation", 0.25, "--no-augment", "--look-ahead", 0.3, "--average", 0.5)
    seen = asked("words", *more)
    assert (seen["mode"], seen["validation"], seen["augmentation"]) == ("words", 0.25, None)
    assert (seen["look_ahead"], seen["training"].average) == (0.3, 0.5)


def test_one_recording_is_its_text(grukit, recognizer, wavs, texts):
    outcome = grukit("predict", recognizer, wavs[0])
    assert (outcome.code, outcome.out) == (0, f"{texts[0]}\n")
    assert texts[0]


def test_several_are_told_with_their_names(grukit, recognizer, wavs, texts, tmp_path):
    wanted = [f"{wav}\t{text}" for wav, text in zip(wavs, texts, strict=True)]
    assert grukit("predict", recognizer, *wavs).out.splitlines() == wanted
    assert grukit("predict", recognizer, wavs[0].parent).out.splitlines() == wanted
    table = wavs[0].parent / "list.csv"
    table.write_text("audio\n" + "".join(f"{wav.name}\n" for wav in wavs))
    told = [line.split("\t") for line in grukit("predict", recognizer, table).out.splitlines()]
    assert told == [[wav.name, text] for wav, text in zip(wavs, texts, strict=True)]
    table.unlink()


def test_json_is_an_object_in_a_line_for_each(grukit, recognizer, wavs, texts):
    outcome = grukit("predict", recognizer, *wavs, "--json")
    found = list(map(json.loads, outcome.out.splitlines()))
    assert [one["file"] for one in found] == list(map(str, wavs))
    assert [one["text"] for one in found] == texts
    word = found[0]["segments"][0]["words"][0]
    assert 0 <= word["start"] < word["end"] <= found[0]["duration"]


@pytest.mark.parametrize("suffix", ["txt", "json", "srt", "vtt"])
def test_the_suffix_says_how_it_is_written(grukit, recognizer, wavs, texts, tmp_path, suffix):
    path = tmp_path / f"said.{suffix}"
    outcome = grukit("predict", recognizer, wavs[0], "-o", path)
    assert (outcome.code, outcome.out) == (0, "")
    assert f"wrote {path}" in outcome.err
    answer = load_model(recognizer).transcribe(wavs[0])
    written = path.read_text(encoding="utf-8")
    if suffix == "json":
        assert json.loads(written) == {"file": str(wavs[0]), **answer.to_dict()}
    else:
        ways = {"txt": f"{texts[0]}\n", "srt": answer.to_srt(), "vtt": answer.to_vtt()}
        assert written == ways[suffix]


def test_several_are_written_into_one_file(grukit, recognizer, wavs, texts, tmp_path):
    assert grukit("predict", recognizer, *wavs, "-o", tmp_path / "all.json").code == 0
    assert [one["text"] for one in json.loads((tmp_path / "all.json").read_text())] == texts
    assert grukit("predict", recognizer, *wavs, "-o", tmp_path / "all.txt").code == 0
    lines = (tmp_path / "all.txt").read_text().splitlines()
    assert [line.split("\t")[1] for line in lines] == texts


def test_a_recording_that_cannot_be_read_keeps_none_from_the_others(
    grukit, recognizer, wavs, texts, tmp_path
):
    (tmp_path / "bad.wav").write_text("no sound")
    bad, missing = tmp_path / "bad.wav", tmp_path / "missing.wav"
    outcome = grukit("predict", recognizer, wavs[0], bad, missing, wavs[1])
    assert outcome.code == 1
    assert outcome.out.splitlines() == [f"{wavs[0]}\t{texts[0]}", f"{wavs[1]}\t{texts[1]}"]
    assert f"grukit: error: {bad} must be an audio file" in outcome.err
    assert "missing.wav" in outcome.err
    assert "got 2 that are not among 4; the others are done" in outcome.err
    outcome = grukit("predict", recognizer, bad, "-o", tmp_path / "said.txt")
    assert outcome.code == 1
    assert not (tmp_path / "said.txt").exists()


def test_a_spectrogram_is_drawn(grukit, recognizer, wavs, tmp_path):
    outcome = grukit("predict", recognizer, wavs[0], "--plot", tmp_path / "said.pdf")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "said.pdf").read_bytes().startswith(b"%PDF")


def test_a_recognizer_is_scored(grukit, recognizer, speech):
    outcome = grukit("evaluate", recognizer, speech, "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["utterances"] == 40
    assert [own["name"] for own in found["scores"]][1:] == [
        "most frequent transcript",
        "nothing said",
    ]
    assert found["scores"][0]["cer"] < 0.5 < found["scores"][1]["cer"]
    outcome = grukit("evaluate", recognizer, speech)
    assert "WER" in outcome.out
    assert "40 recordings; words:" in outcome.err
    outcome = grukit("evaluate", recognizer, speech, "--plot", "a.png")
    assert outcome.code == 2
    assert "--plot draws which word was taken for which, not transcripts" in outcome.err


def test_a_recording_is_inspected(grukit, recognizer, wavs, texts, tmp_path):
    outcome = grukit("inspect", recognizer, wavs[0], "--plot", tmp_path / "heard.svg")
    assert outcome.code == 0, outcome.err
    heading, *rows = outcome.out.splitlines()
    assert heading.split() == ["start", "end", "sure", "word"]
    assert [row.split()[3] for row in rows] == texts[0].split()
    assert (tmp_path / "heard.svg").stat().st_size > 5000
    outcome = grukit("inspect", recognizer, wavs[0], "-o", tmp_path / "words.csv")
    with (tmp_path / "words.csv").open() as file:
        assert [row["word"] for row in csv.DictReader(file)] == texts[0].split()
    assert json.loads(grukit("inspect", recognizer, wavs[0], "--json").out)["text"] == texts[0]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ((), "takes DATA, --stream or --mic"),
        (("a.wav", "--rate", 8000), "--rate is for --stream and --mic: files tell theirs"),
        (
            ("a.wav", "--stream"),
            "takes --stream, --mic, --rate, --beam, --language, --hot-word, --threshold, --json, "
            "not DATA",
        ),
        (("--stream", "--mic"), "give one"),
        (("--stream", "--plot", "a.png"), "not --plot"),
        (("a.wav", "--paths", 3), "not --paths"),
        (("a.wav", "-o", "a.csv"), "a.csv must end in .txt or .json or .srt or .vtt"),
        (("a.wav", "b.wav", "-o", "a.srt"), "a.srt takes one recording, got 2"),
        (("a.wav", "b.wav", "--plot", "a.svg"), "--plot draws one recording, got 2"),
    ],
)
def test_wrong_usage_is_told(grukit, recognizer, given, complaint):
    outcome = grukit("predict", recognizer, *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert complaint in " ".join(outcome.err.replace("│", " ").split())


def test_a_table_without_paths_is_told(grukit, recognizer, tmp_path):
    (tmp_path / "list.csv").write_text("sound\na.wav\n")
    outcome = grukit("predict", recognizer, tmp_path / "list.csv")
    assert outcome.code == 1
    assert "row 1 of" in outcome.err
    assert "must have a path in 'audio'" in outcome.err
    (tmp_path / "none").mkdir()
    outcome = grukit("predict", recognizer, tmp_path / "none")
    assert outcome.code == 1
    assert "none must have at least one recording, got none" in outcome.err


def test_another_task_takes_one_file_and_no_subtitles(grukit, model, tmp_path):
    outcome = grukit("predict", model, "a.csv", "b.csv")
    assert outcome.code == 2
    assert "takes one DATA" in outcome.err
    outcome = grukit("predict", model, "-o", tmp_path / "a.srt")
    assert outcome.code == 2
    assert "must end in .csv or .parquet or .json" in outcome.err
    assert grukit("predict", model, "--mic").code == 2


def test_live_sound_is_not_imported_for_files():
    assert "sounddevice" not in sys.modules


def test_what_helps_changes_what_is_written(grukit, recognizer, wavs, texts, tmp_path):
    said = (wavs[0], *("--beam", 8))
    (tmp_path / "lines").write_text("bh be\naech cedg\n" * 5)
    plain = grukit("predict", recognizer, *said).out
    assert grukit("predict", recognizer, *said, "--language", "none").out == plain
    helped = grukit("predict", recognizer, *said, "--language", tmp_path / "lines")
    assert helped.code == 0, helped.err
    hot = grukit("predict", recognizer, wavs[0], "--hot-word", "hhh:50", "--hot-word", "a:1")
    assert hot.code == 0, hot.err
    assert "hhh" in hot.out
    assert "hhh" not in plain


def test_a_model_of_words_is_that_of_the_file(grukit, recognizer, wavs, tmp_path, monkeypatch):
    from grukit.decoding.ctc import CtcSearch
    from grukit.tasks.speech import SpeechRecognizer

    asked = []
    decoder = SpeechRecognizer.decoder

    def spy(self, *given):
        asked.append(given)
        return decoder(self, *given)

    monkeypatch.setattr(SpeechRecognizer, "decoder", spy)
    (tmp_path / "lines").write_text("bh be\n")
    lines = str(tmp_path / "lines")
    grukit("predict", recognizer, wavs[0], "--language", lines, "--beam", 4)
    grukit("evaluate", recognizer, wavs[0].parent, "--language", lines)
    assert asked[:2] == [(CtcSearch(beam=4), lines), (None, lines)]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("--hot-word", "Reykjavik"), "--hot-word must be a text and a weight, as in Reykjavik:6"),
        (("--hot-word", "a:b"), "got 'a:b'"),
        (("--hot-word", "bh:-1"), "weights above 0"),
        (("--language", "no.arpa"), "--language must be a file, a folder or none, got 'no.arpa'"),
    ],
)
def test_help_that_is_none_is_told(grukit, recognizer, wavs, given, complaint):
    outcome = grukit("predict", recognizer, wavs[0], *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert complaint in " ".join(outcome.err.replace("│", " ").split())


def test_of_a_long_recording_the_beginning_is_drawn(
    grukit, recognizer, wavs, tmp_path, monkeypatch
):
    import numpy as np
    import soundfile

    from grukit.data.audio import read_audio
    from grukit.tasks.speech import SpeechRecognizer

    heard, titles = [], []
    chances = SpeechRecognizer.log_chances

    def spy(self, source):
        heard.append(source)
        return chances(self, source)

    monkeypatch.setattr(SpeechRecognizer, "log_chances", spy)
    monkeypatch.setattr(
        "grukit.plots.speech.PosteriorsDisplay.save", lambda own, _: titles.append(own.title)
    )
    samples = np.resize(read_audio(wavs[0], 8000), 32 * 8000)
    soundfile.write(tmp_path / "long.wav", samples, 8000)
    for name in (tmp_path / "long.wav", wavs[0]):
        outcome = grukit("inspect", recognizer, name, "--plot", tmp_path / "heard.png")
        assert outcome.code == 0, outcome.err
    assert (len(heard[0][0]), heard[1]) == (30 * 8000, wavs[0])
    assert titles[0].startswith("What was heard in the first 30 of 3")
    assert titles[1] == "What was heard"
