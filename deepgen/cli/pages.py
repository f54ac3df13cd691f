"""What a report page shows of a model, for `deepgen report` and the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.rundir import draw
from deepgen.evaluate import Bracket, Estimate
from deepgen.explicit import RBM
from deepgen.explicit.tokens import TokenModel
from deepgen.implicit import CVAE
from deepgen.random import generator, spawn
from deepgen.samplers import sample_chain
from deepgen.typing import Samples

if TYPE_CHECKING:
    from deepgen.plot import Entry
    from deepgen.train import History

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
        shown = {"samples": samples, "filters": model, "trace": trace(model, steps, second)}
    elif isinstance(model, TokenModel):
        shown = {"samples": torch.tensor([list(model.stream(length=LETTERS, generator=first))])}
    elif isinstance(model, (CVAE, Samples)):
        shown = {"samples": draw(model, n, steps=steps, seed=first)}
    return Entry(
        name,
        estimates=list(estimates),
        seconds=history[-1].seconds if history else None,
        history=history if history and len(history) > 1 else None,
        settings=settings or {},
        **shown,
        **more,
    )


def trace(rbm: RBM, steps: int, stream: torch.Generator) -> dict[str, Tensor]:
    """Free energy and sum of the visible layer along 8 chains ``[500 draws, 8]``, from starts that know no data."""
    start = rbm.sample(8, steps=0, generator=stream)
    thin = max(1, steps // 500)
    draws = sample_chain(rbm.gibbs(), start, draws=500, warmup=steps, thin=thin, generator=stream).draws
    with torch.no_grad():
        return {"free energy (nats)": rbm.free_energy(draws), "sum of the visible layer": draws.sum(-1)}
