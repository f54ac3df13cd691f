"""The first thing to run: four models of 8 x 8 scanned digits, judged by one number each and shown on one page.

Independent pixels and a mixture of them are the baselines that any model of binary data must beat. RBM 64-20 is small
enough for its partition function to be summed exactly, so the annealed interval printed beside it can be checked; RBM
64-256 is not, and there the interval is all there is.

Nothing is chosen by looking at the test rows: the mixture's size and the epoch at which RBM 64-256 stops are those with the
best validation likelihood, and rates and epochs were set on validation rows too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import deepgen as dg
from deepgen.evaluate import Bracket, Estimate
from deepgen.random import generator, spawn

if TYPE_CHECKING:
    from deepgen.data import Data
    from deepgen.plot import Entry
    from deepgen.train import History

COMPONENTS = (20, 40, 60, 80)
RATE = 0.3  # at the start; it falls to zero
STEPS = 5000  # Gibbs steps behind every sample shown


@dataclass(frozen=True)
class Fitted:
    """One trained model with its learning curve and its test log-likelihoods."""

    name: str
    model: nn.Module
    history: History
    estimates: Sequence[Estimate | Bracket]
    settings: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Of training, on the wall."""
        return self.history[-1].seconds


def run(out: Path, *, seed: int = 0, epochs: int = 300) -> list[Fitted]:
    """Train and judge the four models, print the table, write ``out``/report.html; return what was fitted.

    Args:
        out: directory of the page, the picture, the numbers as JSON, and one trained model each.
        seed: of everything drawn.
        epochs: of each RBM; fewer for a quick look.
    """
    data = dg.data.load("digits")
    seeds = [int(g.initial_seed() % 2**31) for g in spawn(generator(seed), 6)]
    with _Bar(2 * epochs + 3 * len(COMPONENTS) + 1) as bar:
        fitted = [
            _independent(data, out, bar),
            _mixture(data, out, bar, seeds[0]),
            _machine(data, out, bar, 20, seeds[1], epochs),
            _machine(data, out, bar, 256, seeds[2], epochs),
        ]
        bar.say("drawing")
        entries = [
            entry(f.model, f.name, data, estimates=f.estimates, history=f.history, settings=f.settings, seed=seeds[3])
            for f in fitted
        ]
        page = dg.plot.report(
            entries,
            out / "report.html",
            title="Four models of 8 × 8 digits",
            summary="Independent pixels, a mixture of them, and two restricted Boltzmann machines, compared by their "
            "log-likelihood on held-out digits. Exact where the sum can be done, an interval where it cannot.",
            facts={**data.provenance, "seed": seed, "command": "deepgen demo"},
            train=_rows(data.train),
            real=data.test,
            image_shape=data.image_shape,
        )
        _picture(data, fitted, entries, out / "samples.png")
        _store(fitted, out / "results.json")
    print(table(fitted))
    print(verdict(fitted, data.test))
    print(f"report: {page}")
    return fitted


def entry(
    model: nn.Module,
    name: str,
    data: Data,
    *,
    estimates: Sequence[Estimate | Bracket] = (),
    history: History | None = None,
    settings: dict[str, Any] | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Entry:
    """What the report shows of one model: samples, and for an RBM its filters and what its chains did."""
    first, second = spawn(generator(seed), 2)
    shown: dict[str, Any] = {}
    if isinstance(model, dg.explicit.RBM):
        shown = {
            "samples": model.sample(64, steps=steps, generator=first),
            "filters": model,
            "trace": trace(model, steps, second),
        }
    elif isinstance(model, dg.typing.Samples):
        shown = {"samples": model.sample(64, generator=first)}
    return dg.plot.Entry(
        name,
        estimates=list(estimates),
        seconds=history[-1].seconds if history else None,
        history=history if history and len(history) > 1 else None,
        settings=settings or {},
        **shown,
    )


def trace(rbm: dg.explicit.RBM, steps: int, stream: torch.Generator) -> dict[str, Tensor]:
    """Free energy and sum of the visible layer along 8 chains ``[draws, chains]``, from starts that know no data."""
    start = rbm.sample(8, steps=0, generator=stream)
    kept = dg.samplers.sample_chain(rbm.gibbs(), start, draws=500, warmup=steps, thin=max(1, steps // 500), generator=stream)
    with torch.no_grad():
        return {"free energy (nats)": rbm.free_energy(kept.draws), "sum of the visible layer": kept.draws.sum(-1)}


def table(fitted: Sequence[Fitted]) -> str:
    """One line per estimate; an interval shows both its ends."""
    head = ("model", "test log-likelihood", "stderr", "side", "method", "seconds")
    rows = [
        (f.name if i == 0 else "", *_cells(e), f"{f.seconds:.1f}" if i == 0 else "")
        for f in fitted
        for i, e in enumerate(f.estimates)
    ]
    widths = [max(len(row[c]) for row in (head, *rows)) for c in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "nats per example, higher is better; seconds of training"])


def verdict(fitted: Sequence[Fitted], test: Tensor) -> str:
    """The two sentences the demo is there for, from the numbers and whichever way they fall."""
    small, large = fitted[-2], fitted[-1]
    exact = next(e.value for e in small.estimates if isinstance(e, Estimate) and e.side == "exact")
    low, high = next(e for e in small.estimates if isinstance(e, Bracket)).interval()
    inside = "inside" if low <= exact <= high else "OUTSIDE"
    lines = [f"{small.name}: exact {exact:.2f} lies {inside} the 95 % AIS interval [{low:.2f}, {high:.2f}]"]
    floor = next(e for e in large.estimates if isinstance(e, Bracket)).below.value
    for other in fitted[:2]:
        gain, error = _paired(large.model, floor, other.model, test)
        lines.append(f"{large.name} against {other.name}: {gain:+.2f} ± {error:.2f} nats on the same test rows, at least")
    return "\n".join(lines)


def _independent(data: Data, out: Path, bar: _Bar) -> Fitted:
    bar.say("independent pixels")
    model = dg.explicit.BernoulliMixture(64).initialise(_rows(data.train))
    history = _fit(model, data, dg.objectives.ExpectationMaximisation(), out / "independent", bar, epochs=1)
    return Fitted("independent Bernoulli", model, history, [dg.evaluate.log_likelihood(model, data.test)], {})


def _mixture(data: Data, out: Path, bar: _Bar, seed: int) -> Fitted:
    """The size with the best validation likelihood of those in ``COMPONENTS``."""
    tried: list[tuple[float, int, dg.explicit.BernoulliMixture, History]] = []
    for components in COMPONENTS:
        bar.say(f"mixture of {components}")
        model = dg.explicit.BernoulliMixture(64, components).initialise(_rows(data.train), generator=seed)
        history = _fit(model, data, dg.objectives.ExpectationMaximisation(), None, bar, epochs=60, weight=20, seed=seed)
        with torch.no_grad():
            tried.append((float(model.log_prob(data.valid).mean()), components, model, history))
    score, components, model, history = max(tried, key=lambda t: t[0])
    dg.save(model, out / "mixture")
    settings = {"components": components, "chosen among": list(COMPONENTS), "validation log-likelihood": score}
    estimate = dg.evaluate.log_likelihood(model, data.test)
    return Fitted(f"Bernoulli mixture, {components} components", model, history, [estimate], settings)


def _machine(data: Data, out: Path, bar: _Bar, hidden: int, seed: int, epochs: int) -> Fitted:
    """An RBM by persistent contrastive divergence, left at the epoch with the best annealed validation likelihood."""
    name = f"RBM 64-{hidden}"
    bar.say(name)
    base = _rows(data.train)
    model = dg.explicit.RBM(64, hidden, generator=seed).initialise(base)
    options = {"k": 1, "chains": 100, "weight_decay": 0.0}
    history = _fit(
        model,
        data,
        dg.objectives.PersistentCD(**options),
        out / f"rbm-64-{hidden}",
        bar,
        epochs=epochs,
        batch_size=50,
        optimizer=torch.optim.SGD(model.parameters(), lr=RATE),
        schedule=_fall,
        seed=seed,
        valid=data.valid,
        monitor=partial(_annealed, base),
        callbacks=[dg.train.EarlyStopping(patience=epochs)],
    )
    bar.say(f"log Z of {name}")
    estimates: list[Estimate | Bracket] = []
    if hidden <= 20:
        estimates.append(dg.evaluate.log_likelihood(model, data.test, method="exact"))
    estimates.append(
        dg.evaluate.log_likelihood(model, data.test, method="bidirectional", base=base, generator=seed)
    )
    return Fitted(name, model, history, estimates, {**options, "rate": RATE, "epochs": epochs, "seed": seed})


def _fit(
    model: nn.Module,
    data: Data,
    objective: Any,
    out: Path | None,
    bar: _Bar,
    *,
    weight: int = 1,
    batch_size: int | None = None,
    callbacks: Sequence[Any] = (),
    **options: Any,
) -> History:
    extras = {"data": "digits", "binarise": None, "image_shape": [8, 8]}  # for `deepgen evaluate` and its like
    return dg.fit(
        model,
        data.train,
        objective,
        batch_size=batch_size or len(data.train),
        callbacks=[*callbacks, bar.every(weight)],
        out=out,
        resume=False,
        progress=False,
        extras=extras,
        **options,
    )


def _annealed(base: Tensor, model: nn.Module, x: Tensor) -> Estimate | Bracket:
    return dg.evaluate.log_likelihood(model, x, method="ais", base=base, chains=100, temperatures=200, generator=0)


def _fall(done: float) -> float:
    return 1.0 - done


def _rows(split: Any) -> Tensor:
    assert isinstance(split, Tensor)  # the embedded digits are binarised once, not redrawn
    return split


def _cells(estimate: Estimate | Bracket) -> tuple[str, str, str, str]:
    if isinstance(estimate, Bracket):
        low, high = estimate.below, estimate.above
        return f"[{low.value:.2f}, {high.value:.2f}]", f"{low.stderr:.2f}, {high.stderr:.2f}", "interval", "bidirectional AIS"
    return f"{estimate.value:.2f}", f"{estimate.stderr:.2f}", estimate.side, estimate.method


def _paired(large: nn.Module, floor: float, other: nn.Module, test: Tensor) -> tuple[float, float]:
    """Mean difference of log-likelihood from its lower end ``floor``, and its standard error over the test rows.

    log Z is common to all rows, so the error of a difference needs none of it.
    """
    with torch.no_grad():
        mine, theirs = large.log_density(test).double(), other.log_prob(test).double()  # type: ignore[operator]
    error = (mine - theirs).std() / len(test) ** 0.5
    return floor - float(theirs.mean()), float(error)


def _picture(data: Data, fitted: Sequence[Fitted], entries: Sequence[Entry], path: Path) -> None:
    """Held-out digits beside samples of the models, on one strip."""
    from deepgen.plot.figures import new_figure

    panels = [("held-out digits", data.test[:36])]
    panels += [(f.name, e.samples[:36]) for f, e in zip(fitted, entries, strict=True) if e.samples is not None]
    figure = new_figure(170 * len(panels), 195)
    for ax, (name, x) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        dg.plot.image_grid(x, data.image_shape, title=name.split(",")[0], ax=ax)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.87, 0.06)
    dg.plot.save(figure, path)


def _store(fitted: Sequence[Fitted], path: Path) -> None:
    rows = [
        {"model": f.name, "seconds": f.seconds, "settings": f.settings, "estimates": [e.to_dict() for e in f.estimates]}
        for f in fitted
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n")


class _Bar:
    """One bar over all fits, on stderr; a line per stage where stderr is no terminal."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        self.plain = not sys.stderr.isatty()
        self.bar = tqdm(total=total, disable=self.plain, bar_format="{desc:28}{bar} {percentage:3.0f} %  {remaining} left")

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def say(self, what: str) -> None:
        """Name the stage."""
        self.bar.set_description_str(what)
        if self.plain:
            print(f"demo: {what}", file=sys.stderr, flush=True)

    def every(self, weight: int) -> Any:
        """A callback that moves the bar on once in ``weight`` epochs."""

        def advance(record: Any, model: nn.Module) -> None:
            if record.epoch % weight == 0:
                self.bar.update(1)

        return advance
