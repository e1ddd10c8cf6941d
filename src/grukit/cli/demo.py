"""grukit demo: a whole job on real data, from the raw file to the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.demo_generate import generate
from grukit.cli.demo_stocks import stocks
from grukit.cli.demo_weather import weather
from grukit.cli.options import Json, option
from grukit.cli.output import say, show_json


def demo(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="weather, stocks or generate.")
    ] = "weather",
    folder: Annotated[
        Path, option("--folder", "-f", metavar="FOLDER", help="Write below this folder.")
    ] = Path("demo"),
    json: Json = False,
) -> None:
    """Train on real data, score beside baselines, show what comes out. Takes a minute or two."""
    if name not in _DEMOS:
        wanted = " or ".join(_DEMOS)
        raise typer.BadParameter(f"must be {wanted}, got {name!r}", param_hint="NAME")
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    scores, show_scores, words = _DEMOS[name](folder)
    if json:
        show_json({"folder": str(folder), "evaluation": scores})
        return
    show_scores()
    say(words)


_DEMOS = {"weather": weather, "stocks": stocks, "generate": generate}
