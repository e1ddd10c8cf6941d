"""The documentation page of native_speed.py, from its saved rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from native_targets import (
    Row,
    beside_best,
    best_peer,
    faster,
    fraction,
    of,
    targets,
)


def page(results: dict[str, Any]) -> str:
    """The page: targets, every figure, and what they were measured with."""
    rows, about = results["rows"], results["about"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"""\
# Speed of the native core

`grukit.nn` beside other libraries on a CPU: one layer with as many inputs as units, float32 where
nothing else is said, on at most {about["threads"]} threads; times in milliseconds; T time,
B batch, H input and hidden size. Training is forward and backward for the gradients of the inputs
and of every weight. "x best" is how many times faster grukit is than the fastest of the other
libraries in float32.
Each library computes what `torch.nn` does in float64 for the same weights and inputs, or there
would be no page.

## Targets

{_targets(rows)}

## Training

{_training(of(rows, "GRU", "training"))}

## Inference

{_inference(of(rows, "GRU", "inference"))}

## One step of a stream

T, B, H = 1, 1, {rows["step"]["size"][2]}, in microseconds; the state goes in and comes out. All but
"in C" are called from Python: grukit as `layer.step`, torch as `torch.nn.GRU`.

{_step(rows["step"])}

## LSTM and RNN

{_others(rows)}

## bfloat16

Training, beside grukit in float32.

{_bfloat16(rows)}

## int8

The largest deviation of the output from float64 over 1000 steps: weights as they are drawn by
default, standard normal inputs. (The deviations of every other figure are in the saved rows.)

{_int8(rows)}{_weather_int8(rows)}

## Memory

The peak of a training step at T, B, H = {_size(rows["memory"])}, above x, the weights and their
gradients: the largest resident size of a fresh process.

{_memory(rows["memory"])}

## The weather demo

The seconds of the training of `make demo`, from the table to the fitted model.

{_weather(rows["weather"]["seconds"])}

## How it is measured

Each library runs in a process of its own, that sleeps while others run, in blocks: warmed for
0.3 s, then the median of the calls of 0.2 s, at least five. Blocks of all libraries alternate; the
figures are medians over three rounds. "noise" is torch measured against itself: {_noise(rows)} over
all rows.

Each is set up as its documentation advises: JAX as a compiled `lax.scan` over a projection made at
once, Keras on TensorFlow with or without XLA, whichever is faster, ONNX Runtime with all
optimizations and bound buffers, OpenVINO with the latency hint and in float32, torch's int8 by
`quantize_dynamic`.

The roofline is the least time that the machine would allow. The products over all steps are bound
by arithmetic; the recurrence, forward and backward, by the slower of its arithmetic and reading
the recurrent weights at every step. Rates are probed by a C program at the start of the run, on as
many threads as grukit chooses for the call. Traffic of activations and the gates' functions count
as nothing.

{_probe(results["probe"])}

From `python benchmarks/native_speed.py` on {about["date"]}: {about["machine"]};
{about["cpu"]};
Python {about["python"]}; {versions}.
{_core(about["core"])}
"""


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _targets(rows: dict[str, Row]) -> str:
    lines = []
    for target in targets(rows):
        digits = 3 if not target.unit else 2
        found = "" if target.found is None else f"{target.found:.{digits}f}{target.unit}"
        limit = f"{'at most' if target.at_most else 'at least'} {target.wanted:g}{target.unit}"
        lines.append([target.what, limit, found, target.verdict])
    return table(["what", "wanted", "measured", ""], lines)


def _training(rows: list[Row]) -> str:
    libraries = ["grukit", "torch", "JAX", "Keras"]
    header = ["T, B, H", *libraries, "x torch", "x best", "best", "of roofline", "threads", "noise"]
    return table(header, [_line(row, libraries, _times(faster(row, "torch"))) for row in rows])


def _inference(rows: list[Row]) -> str:
    libraries = ["grukit", "torch", "ONNX Runtime", "OpenVINO", "grukit int8", "torch int8"]
    header = ["T, B, H", *libraries, "int8 x best", "x best", "best", "of roofline", "threads"]
    lines = [_line(row, libraries, _times(beside_best(row, "grukit int8"))) for row in rows]
    return table([*header, "noise"], lines)


def _line(row: Row, libraries: list[str], ratio: str) -> list[str]:
    threads = row.get("threads", ["-"])
    return [
        _size(row),
        *(_ms(row, library) for library in libraries),
        ratio,
        _times(beside_best(row)),
        best_peer(row),
        _percent(fraction(row)),
        str(threads[0]) if len(set(threads)) == 1 else " / ".join(map(str, threads)),
        _times(faster(row, "torch again", "torch")),
    ]


def _step(row: Row) -> str:
    lines = []
    for name, time in row["times"].items():
        if name != "torch again":
            lines.append([name, f"{1000 * time:.2f}", _times(faster(row, "ONNX Runtime", name))])
    lines += [[name, "-", reason] for name, reason in row["refused"].items()]
    words = f"\n\nThe share of the roofline in C is {_percent(fraction(row))}."
    return table(["", "microseconds", "x ONNX Runtime"], lines) + words


def _others(rows: dict[str, Row]) -> str:
    header = ["layer", "T, B, H", "training: grukit", "torch", "x torch", "noise"]
    header += ["inference: grukit", "torch", "x torch", "noise"]
    lines = []
    for kind in ("LSTM", "RNN"):
        by_use = {
            use: {tuple(row["size"]): row for row in of(rows, kind, use)}
            for use in ("training", "inference")
        }
        for size in dict.fromkeys([*by_use["training"], *by_use["inference"]]):
            line = [kind, ", ".join(map(str, size))]
            for use in ("training", "inference"):
                row = by_use[use].get(size)
                line += [""] * 4 if row is None else [
                    _ms(row, "grukit"),
                    _ms(row, "torch"),
                    _times(faster(row, "torch")),
                    _times(faster(row, "torch again", "torch")),
                ]  # fmt: skip
            lines.append(line)
    return table(header, lines)


def _bfloat16(rows: dict[str, Row]) -> str:
    lines = [
        [
            _size(row),
            _ms(row, "grukit"),
            _ms(row, "grukit bf16"),
            row["refused"].get("grukit bf16") or _times(faster(row, "grukit", "grukit bf16")),
        ]
        for name, row in rows.items()
        if name.startswith("bf16 ")
    ]
    return table(["T, B, H", "float32", "bfloat16", "x float32"], lines)


def _int8(rows: dict[str, Row]) -> str:
    lines = []
    for name, row in rows.items():
        if name.startswith("int8 "):
            found = row["deviations"].get("grukit int8")
            reason = row["refused"].get("grukit int8", "-")
            lines.append([_size(row), f"{found['absolute']:.4f}" if found else reason])
    return table(["T, B, H", "largest deviation"], lines)


def _weather_int8(rows: dict[str, Row]) -> str:
    """Nothing for rows that were saved before there was such a row."""
    if "weather int8" not in rows:
        return ""
    row = rows["weather int8"]
    words = "\n\nThe model of the weather demo, on the four weeks that it never saw in training"
    if "refused" in row:
        return f"{words}: {row['refused']}."
    lines = [
        [name, f"{value:.4g}", f"{row['int8'][name]:.4g}", f"{100 * row['change'][name]:.2f} %"]
        for name, value in row["float32"].items()
    ]
    return f"{words}.\n\n{table(['metric', 'float32', 'int8', 'change'], lines)}"


def _memory(row: Row) -> str:
    peaks = row["bytes"]
    lines = [
        [name, f"{size / 2**20:.0f} MiB", f"{size / peaks['torch']:.2f}x"]
        for name, size in peaks.items()
        if "torch" in peaks
    ]
    lines += [[name, "-", reason] for name, reason in row["refused"].items()]
    return table(["", "peak", "of torch's"], lines)


def _weather(seconds: dict[str, float]) -> str:
    names = {
        "grukit": "grukit",
        "reference": "with GRUKIT_BACKEND=reference",
        "torch": "the same network on torch.nn.GRU",
    }
    lines = [
        [names[name], f"{took:.1f} s", f"{took / seconds['grukit']:.2f}x"]
        for name, took in seconds.items()
    ]
    return table(["", "training", "of grukit's time"], lines)


def _probe(probed: dict[str, Any] | None) -> str:
    if probed is None:
        return "There is no C compiler here, so there is no roofline."
    sizes = {"16 KiB": 2**14, "512 KiB": 2**19, "4 MiB": 2**22, "64 MiB": 2**26}
    lines = [
        [
            count,
            f"{rate / 1e9:.0f}",
            *(f"{probed['reads'][count][str(size)] / 1e9:.0f}" for size in sizes.values()),
        ]
        for count, rate in probed["flops"].items()
    ]
    header = ["threads", "GFLOP/s", *(f"GB/s, {size} each" for size in sizes)]
    return table(header, lines)


def _core(core: dict[str, Any]) -> str:
    if "missing" in core:
        return f"There was no native core: {core['missing']}."
    return f"The native core runs on {core['isa']} (of {', '.join(core['isas'])})."


def _noise(rows: dict[str, Row]) -> str:
    found = [faster(row, "torch again", "torch") for row in rows.values() if "times" in row]
    ratios = [ratio for ratio in found if ratio is not None]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def _size(row: Row) -> str:
    return ", ".join(str(part) for part in row["size"])


def _ms(row: Row, library: str) -> str:
    time = row["times"].get(library)
    if time is None:
        return "-"
    return f"{time:.3f}" if time < 1 else f"{time:.2f}" if time < 10 else f"{time:.1f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
