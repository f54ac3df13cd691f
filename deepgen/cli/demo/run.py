"""The first thing to run: six models of 8 x 8 scanned digits, judged by likelihood and draws, shown on one page.

Independent pixels and a mixture of them are the baselines that any model of binary data must beat. RBM 64-20 is small
enough for its partition function to be summed exactly, so the annealed interval printed beside it can be checked; RBM
64-256 is not, and there the interval is all there is. Of a VAE there is a lower bound, of a GAN no likelihood at all.

Nothing is chosen by looking at the test rows: the mixture's size and the epoch at which each model is left are those
with the best validation likelihood (of the GAN, with draws nearest to the validation rows; mixtures are left at the
last), and rates and epochs were set on validation rows too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from deepgen import data as datasets
from deepgen.cli.compare import tables
from deepgen.cli.compare.asked import settled
from deepgen.cli.compare.comparison import forget
from deepgen.cli.compare.judged import GROUPS
from deepgen.cli.demo.fits import COMPONENTS, STEPS, Fitted, adversarial, independent, latent, machine, mixture
from deepgen.cli.demo.tables import store, verdict
from deepgen.cli.pages import entry
from deepgen.cli.progress import Bar
from deepgen.cli.threads import fitting_threads
from deepgen.random import generator, spawn
from deepgen.train.lock import held
from deepgen.train.store import MANIFEST

if TYPE_CHECKING:
    from deepgen.data import Data
    from deepgen.plot import Entry

FOLDERS = ("independent", "mixture", "rbm-64-20", "rbm-64-256", "vae", "gan")


def run(out: Path, *, seed: int = 0, epochs: int = 300, resume: bool = True) -> list[Fitted]:
    """Train and judge the models, print the table, write ``out``/report.html; return what was fitted.

    Args:
        out: directory of the page, the picture, the numbers as JSON, and one trained model each.
        seed: of everything drawn, except that the digits are always split the same way.
        epochs: of each RBM, and at most of the others; fewer for a quick look.
        resume: keep the models that ``out`` holds, and go on with the one that was stopped. Mixtures, which take a
            second, are fitted anew, and all models judged anew.

    Raises:
        ArgumentError: ``out`` holds a demo of another seed or number of epochs, or something else.
        CheckpointError: what ``out`` holds is damaged.
        KeyboardInterrupt: Ctrl-C, after what is done was saved.
    """
    with held(out):
        settled(out, {"data": "digits", "seed": seed, "epochs": epochs}, resume=resume)
        if not resume:
            forget(out, FOLDERS)
        elif any((out / name / MANIFEST).exists() for name in FOLDERS):
            print(f"{out} has models of this demo already: what is trained is kept (--fresh trains anew)")
        return _run(out, seed, epochs, resume=resume)


def _run(out: Path, seed: int, epochs: int, *, resume: bool) -> list[Fitted]:
    from deepgen.plot import report

    data = datasets.load("digits")
    parent = generator(seed)
    seeds = [int(g.initial_seed() % 2**31) for g in (*spawn(parent, 4), *spawn(parent, 2))]
    few = [min(epochs, 100), min(epochs, 120)]  # of VAE and GAN
    total = 2 * epochs + 3 * len(COMPONENTS) + 1 + sum(one // 10 for one in few)
    with fitting_threads(64 * 256), Bar(total) as bar:
        fitted = [
            independent(data, out, bar, resume=resume),
            mixture(data, out, bar, seeds[0]),
            machine(data, out, bar, 20, seeds[1], epochs, resume=resume),
            machine(data, out, bar, 256, seeds[2], epochs, resume=resume),
            latent(data, out, bar, seeds[4], few[0], resume=resume),
            adversarial(data, out, bar, seeds[5], few[1], resume=resume),
        ]
        bar.say("drawing")
        fitted = [f.with_quality(data, seeds[3]) for f in fitted]
        entries = [
            entry(
                f.model,
                f.name,
                estimates=f.estimates,
                history=f.history,
                settings=f.settings,
                steps=STEPS,
                seed=seeds[3],
                quality=f.quality,
                group=GROUPS[f.judged.group],
                note="; ".join(f.notes),
            )
            for f in fitted
        ]
        page = report(
            out / "report.html",
            entries,
            data,
            title="Six models of 8 × 8 digits",
            summary="Independent pixels, a mixture of them, two restricted Boltzmann machines, a VAE and a GAN, "
            "compared by their log-likelihood on held-out digits, exact where the sum can be done, an interval or a "
            "bound where it cannot, and by their draws.",
            facts={"seed": seed, "command": "deepgen demo"},
        )
        picture(data, fitted, entries, out / "samples.png")
        store(fitted, out / "results.json")
    judged = [f.judged for f in fitted]
    print(tables.table(judged))
    print(tables.key(judged))
    print(verdict(fitted, data.test))
    print(f"report: {page}")
    return fitted


def picture(data: Data, fitted: Sequence[Fitted], entries: Sequence[Entry], path: Path) -> None:
    """Held-out digits beside samples of the models, on one strip."""
    from deepgen.plot import image_grid, save
    from deepgen.plot.figures import new_figure

    panels = [("held-out digits", data.test)]
    panels += [(f.name, e.samples) for f, e in zip(fitted, entries, strict=True) if e.samples is not None]
    figure = new_figure(150 * len(panels), 175)
    for ax, (name, x) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        room = torch.nn.functional.pad(x[:25].view(-1, 8, 8), (1, 1, 1, 1))  # so that the strokes of two do not touch
        image_grid(room, (10, 10), title=name.partition(",")[0], ax=ax)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.87, 0.06)
    save(figure, path)
