"""What a report page shows of a model; `deepgen report` uses it too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.evaluate import Bracket, Estimate
from deepgen.explicit import RBM
from deepgen.random import generator, spawn
from deepgen.samplers import sample_chain
from deepgen.typing import Samples

if TYPE_CHECKING:
    from deepgen.data import Data
    from deepgen.demo.fits import Fitted
    from deepgen.plot import Entry
    from deepgen.train import History

STEPS = 5000  # Gibbs steps behind every sample shown


def entry(
    model: nn.Module,
    name: str,
    *,
    estimates: Sequence[Estimate | Bracket] = (),
    history: History | None = None,
    settings: dict[str, Any] | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Entry:
    """Samples, learning curve and estimates of ``model``, and for an RBM its filters and what its chains did."""
    from deepgen.plot import Entry

    first, second = spawn(generator(seed), 2)
    shown: dict[str, Any] = {}
    if isinstance(model, RBM):
        samples = model.sample(64, steps=steps, generator=first)
        shown = {"samples": samples, "filters": model, "trace": trace(model, steps, second)}
    elif isinstance(model, Samples):
        shown = {"samples": model.sample(64, generator=first)}
    return Entry(
        name,
        estimates=list(estimates),
        seconds=history[-1].seconds if history else None,
        history=history if history and len(history) > 1 else None,
        settings=settings or {},
        **shown,
    )


def trace(rbm: RBM, steps: int, stream: torch.Generator) -> dict[str, Tensor]:
    """Free energy and sum of the visible layer along 8 chains ``[500 draws, 8]``, from starts that know no data."""
    start = rbm.sample(8, steps=0, generator=stream)
    thin = max(1, steps // 500)
    draws = sample_chain(rbm.gibbs(), start, draws=500, warmup=steps, thin=thin, generator=stream).draws
    with torch.no_grad():
        return {"free energy (nats)": rbm.free_energy(draws), "sum of the visible layer": draws.sum(-1)}


def picture(data: Data, fitted: Sequence[Fitted], entries: Sequence[Entry], path: Path) -> None:
    """Held-out digits beside samples of the models, on one strip."""
    from deepgen.plot import image_grid, save
    from deepgen.plot.figures import new_figure

    panels = [("held-out digits", data.test)]
    panels += [(f.name, e.samples) for f, e in zip(fitted, entries, strict=True) if e.samples is not None]
    figure = new_figure(170 * len(panels), 195)
    for ax, (name, x) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        room = torch.nn.functional.pad(x[:25].view(-1, 8, 8), (1, 1, 1, 1))  # so that the strokes of two do not touch
        image_grid(room, (10, 10), title=name.partition(",")[0], ax=ax)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.87, 0.06)
    save(figure, path)
