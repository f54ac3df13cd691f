"""``deepgen report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `deepgen train` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Where to; DIR/report.html by default.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Gibbs steps behind each sample and in each traced chain.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples, chains and likelihood.")] = 0,
) -> None:
    """Write one self-contained HTML page: samples, filters, learning curves, chains, likelihood."""
    import deepgen as dg
    from deepgen.cli.rundir import open_run
    from deepgen.demo import entry

    opened = open_run(run)
    rows = opened.data()
    path = out or run / "report.html"
    shown = entry(opened.model, opened.title, rows, history=opened.history, steps=steps, seed=seed)
    dg.plot.report(path, [shown], rows, title=f"{opened.title} on {rows.provenance['name']}")
    print(f"report in {path}")
