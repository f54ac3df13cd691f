"""``deepgen report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepgen.cli.options import Binarise, Root


def command(
    run: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `deepgen train` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Where to; DIR/report.html by default.")] = None,
    data: Annotated[str | None, typer.Option(help="Other data than those it was trained on: a name or a path.")] = None,
    root: Root = None,
    binarise: Binarise = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Chain steps behind each sample and in each traced chain (2000; 500).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples, chains and likelihood.")] = 0,
) -> None:
    """Write one self-contained HTML page: samples, filters, learning curves, chains, likelihood."""
    from deepgen.cli import denoising
    from deepgen.cli.asking import judge, of_rows_alone, rows_of, silent, usual_steps, weights
    from deepgen.cli.baseline import baseline, law
    from deepgen.cli.classified import classified
    from deepgen.cli.pages import entry
    from deepgen.cli.progress import told_of_compiling
    from deepgen.cli.restated import in_words, restated
    from deepgen.cli.rundir import open_run
    from deepgen.cli.threads import fitting_threads
    from deepgen.explicit import ClassRBM
    from deepgen.implicit import CVAE, Autoencoder
    from deepgen.plot import Entry, report
    from deepgen.plot.rows import FEW

    opened = open_run(run)
    rows, why = opened.data(data, root, binarise), silent(opened.model)
    noise = opened.source.get("noise")
    with fitting_threads(weights(opened.model)), told_of_compiling():
        shown = entry(
            opened.model,
            opened.title,
            estimates=[] if not len(rows.test) or why else [judge(opened.model, rows, "test", seed=seed)],
            history=opened.history,
            settings=opened.settings,
            # histograms of columns need many samples, and come cheap where there are few columns
            n=1000 if rows.image_shape is None and rows.event_shape.numel() <= FEW else 64,
            steps=steps or usual_steps(opened.model),
            noise=noise,
            seed=seed,
        )
        judged = len(rows.test) and not why and of_rows_alone(opened.model)
        marks = [baseline(opened.model, rows, rows.test), law(rows, rows.test)] if judged else []
        restored = None
        if isinstance(opened.model, Autoencoder) and len(rows.test):
            restored = denoising.losses(opened.model, rows_of(rows.test), noise, seed=seed).lines(opened.model, noise)
    said = [f"{why[0].upper()}{why[1:]}."] if why else []
    said += [f"On test rows {'; '.join(restored)}.".replace(" -", " −")] if restored else []
    said += ["The likelihood is that of rows given their labels."] if isinstance(opened.model, CVAE) else []
    said += ["The likelihood is that of rows with their labels."] if isinstance(opened.model, ClassRBM) else []
    told = classified(opened.model, rows, "test", {} if data else opened.source) if len(rows.test) else None
    said += [f"Of test rows {line}." for line in (told[1] if told else [])]
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
