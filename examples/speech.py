"""Teach a network to write down tones, where each letter is a tone of its own, as they are heard.

    python examples/speech.py [FOLDER]

The tones are all that is not like speech: they come in words with pauses between, each now longer,
now louder, now a little out of tune, and noisy. The network is never told when a letter sounds. It
learns 300 recordings, and transcribes 60 others; it says when each word was said, and writes the
same from a stream as from a file. Writes subtitles and a picture into FOLDER, by default speech.
"""

from __future__ import annotations

import sys
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from grukit import FitConfig, SpeechRecognizer
from grukit.data.synthetic_speech import Spoken, spoken_tones, write_spoken


def recordings(count: int, seed: int) -> list[Spoken]:
    """Without letters that follow themselves, which take much longer to tell apart."""
    every = spoken_tones(10 * count, seed=seed)
    clear = (one for one in every if all(a != b for a, b in pairwise(one.text)))
    return list(islice(clear, count))


def main(folder: Path) -> None:
    learned, others = recordings(300, seed=0), recordings(60, seed=1)
    write_spoken(folder / "learned", learned)
    write_spoken(folder / "others", others)

    model = SpeechRecognizer(
        rate=8000,
        bins=20,
        look_ahead=0.2,
        hidden_size=32,
        num_layers=1,
        stride=3,
        dropout=0.0,
        augmentation=None,
        training=FitConfig(epochs=12, batch_size=4, learning_rate=0.01, patience=None),
    )
    model.fit(folder / "learned", validation=None)
    scores = model.evaluate(folder / "others")
    print(scores.table())
    assert scores.words.rate < 0.05

    distances = []
    for spoken in others:
        answer = model.transcribe((spoken.samples, spoken.rate))
        if answer.text == spoken.text:
            heard = [(word.start, word.end) for word in answer.words]
            distances += np.abs(np.subtract(heard, spoken.times)).ravel().tolist()
    print(f"words begin and end {1000 * np.median(distances):.0f} ms from where they did (median)")
    assert np.median(distances) < 0.08

    spoken = max(others, key=lambda one: len(one.samples))
    stream, segments, told = model.stream(rate=8000), [], ""
    for at in range(0, len(spoken.samples), 400):
        segments += stream.push(spoken.samples[at : at + 400])
        if stream.partial and str(stream.partial) != told:
            told = str(stream.partial)
            print(f"{stream.heard:5.2f} s: {told}")
    segments += stream.finish()
    answer = model.transcribe((spoken.samples, spoken.rate))
    heard = [word for segment in segments for word in segment.words]
    assert [word[:3] for word in heard] == [word[:3] for word in answer.words]
    sure = [[word.confidence for word in words] for words in (heard, answer.words)]
    assert np.abs(np.subtract(*sure)).max() < 1e-5

    (folder / "said.srt").write_text(answer.to_srt(), encoding="utf-8")
    model.plot((spoken.samples, spoken.rate), answer).save(folder / "said.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "speech"))
