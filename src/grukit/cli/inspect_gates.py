"""grukit inspect --gates: what the units of any model do while it reads an input."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import typer

from grukit.cli.options import read_data
from grukit.cli.output import say, show, show_json, write_frame
from grukit.core.files import write_atomically

_TEXTS = ("classification", "generation", "translation")
# So much of a text and of a recording is read: characters and seconds.
_MOST_CHARACTERS, _MOST_SECONDS = 5_000, 30.0


def inspect_gates(
    model: Any,
    data: str | None,
    future: Path | None,
    text: str | None,
    output: Path | None,
    plot: Path | None,
    page: Path | None,
    json: bool,
) -> None:
    """Print, draw and write the gates."""
    from grukit.insight import gates

    given = _input_of(model, data, future, text)
    records = gates.read_gates(model, given, inside=True)
    report = gates.inspect_gates(records)
    if output:
        from grukit.results.gates import frame_of

        write_frame(frame_of(records), output)
        say(f"wrote {output}")
    if plot:
        from grukit.plots.gates import GatesDisplay

        GatesDisplay(records, report).save(plot)
        say(f"wrote {plot}")
    if page:
        from grukit.plots.gate_page import gate_page

        write_atomically(page, gate_page(records, report, "What the gates did"))
        say(f"wrote {page}")
    if json:
        show_json(report.to_dict())
    elif not output:
        show("\n".join(report.words()))


def _input_of(model: Any, data: str | None, future: Path | None, text: str | None) -> Any:
    from grukit.data.texts import pieces

    if future is not None and model.task != "forecast":
        raise typer.BadParameter(f"--future is not for a model of task {model.task!r}")
    if model.task in _TEXTS:
        if (text is None) == (data is None):
            raise typer.BadParameter("a model of texts takes DATA or --text")
        # The first piece of a file, of up to a megabyte, is more than enough.
        given = next(pieces(Path(str(data))), ("", 0))[0] if text is None else text
        if len(given) > _MOST_CHARACTERS:
            say(f"the first {_MOST_CHARACTERS:,} characters are read")
        return given[:_MOST_CHARACTERS]
    if text is not None:
        raise typer.BadParameter(f"--text is not for a model of task {model.task!r}")
    if model.task == "forecast":
        return None if data is None else read_data(data), future
    if data is None:
        raise typer.BadParameter(f"a model of task {model.task!r} takes DATA")
    return _beginning(model, Path(data)) if model.task == "speech" else read_data(data)


def _beginning(model: Any, recording: Path) -> Any:
    """A recording, or the first half minute of a longer one."""
    from grukit.data.audio import audio_blocks

    if model.reader_.features is None:
        return recording
    blocks: Any = audio_blocks(recording, model.rate, _MOST_SECONDS)
    with closing(blocks):
        samples = next(blocks)
        if next(blocks, None) is not None:
            say(f"the first {_MOST_SECONDS:g} seconds are read")
    return samples, model.rate
