"""``deepgen demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Option(help="Directory for report.html, the pictures and the trained models.")] = Path(
        "runs/demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything drawn.")] = 0,
) -> None:
    """Train and judge six models of small scanned digits (3 minutes): one table, one report page."""
    from deepgen.cli.demo.run import run

    run(out, seed=seed)
