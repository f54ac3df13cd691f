"""``deepgen compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepgen.cli.interrupted import keeping
from deepgen.cli.options import Binarise, Root


def command(
    context: typer.Context,
    data: Annotated[str, typer.Option(help="A name from `deepgen data list`, or the path of your own file.")],
    out: Annotated[Path, typer.Option(help="Directory of the comparison: table, page, and each model's own run.")],
    models: Annotated[
        str | None,
        typer.Option(
            help="Names as for `deepgen train`, with commas between, each with options if any: 'vae,vae --prior vamp'; "
            "by default those that fit the data."
        ),
    ] = None,
    budget: Annotated[str, typer.Option(help="Time to train in all, shared out evenly: 90s, 10m, 1h.")] = "10m",
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything drawn.")] = 0,
    binarise: Binarise = None,
    root: Root = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from what is in --out, or begin anew.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Train several models on the same rows for the same time and judge them on the same held-out rows.

    One table and one page: likelihoods with their sides, which are never mixed, and sample quality beside that of real
    rows. A model that fails stays in the table with its reason. Run again, the same command keeps what is done and goes
    on where it was stopped.
    """
    from deepgen.cli.compare.run import compare

    with keeping(out, context.obj or []):
        found = compare(
            data,
            models,
            budget=budget,
            out=out,
            seed=seed,
            binarise=binarise,
            root=root,
            resume=resume,
            progress=not quiet,
        )
    print(found)
    print(f"report: {found.page}")
