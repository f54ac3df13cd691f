"""``deepgen report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepgen.cli.options import Root


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `deepgen train` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Where to; DIR/report.html by default.")] = None,
    data: Annotated[str | None, typer.Option(help="Other data than those it was trained on: a name or a path.")] = None,
    root: Root = None,
    steps: Annotated[int, typer.Option(min=1, help="Chain steps behind each sample and in each traced chain.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples, chains and likelihood.")] = 0,
) -> None:
    """Write one self-contained HTML page: samples, filters, learning curves, chains, likelihood."""
    from deepgen.cli.baseline import baseline, law
    from deepgen.cli.pages import entry
    from deepgen.cli.progress import told_of_compiling
    from deepgen.cli.restated import in_words, restated
    from deepgen.cli.rundir import NO_LIKELIHOOD, judge, open_run, weights
    from deepgen.cli.threads import fitting_threads
    from deepgen.implicit import CVAE, GAN
    from deepgen.plot import Entry, report
    from deepgen.plot.rows import FEW

    opened = open_run(run)
    rows, silent = opened.data(data, root), isinstance(opened.model, GAN)
    with fitting_threads(weights(opened.model)), told_of_compiling():
        shown = entry(
            opened.model,
            opened.title,
            estimates=[] if not len(rows.test) or silent else [judge(opened.model, rows, "test", seed=seed)],
            history=opened.history,
            settings=opened.settings,
            # histograms of columns need many samples, and come cheap where there are few columns
            n=1000 if rows.image_shape is None and rows.event_shape.numel() <= FEW else 64,
            steps=steps,
            seed=seed,
        )
        judged = len(rows.test) and not isinstance(opened.model, (CVAE, GAN))  # beside what has log p(x) itself
        marks = [baseline(opened.model, rows, rows.test), law(rows, rows.test)] if judged else []
    said = [NO_LIKELIHOOD[0].upper() + NO_LIKELIHOOD[1:] + "."] if silent else []
    said += ["The likelihood is that of rows given their labels."] if isinstance(opened.model, CVAE) else []
    said += [f"This run is unfinished: {opened.unfinished}."] if opened.unfinished else []
    if again := next((found for found in (restated(e, rows) for e in shown.each_estimate()) if found), None):
        said.append(f"On test rows {in_words(again)}.".replace("-", "−"))
    page = report(
        out or run / "report.html",
        [shown, *(Entry(*mark) for mark in marks if mark)],
        rows,
        title=f"{opened.title} on {rows.provenance['name']}",
        summary=" ".join(said),
        facts={"run": str(run), "seed of this page": seed},
    )
    print(f"report: {page}")
