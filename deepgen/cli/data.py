"""``deepgen data``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What data there is by name, and where it is kept.", no_args_is_help=True)


@app.command("list")
def listing() -> None:
    """List the data sets that --data takes by name. Your own .csv, .npy, .npz or text file goes by its path."""
    from deepgen import data as datasets

    head = ("name", "rows (train/valid/test)", "features", "values", "where from")
    rows = [
        (name, entry.rows, str(entry.features), entry.values, _origin(name, entry.needs_files))
        for name, entry in datasets.names().items()
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `deepgen data list` marks with fetch.")],
    root: Annotated[Path | None, typer.Option(help="Folder to keep it in; $DEEPGEN_DATA by default.")] = None,
) -> None:
    """Download a data set, check it against its published checksum, and keep it."""
    from deepgen import data as datasets

    for path in datasets.fetch(name, root, progress=sys.stderr.isatty()):
        print(path)


def _origin(name: str, needs_files: bool) -> str:
    from deepgen.data.downloads import REMOTES

    if not needs_files:
        return "built in"
    return "files in $DEEPGEN_DATA, or fetch" if name in REMOTES else "files in $DEEPGEN_DATA"
