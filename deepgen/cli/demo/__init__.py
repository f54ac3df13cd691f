"""``deepgen demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepgen.cli.interrupted import keeping


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Directory for report.html, the pictures and the trained models.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything drawn.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from what is in --out, or train all anew.")
    ] = True,
) -> None:
    """Train and judge six models of small scanned digits (3 minutes): one table, one report page.

    Run again, the same command keeps the models that are trained, goes on where it was stopped, and judges all anew.
    """
    from deepgen.cli.demo.run import run

    with keeping(out, context.obj or []):
        run(out, seed=seed, resume=resume)
