"""What a report page shows of a model, for `deepgen report` and the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.asking import draw
from deepgen.cli.units import columns
from deepgen.evaluate import Bracket, Estimate
from deepgen.explicit import DBM, DBN, RBM
from deepgen.explicit.tokens import TokenModel
from deepgen.implicit import CVAE, GAN, Autoencoder
from deepgen.plot.quantities import quantity
from deepgen.random import generator, spawn
from deepgen.samplers import sample_chain
from deepgen.train import History
from deepgen.typing import Samples

if TYPE_CHECKING:
    from deepgen.plot import Entry
    from deepgen.train import Record

LETTERS = 800  # of a text


def entry(
    model: nn.Module,
    name: str,
    *,
    estimates: Sequence[Estimate | Bracket] = (),
    history: History | None = None,
    settings: dict[str, Any] | None = None,
    n: int = 64,
    steps: int,
    seed: int,
    noise: float | None = None,
    **more: Any,
) -> Entry:
    """Samples, learning curve and estimates of ``model``, and for an RBM its filters and what its chains did.

    Of a model of tokens one sample of `LETTERS` tokens, as it writes on. ``more`` are other fields of the entry.
    """
    from deepgen.plot import Entry

    first, second = spawn(generator(seed), 2)
    shown: dict[str, Any] = {}
    if isinstance(model, RBM):
        samples = draw(model, n, steps=steps, seed=first)
        shown = {"samples": samples, "trace": trace(model, steps, second)}
        if model.visible.width == columns(model):  # of one-hot groups a unit's weights are no picture
            shown["filters"] = model
    elif isinstance(model, (DBM, DBN)):
        shown = {"samples": draw(model, n, steps=steps, seed=first)}
    elif isinstance(model, TokenModel):
        shown = {"samples": torch.tensor([list(model.stream(length=LETTERS, generator=first))])}
    elif isinstance(model, (CVAE, Samples)) or (isinstance(model, Autoencoder) and noise):
        shown = {"samples": draw(model, n, steps=steps, seed=first, noise=noise)}
    return Entry(
        name,
        estimates=list(estimates),
        seconds=history[-1].seconds if history else None,
        history=drawn(history, type(model)),
        monitors=history,
        settings=settings or {},
        **shown,
        **more,
    )


# Of models whose monitor is no likelihood, and stands apart from one: what minus the monitor is, and metrics shown.
_APART = {
    GAN: (
        "kernel distance of draws from validation rows, no unit",
        {"told_apart": "pairs told apart", "diversity": "diversity of draws"},
    ),
    Autoencoder: (
        "reconstruction loss of validation rows, nats per example",
        {"reconstruction_loss": "reconstruction loss in training, nats per example"},
    ),
}


def drawn(history: History | None, model: type) -> Any:
    """What a page draws of the ``history`` of such a model: all, or of one without a likelihood what is named.

    >>> from deepgen.train import History, Record
    >>> metrics = {"told_apart": 0.6, "diversity": 0.9, "penalty": 0.1}
    >>> game = History([Record(epoch, epoch, 0.1, 0.1, metrics, monitor=-2.0) for epoch in (1, 2)])
    >>> drawn(game, GAN)["kernel distance of draws from validation rows, no unit"]
    [2.0, 2.0]
    """
    if history is None or len(history) < 2:
        return None
    if model not in _APART:
        return history
    watched, named = _APART[model]
    shown = {name: [record.metrics[key] for record in history] for key, name in named.items()}
    far = [None if record.monitor is None else -record.monitor for record in history]
    passes = history["passes"]
    clock = {"epoch": history["epoch"], **({} if None in passes else {"passes": passes})}
    return {**clock, watched: far, **shown}


def figures(record: Record, model: type) -> list[tuple[str, float, str]]:
    """What a line tells of an epoch: names, values and units, the monitor by what it is.

    >>> from deepgen.train import Record
    >>> figures(Record(1, 1, 0.1, 0.1, {"told_apart": 0.6}, monitor=-3162.0), GAN)
    [('told apart', 0.6, ''), ('kernel distance of draws from validation rows, no unit:', 3162.0, '')]
    """
    told = [(quantity(name).title, value, quantity(name).unit) for name, value in record.metrics.items()]
    if record.monitor is None:
        return told
    if model in _APART:
        return [*told, (f"{_APART[model][0]}:", -record.monitor, "")]
    watched = quantity("monitor", History([record]))
    return [*told, (watched.title, record.monitor, watched.unit)]


def trace(rbm: RBM, steps: int, stream: torch.Generator) -> dict[str, Tensor]:
    """Free energy and sum of the visible layer along 8 chains ``[500 draws, 8]``, from starts that know no data."""
    start = rbm.sample(8, steps=0, generator=stream)
    thin = max(1, steps // 500)
    draws = sample_chain(rbm.gibbs(), start, draws=500, warmup=steps, thin=thin, generator=stream).draws
    with torch.no_grad():
        return {"free energy (nats)": rbm.free_energy(draws), "sum of the visible layer": draws.sum(-1)}
