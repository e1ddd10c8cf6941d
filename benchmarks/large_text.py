"""A text of a gigabyte: its file of tokens, and training that is killed and goes on bit for bit.

    python benchmarks/large_text.py            makes the file, writes benchmarks/results, the page
    python benchmarks/large_text.py --short    four megabytes, nothing written

Each tokenizer is measured in processes of its own, whose peak memory is told, and is saved when it
is done; the same command goes on from there. The text is made anew in a temporary folder (TMPDIR),
which needs four times its size, and is removed. PyTorch's number of threads is that of
OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import records

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "large_text.json"
PAGE = HERE.parent / "docs" / "benchmarks" / "large-text.md"
SIZE, SHORT = 10**9, 4 * 10**6
TOKENIZERS = ("char", "bpe")
UPDATES, KILLED_AFTER = 6, 3
_WORDS, _LINES = 50_000, 20_000


class Enough(Exception):
    """So many updates are done."""


def make_file(path: Path, size: int) -> None:
    """Lines of words, of which few are frequent (Zipf's law), written part by part."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkqjxz"))
    words = np.array(
        ["".join(random.choice(letters, random.integers(2, 10))) for _ in range(_WORDS)]
    )
    chances = 1 / np.arange(1, _WORDS + 1)
    chances /= chances.sum()
    with path.open("w", encoding="utf-8") as out:
        while out.tell() < size:
            drawn = words[random.choice(_WORDS, (_LINES, 10), p=chances)]
            text = "\n".join(map(" ".join, drawn.tolist())) + "\n"
            out.write(text[: size - out.tell()])


def measure(path: Path, tokenizer: str, checkpoint: Path, killed: bool) -> dict[str, Any]:
    """Read and train for a few updates, or until killed, in this process, which is new."""
    from grukit import FitConfig, TextGenerator
    from grukit.data import token_rows
    from grukit.tasks import generation

    small = path.stat().st_size <= SHORT
    if small:
        token_rows.IN_MEMORY_BYTES = 1 << 16
    marks = {"started": time.monotonic()}
    resumed = (checkpoint / "latest").exists()
    updates = KILLED_AFTER if resumed else 0
    loss, network_of = generation._loss, generation.TextGenerator._new_network
    network = None

    def counted(*arguments: Any) -> Any:
        nonlocal updates
        if updates == (KILLED_AFTER if killed else UPDATES):
            if killed:
                os.kill(os.getpid(), signal.SIGKILL)
            raise Enough
        updates += 1
        return loss(*arguments)

    def noted(*arguments: Any) -> Any:
        nonlocal network
        marks.setdefault("read", time.monotonic())
        network = network_of(*arguments)
        return network

    generation._loss, generation.TextGenerator._new_network = counted, noted  # type: ignore[assignment]
    model = TextGenerator(
        tokenizer=tokenizer,
        vocabulary=300 if small else 8000,
        hidden_size=32 if small else 512,
        training=FitConfig(epochs=1, save_every_seconds=0),
    )
    with contextlib.suppress(Enough):
        model.fit(path, checkpoint=checkpoint, resume=True)
    digest = hashlib.sha256()
    assert network is not None
    for value in network.state_dict().values():
        digest.update(value.numpy().tobytes())
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "resumed": resumed,
        "seconds_to_read": round(marks["read"] - marks["started"], 1),
        "peak_mebibytes": round(kilobytes / 1024),
        "weights": digest.hexdigest(),
    }


def run(tokenizer: str, size: int) -> dict[str, Any]:
    """One training to the end, and one that is killed on its way and goes on."""
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "text.txt", Path(folder) / "cache"
        make_file(path, size)

        def apart(checkpoint: str, killed: bool = False) -> Any:
            command = [sys.executable, __file__, "--measure", str(path), tokenizer]
            command += [str(Path(folder) / checkpoint), str(int(killed))]
            environment = {**os.environ, "GRUKIT_CACHE": str(cache)}
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if killed and done.returncode == -signal.SIGKILL:
                return None
            if done.returncode:
                raise RuntimeError(done.stderr)
            return json.loads(done.stdout)

        whole = apart("whole")
        (tokens,) = (cache / "data" / "tokens").glob("*.tokens")
        in_tokens = tokens.stat().st_size
        assert apart("killed", killed=True) is None
        resumed = apart("killed")
    return {
        "bytes": size,
        "token_bytes": in_tokens,
        "seconds_to_read": whole["seconds_to_read"],
        "seconds_to_read_again": resumed["seconds_to_read"],
        "peak_mebibytes": max(whole["peak_mebibytes"], resumed["peak_mebibytes"]),
        "resumed": resumed["resumed"],
        "same_weights": whole["weights"] == resumed["weights"],
        **records.circumstances(),
    }


def page(rows: dict[str, Any]) -> str:
    """The documentation page, from the saved rows."""
    lines = [
        f"| {name} | {row['bytes']:,} | {row['token_bytes']:,} | "
        f"{row['seconds_to_read'] / 60:.1f} | {row['seconds_to_read_again'] / 60:.1f} | "
        f"{row['peak_mebibytes'] / 1024:.2f} | {'yes' if row['same_weights'] else 'no'} |"
        for name, row in rows.items()
    ]
    table, row = "\n".join(lines), next(reversed(rows.values()))
    return f"""\
# A text of a gigabyte

A generated text of words with Zipf's frequencies, given to `TextGenerator().fit(path)`. Reading is
learning the tokenizer (byte pairs from pieces of the text), and writing the file of tokens, which
is mapped into memory from then on and is there already when the text is read again. The minutes are
those of the clock, while other work took its share of the core. The memory is the largest that the
process ever held, Python and torch included, over the reading and {UPDATES} updates at the default
sizes. A second training is killed (SIGKILL) after {KILLED_AFTER} updates and resumed; the last
column says whether its weights are, bit for bit, those of the first.

| tokenizer | bytes of text | of tokens | minutes to read | again | peak, GiB | same weights |
| --- | --- | --- | --- | --- | --- | --- |
{table}

From `python benchmarks/large_text.py` on {row["date"]}: {row["machine"]}; Python {row["python"]},
torch {row["torch"]}, grukit {row["grukit"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a small run that writes nothing")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        path, tokenizer, checkpoint, killed = chosen.measure
        print(json.dumps(measure(Path(path), tokenizer, Path(checkpoint), killed == "1")))
        return
    if chosen.short:
        print({name: run(name, SHORT) for name in TOKENIZERS})
        return
    rows = records.read(RESULTS)
    for name in TOKENIZERS:
        if name not in rows:
            rows[name] = run(name, SIZE)
            records.write(RESULTS, rows)
            print(f"{name}: {rows[name]['peak_mebibytes']} MiB")
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
