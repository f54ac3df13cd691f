"""From the options of ``deepgen train`` to a model, its objective and what is watched while it learns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.cli.rundir import rows_of
from deepgen.errors import ArgumentError, DegenerateWeights, unknown_name
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.explicit import RBM, BernoulliMixture, Gaussian
from deepgen.objectives import ExpectationMaximisation, PersistentCD
from deepgen.typing import Objective

if TYPE_CHECKING:
    from deepgen.data import Data

WATCHED = 200  # validation rows behind the curve of a model that has no cheap likelihood


@dataclass(frozen=True)
class Recipe:
    """What `deepgen.fit` needs. ``monitored`` says whether there is anything to watch on validation rows."""

    model: nn.Module
    objective: Objective
    epochs: int
    batch: int
    optimizer: torch.optim.Optimizer | None = None
    schedule: Callable[[float], float] | None = None
    monitor: Callable[[nn.Module, Tensor], Estimate | Bracket] | None = None
    monitored: bool = True


def build(name: str, data: Data, options: Mapping[str, Any]) -> Recipe:
    """The recipe for ``rbm``, ``bernoulli`` or ``mixture`` on ``data``."""
    return _rbm(data, options) if name == "rbm" else _mixture(data, options)


def _rbm(data: Data, options: Mapping[str, Any]) -> Recipe:
    features = data.event_shape.numel()
    if options["visible"] not in ("bernoulli", "gaussian"):
        raise unknown_name("kind of visible units", options["visible"], ("bernoulli", "gaussian"))
    gaussian = options["visible"] == "gaussian"
    if gaussian and data.support is not constraints.real:
        raise ArgumentError(f"--visible gaussian is for real values; these lie in {_name(data.support)}: leave it out")
    if not gaussian and not _binary(data):
        raise ArgumentError(f"bernoulli units take only zeros and ones; these lie in {_name(data.support)}: {_ADVICE}")
    visible = Gaussian(features) if gaussian else features
    if not options["rate"] > 0:
        raise ArgumentError(f"--rate must be above 0, got {options['rate']}")
    model = RBM(visible, options["hidden"], generator=options["seed"]).initialise(rows_of(data.train))
    monitor = partial(annealed, rows_of(data.train)) if options["patience"] else _pseudo if _binary(data) else None
    return Recipe(
        model=model,
        objective=PersistentCD(k=options["k"], chains=options["chains"], weight_decay=options["weight_decay"]),
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=torch.optim.SGD(model.parameters(), lr=options["rate"]),
        schedule=fall,
        monitor=monitor,
        monitored=monitor is not None,
    )


def _mixture(data: Data, options: Mapping[str, Any]) -> Recipe:
    if not _binary(data):
        raise ArgumentError(f"this model takes zeros and ones; these lie in {_name(data.support)}: {_ADVICE}")
    components = options.get("components", 1)
    model = BernoulliMixture(data.event_shape.numel(), components)
    model.initialise(rows_of(data.train), generator=options["seed"])
    # a single component starts at its answer, so one step is all
    epochs = options["epochs"] if components > 1 else 1
    return Recipe(model, ExpectationMaximisation(), epochs, batch=len(data.train))


_ADVICE = (
    "turn them into bits with --binarise threshold (or fixed, or dynamic), or train an rbm with --visible gaussian"
)


def fall(done: float) -> float:
    """The learning rate falls in a straight line to zero, which ends the noise of the chains (Robbins & Monro)."""
    return 1.0 - done


def _binary(data: Data) -> bool:
    return data.support is constraints.boolean


def _name(support: Any) -> str:
    if support is constraints.real:
        return "the real numbers"
    low, high = getattr(support, "lower_bound", None), getattr(support, "upper_bound", None)
    return f"[{low:g}, {high:g}]" if low is not None and high is not None else str(support)


def _pseudo(model: nn.Module, x: Tensor) -> Estimate | Bracket:
    return log_likelihood(model, x[:WATCHED], method="pseudo", generator=0)


def annealed(base: Tensor, model: nn.Module, x: Tensor) -> Estimate | Bracket:
    """A quick AIS log-likelihood to compare epochs by. Its own noise is the same for all, as its seed is.

    A warning at every epoch would say no more than its ``stderr`` in the history does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWeights)
        return log_likelihood(model, x, method="ais", base=base, chains=100, temperatures=200, generator=0)
