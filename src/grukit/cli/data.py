"""grukit data: the catalog of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Json, download_bar, option
from grukit.cli.output import say, show, show_json, table

app = typer.Typer(
    no_args_is_help=True, help="Real data sets: list them, fetch one, say where it lies."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from grukit data list.")]


@app.command("list")
def list_(json: Json = False) -> None:
    """List the data sets, and where this machine has them."""
    from grukit.data import catalog

    records = []
    for dataset in catalog.available():
        copy = catalog.locate(dataset.name)
        records.append(
            {
                "name": dataset.name,
                "title": dataset.title,
                "licence": dataset.licence,
                "origin": dataset.origin,
                "bytes": dataset.size,
                "sha256": dataset.sha256,
                "url": dataset.url,
                "package": dataset.package.name if dataset.package else None,
                "source": copy.source if copy else None,
                "path": str(copy.path) if copy else None,
            }
        )
    if json:
        show_json(records)
        return
    rows = [("NAME", "WHERE", "LICENCE", "WHAT")]
    rows += [
        (record["name"], _where(record), record["licence"], record["title"]) for record in records
    ]
    show(table(rows))


@app.command()
def fetch(
    name: Name,
    folder: Annotated[
        Path | None,
        option("--folder", "-f", metavar="FOLDER", help="Put it here instead of in the cache."),
    ] = None,
) -> None:
    """Get a data set, unless this machine has it, and print where it lies."""
    from grukit.data import catalog

    if folder is not None and not folder.is_dir():
        raise typer.BadParameter(f"there is no folder {folder}", param_hint="--folder")
    with download_bar(name) as progress:
        path = catalog.fetch(name, folder, progress)
    dataset = catalog.find(name)
    say(f"{dataset.title}; origin: {dataset.origin}; licence: {dataset.licence}")
    show(str(path))


@app.command()
def path(name: Name) -> None:
    """Print where this machine has a data set; fail if it has not."""
    from grukit.data import catalog

    show(str(catalog.path(name)))


def _where(record: dict) -> str:
    if record["source"]:
        return record["source"]
    return "to download" if record["url"] else f"pip install {record['package']}"
