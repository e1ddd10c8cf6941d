"""Strings of spoken digits: words, their times, and live transcription.

FSDD has 3,000 recordings of digits by six speakers, at 8 kHz. Strings of 3 to 7 of them, drawn at
random, are joined with pauses of 0.1 to 0.5 s: those to learn from files 5 to 49 of each speaker
and digit, those of the test from files 0 to 4.

    python benchmarks/digit_strings.py            into benchmarks/results, and the page
    python benchmarks/digit_strings.py --short    a small network on few strings, nothing written
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import records
import soundfile
import torch

from grukit import FitConfig, SpeechRecognizer
from grukit.core import env
from grukit.data.recordings import Recording
from grukit.data.synthetic_speech import Spoken, spoken_strings, write_spoken
from grukit.evaluation.latency import Latency, latency

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "digit_strings.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "digit-strings.md"
RATE = 8000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SETTINGS: dict[str, Any] = {
    "tokens": "word",
    "rate": RATE,
    "hidden_size": 96,
    "num_layers": 2,
    "dropout": 0.2,
}
TRAINING: dict[str, Any] = {"epochs": 12, "batch_size": 8, "learning_rate": 4e-3, "patience": None}
NETWORKS: dict[str, dict[str, Any]] = {"whole": {}, "live": {"look_ahead": 0.45}}
STRINGS = {"train": 1000, "validation": 50, "test": 300}
CHUNKS = (0.01, 0.1, 1.0, 5.0)


def digits(test: bool) -> list[Recording]:
    """The recordings of files 0 to 4, or of the others."""
    folder = env.data_folder()
    if folder is None:
        raise SystemExit("GRUKIT_DATA must name the folder of the data sets")
    files = sorted((folder / "speech" / "fsdd" / "recordings").glob("*.wav"))
    return [
        Recording(file.name, DIGITS[int(file.name[0])], file)
        for file in files
        if (int(file.stem.rpartition("_")[2]) < 5) is test
    ]


def run(work: Path, short: bool = False) -> dict[str, Any]:
    """Train in the folder `work`, and measure."""
    torch.set_num_threads(1)
    counts = {"train": 200, "validation": 10, "test": 20} if short else STRINGS
    learned, kept = digits(test=False), digits(test=True)
    write_spoken(work / "train", spoken_strings(learned, counts["train"], seed=1))
    write_spoken(work / "validation", spoken_strings(learned, counts["validation"], seed=2))
    spoken = list(spoken_strings(kept, counts["test"], seed=3))
    files = write_spoken(work / "test", spoken)
    settings, training = SETTINGS, TRAINING
    if short:
        settings = {**SETTINGS, "hidden_size": 48, "num_layers": 1, "augmentation": None}
        training = {**TRAINING, "epochs": 10, "learning_rate": 1e-2}
    row: dict[str, Any] = {"settings": settings, "training": training, "strings": counts}
    for name, own in NETWORKS.items():
        if short and name == "whole":
            continue
        model = SpeechRecognizer(**settings, **own, training=FitConfig(**training))
        started = time.monotonic()
        model.fit(work / "train", work / "validation")
        seconds = time.monotonic() - started
        evaluation = model.evaluate(work / "test")
        row[name] = {
            "training_seconds": round(seconds),
            "parameters": sum(p.numel() for p in model.network_.parameters()),
            "wer": evaluation.words.rate,
            "edits": str(evaluation.words),
            "real_time_factor": evaluation.real_time_factor,
            "times": word_times(model, spoken, files),
        }
        if name == "live":
            row["live"]["stream"] = streamed(model, spoken, files)
        model.save(work / f"{name}.model")
    if not short:
        row["hour"] = {name: hour(work, name) for name in NETWORKS}
    return {**row, **records.circumstances()}


def word_times(model: SpeechRecognizer, spoken: list[Spoken], files: list[Recording]):
    """How far starts and ends are from the joints, in strings whose words are right."""
    errors = []
    for one, file in zip(spoken, files, strict=True):
        words = model.transcribe(file).words
        if [word.text for word in words] == one.text.split():
            found = np.array([(word.start, word.end) for word in words])
            errors.append(found - np.array(one.times))
    off = np.abs(np.concatenate(errors)) if errors else np.full((1, 2), np.nan)
    return {
        "strings": len(errors),
        "start_median": float(np.median(off[:, 0])),
        "end_median": float(np.median(off[:, 1])),
        "start_90": float(np.percentile(off[:, 0], 90)),
        "end_90": float(np.percentile(off[:, 1], 90)),
    }


def streamed(model: SpeechRecognizer, spoken: list[Spoken], files: list[Recording]):
    """The same in pieces: whether it says the same, and how soon a word is told."""
    count, same, apart = 0, True, 0.0
    delays = Latency(np.zeros(0), 0)
    for one, file in zip(spoken[:40], files[:40], strict=True):
        whole = model.transcribe(file)
        samples, _ = soundfile.read(file.path, dtype="float32")
        for chunk in CHUNKS:
            stream, found, log = model.stream(), [], []
            size = max(1, round(chunk * RATE))
            for first in range(0, len(samples), size):
                found += stream.push(samples[first : first + size])
                if chunk == CHUNKS[0]:
                    parts = [*found, *([stream.partial] if stream.partial else [])]
                    heard = min(first + size, len(samples)) / RATE
                    log.append((heard, " ".join(part.text for part in parts)))
            found += stream.finish()
            words = [word for segment in found for word in segment.words]
            same &= [word[:3] for word in words] == [word[:3] for word in whole.words]
            pairs = zip(words, whole.words, strict=False)
            apart = max([apart, *(abs(a.confidence - b.confidence) for a, b in pairs)])
            count += 1
            if log:
                log.append((len(samples) / RATE, " ".join(word.text for word in words)))
                ends = [end for _, end in one.times]
                delays += latency(log, list(zip(one.text.split(), ends, strict=True)))
    return {
        "runs": count,
        "same": bool(same),
        "scores_apart": apart,
        "latency_median": delays.median,
        "latency_90": delays.percentile_90,
    }


def hour(work: Path, name: str) -> dict[str, Any]:
    """The memory of a process that transcribes a minute, and of one that transcribes an hour."""
    found: dict[str, Any] = {}
    for minutes in (1, 60):
        path = work / f"{minutes}.wav"
        if not path.exists():
            strings = spoken_strings(digits(test=True), 100_000, seed=4)
            with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
                while file.tell() < minutes * 60 * RATE:
                    file.write(next(strings).samples)
        command = [sys.executable, __file__, "--memory", str(work / f"{name}.model"), str(path)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        megabytes, words, seconds = output.split()
        found[f"{minutes} min"] = {
            "megabytes": float(megabytes),
            "words": int(words),
            "seconds": float(seconds),
        }
    return found


def memory(model: str, path: str) -> str:
    """The most memory in MB, the words and the seconds of a transcription in this process."""
    torch.set_num_threads(1)
    recognizer = SpeechRecognizer.load(model)
    started = time.perf_counter()
    words = len(recognizer.transcribe(path).words)
    took = time.perf_counter() - started
    status = Path("/proc/self/status").read_text().split()
    return f"{int(status[status.index('VmHWM:') + 1]) / 1024:.0f} {words} {took:.1f}"


def page(row: dict[str, Any]) -> str:
    """The documentation page, from the saved row."""
    lines = []
    for name in NETWORKS:
        own = row[name]
        times = own["times"]
        lines.append(
            f"| {name} | {own['wer']:.2%} | {own['edits']} | {own['parameters']:,} | "
            f"{own['training_seconds'] / 60:.1f} min | {own['real_time_factor']:.3f} | "
            f"{times['start_median'] * 1000:.0f} / {times['start_90'] * 1000:.0f} ms | "
            f"{times['end_median'] * 1000:.0f} / {times['end_90'] * 1000:.0f} ms |"
        )
    table, stream = "\n".join(lines), row["live"]["stream"]
    memory_lines = "\n".join(
        f"| {name}, {length} | {own['megabytes']:,.0f} MB | {own['words']:,} | "
        f"{own['seconds']:,.0f} s |"
        for name, both in row["hour"].items()
        for length, own in both.items()
    )
    return f"""\
# Strings of spoken digits

Strings of 3 to 7 recordings of FSDD at 8 kHz, joined with pauses of 0.1 to 0.5 s:
{row["strings"]["train"]:,} to learn from, of files 5 to 49; {row["strings"]["test"]:,} as test, of
files 0 to 4. The six speakers are the same in both. "whole" reads a recording in both directions;
"live" answers a stream, and looks ahead {NETWORKS["live"]["look_ahead"]} s. No language model.

| network | word errors | in words | parameters | training | real-time factor | starts | ends |
| --- | --- | --- | --- | --- | --- | --- | --- |
{table}

Starts and ends: how far they are from where recordings were joined, median and nine of ten; each
recording has some silence of its own.

A stream in pieces of {", ".join(f"{chunk:g}" for chunk in CHUNKS)} s says the same as the whole
file at once, in {stream["runs"]} runs: {"yes" if stream["same"] else "NO"}, words and times;
confidences are at most {stream["scores_apart"]:.0e} apart. From the end of a word until it is
told for good, in pieces of 10 ms: {stream["latency_median"]:.2f} s (median),
{stream["latency_90"]:.2f} s (nine of ten); the time of computation comes on top.

The most memory of a process, with Python and torch:

| network, recording | memory | words | took |
| --- | --- | --- | --- |
{memory_lines}

Settings: `{row["settings"]}`, `{row["training"]}`. One thread.

From `python benchmarks/digit_strings.py` on {row["date"]}: {row["machine"]}; Python
{row["python"]}, torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small network, nothing written")
    parser.add_argument("--memory", nargs=2, metavar=("MODEL", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(memory(*arguments.memory))
        return
    with tempfile.TemporaryDirectory() as work:
        row = run(Path(work), arguments.short)
    if arguments.short:
        print(row["live"])
        return
    records.write(RESULTS, row)
    PAGE.write_text(page(row), encoding="utf-8")
    print(page(row))


if __name__ == "__main__":
    main()
