"""How fast CTC is searched on one core, and that the native core finds what its reference finds.

The texts are the 130 of AN4's test, the language models learned from its 948 of training. The
outputs of a network are made up for them, 50 frames a second, so that the search has as much to do
as with those of a real one: tokens in peaks of a frame or two, now and then another one in front.

    python benchmarks/ctc_search.py            into benchmarks/results, and the page
    python benchmarks/ctc_search.py --short    eight texts, nothing written
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import records
import torch

from grukit import FitConfig, TextGenerator
from grukit.core import env
from grukit.data.alphabet import Alphabet
from grukit.data.speech_sets import an4
from grukit.decoding.ctc import GREEDY, CtcDecoder, CtcSearch
from grukit.decoding.ngram import NgramModel
from grukit.decoding.token_model import TokenModel
from grukit.ops.ctc.reference import ReferenceSearch

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ctc_search.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "ctc-search.md"
FRAMES_A_SECOND = 50
SEARCHES = {
    "greedy": (GREEDY, ""),
    "beam 8": (CtcSearch(beam=8), ""),
    "beam 16": (CtcSearch(), ""),
    "beam 64": (CtcSearch(beam=64), ""),
    "beam 8, words": (CtcSearch(beam=8), "words"),
    "beam 16, words": (CtcSearch(), "words"),
    "beam 64, words": (CtcSearch(beam=64), "words"),
    "beam 16, only known words": (CtcSearch(closed=True), "words"),
    "beam 16, words and 100 hot words": (CtcSearch(), "words hot"),
    "beam 16, GRU": (CtcSearch(), "tokens"),
    "beam 16, words and GRU": (CtcSearch(), "words tokens"),
}
COMPARED = ("beam 8", "beam 8, words", "beam 16, only known words", "beam 16, words and GRU")
COMPARED_TEXTS = 10


def texts(part: str) -> list[str]:
    """The texts of AN4's "train" or "test"."""
    folder = env.data_folder()
    if folder is None:
        raise SystemExit("GRUKIT_DATA must name the folder of the data sets")
    frame = an4(folder / "speech" / "an4_mfcc")
    return frame["text"][frame["part"] == part].tolist()


def outputs(text: str, alphabet: Alphabet, random: np.random.Generator) -> np.ndarray:
    """What a network might say, ln of the chances of tokens [T, V]."""
    size = len(alphabet)
    frames = [0] * int(random.integers(10, 25))
    for token in alphabet.encode(text).tolist():
        frames += [token] * int(random.integers(1, 3)) + [0] * int(random.integers(2, 6))
    frames += [0] * int(random.integers(10, 25))
    logits = random.normal(size=(len(frames), size)) * 2
    logits[np.arange(len(frames)), frames] += 10 + 2 * random.normal(size=len(frames))
    # What a network takes for something else it takes so for the whole of a peak.
    for at in np.flatnonzero(np.diff(frames, prepend=0) > 0):
        if random.random() < 0.1:
            logits[at : at + 2, random.integers(1, size)] += random.normal(9, 2)
    return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def run(short: bool = False) -> dict[str, Any]:
    """Learn the models, search with every setting, and compare with the reference."""
    torch.set_num_threads(1)
    learned, spoken = texts("train"), texts("test")[: 8 if short else None]
    alphabet = Alphabet.learn(learned, "char")
    words = NgramModel.learn(learned, order=3)
    training = FitConfig(epochs=1 if short else 30, learning_rate=5e-3, progress=False)
    generator = TextGenerator(hidden_size=128, length=64, training=training).fit(learned, 0.1)
    tokens = TokenModel(generator.network_, generator.tokenizer_, alphabet)
    random = np.random.default_rng(0)
    frames = [outputs(text, alphabet, random) for text in spoken]
    seconds = sum(map(len, frames)) / FRAMES_A_SECOND
    hot = dict.fromkeys(sorted(words.vocabulary)[:100], 1.0)
    decoders, rows = {}, {}
    for name, (search, helped) in SEARCHES.items():
        own = CtcSearch(**{**vars(search), "hot_words": hot}) if "hot" in helped else search
        decoders[name] = decoder = CtcDecoder(
            alphabet,
            own,
            words if "words" in helped else None,
            tokens if "tokens" in helped else None,
        )
        decoder.decode(frames[0][None])
        started = time.process_time()
        found = [decoder.decode(one[None])[0][0] for one in frames]
        took = time.process_time() - started
        said = [alphabet.decode(one.tokens) for one in found]
        rows[name] = {"speed": seconds / took, "word_errors": jiwer.wer(spoken, said)}
    return {
        "texts": len(spoken),
        "seconds": seconds,
        "tokens": len(alphabet),
        "rows": rows,
        "compared": {name: compared(decoders[name], frames) for name in COMPARED},
        **records.circumstances(),
    }


def compared(decoder: CtcDecoder, frames: list[np.ndarray]) -> dict[str, Any]:
    """The first texts by the core and by the reference: whether they are the same, and how far
    their scores are apart."""
    same, apart = True, 0.0
    for one in sorted(frames, key=len)[:COMPARED_TEXTS]:
        native, reference = decoder.open(), decoder.reference()
        assert isinstance(reference, ReferenceSearch)
        for search in (native, reference):
            search.push(one)
        pairs = [search.best(decoder.search.beam, final=True) for search in (native, reference)]
        same &= [(f.tokens, f.frames) for f in pairs[0]] == [(f.tokens, f.frames) for f in pairs[1]]
        both = zip(*pairs, strict=True)
        apart = max([apart, *(abs(own.score - other.score) for own, other in both)])
    return {"same": same, "apart": apart}


def page(row: dict[str, Any]) -> str:
    """The documentation page, from the saved row."""
    table = "\n".join(
        f"| {name} | {own['speed']:,.0f} | {100 * own['word_errors']:.1f} |"
        for name, own in row["rows"].items()
    )
    check = "\n".join(
        f"| {name} | {'yes' if own['same'] else 'no'} | {own['apart']:.0e} |"
        for name, own in row["compared"].items()
    )
    return f"""\
# The search for what was said: speed

{row["texts"]} texts of AN4's test, for which the outputs of a network were made up:
{row["seconds"]:.0f} seconds of {FRAMES_A_SECOND} frames each, {row["tokens"]} tokens, which are
characters. Words: a 3-gram model of AN4's training texts; GRU: a `TextGenerator` of 128 units, of
the same. One recording after the other on one core, from the outputs to texts in Python; seconds
are those of the processor.

| search | times real time | word errors, % |
| --- | --- | --- |
{table}

The errors are those of outputs that were made up: they say which search finds more, and nothing of
a recognizer.

The same by the reference in plain Python, for the {COMPARED_TEXTS} shortest:

| search | same texts, order and times | scores apart |
| --- | --- | --- |
{check}

From `python benchmarks/ctc_search.py` on {row["date"]}: {row["machine"]}; Python {row["python"]},
torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="eight texts, nothing written")
    row = run(short := parser.parse_args().short)
    if not short:
        records.write(RESULTS, row)
        PAGE.write_text(page(row), encoding="utf-8")
    print(row["rows"], row["compared"])


if __name__ == "__main__":
    main()
