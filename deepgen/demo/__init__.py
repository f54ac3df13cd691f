"""The first thing to run: four models of 8 x 8 scanned digits, judged by one number each and shown on one page.

Independent pixels and a mixture of them are the baselines that any model of binary data must beat. RBM 64-20 is small
enough for its partition function to be summed exactly, so the annealed interval printed beside it can be checked; RBM
64-256 is not, and there the interval is all there is.

Nothing is chosen by looking at the test rows: the mixture's size and the epoch at which each RBM is left are those with
the best validation likelihood, and rates and epochs were set on validation rows too.
"""

from __future__ import annotations

from pathlib import Path

from deepgen import data as datasets
from deepgen.cli.threads import fitting_threads
from deepgen.demo.bar import Bar
from deepgen.demo.fits import COMPONENTS, Fitted, independent, machine, mixture
from deepgen.demo.pages import entry, picture
from deepgen.demo.tables import store, table, verdict
from deepgen.random import generator, spawn

__all__ = ["run"]


def run(out: Path, *, seed: int = 0, epochs: int = 300) -> list[Fitted]:
    """Train and judge the four models, print the table, write ``out``/report.html; return what was fitted.

    Args:
        out: directory of the page, the picture, the numbers as JSON, and one trained model each.
        seed: of everything drawn, except that the digits are always split the same way.
        epochs: of each RBM; fewer for a quick look.
    """
    from deepgen.plot import report

    data = datasets.load("digits")
    seeds = [int(g.initial_seed() % 2**31) for g in spawn(generator(seed), 4)]
    with fitting_threads(64 * 256), Bar(2 * epochs + 3 * len(COMPONENTS) + 1) as bar:
        fitted = [
            independent(data, out, bar),
            mixture(data, out, bar, seeds[0]),
            machine(data, out, bar, 20, seeds[1], epochs),
            machine(data, out, bar, 256, seeds[2], epochs),
        ]
        bar.say("drawing")
        entries = [
            entry(f.model, f.name, estimates=f.estimates, history=f.history, settings=f.settings, seed=seeds[3])
            for f in fitted
        ]
        page = report(
            out / "report.html",
            entries,
            data,
            title="Four models of 8 × 8 digits",
            summary="Independent pixels, a mixture of them, and two restricted Boltzmann machines, compared by their "
            "log-likelihood on held-out digits: exact where the sum can be done, an interval where it cannot.",
            facts={"seed": seed, "command": "deepgen demo"},
        )
        picture(data, fitted, entries, out / "samples.png")
        store(fitted, out / "results.json")
    print(table(fitted))
    print(verdict(fitted, data.test))
    print(f"report: {page}")
    return fitted
