"""``deepgen data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What data there is by name, and where it is kept.", no_args_is_help=True)


@app.command("list")
def listing() -> None:
    """List the named data sets: a file of your own (.csv, .npy, .npz, .txt) goes by its path instead."""
    from deepgen import data as datasets

    for line in datasets.listing():
        print(line)


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `deepgen data list`.")],
    root: Annotated[
        Path | None, typer.Option(help="Directory to keep it in; $DEEPGEN_DATA or the user's cache by default.")
    ] = None,
) -> None:
    """Download a data set, check it against its published checksum, and keep it."""
    from deepgen import data as datasets

    print(datasets.fetch(name, root=root))
