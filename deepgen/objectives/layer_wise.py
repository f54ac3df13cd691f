"""Greedy training of a deep belief network: each machine of the stack learns the hidden units of the one below.

    x_0 = v,     x_(l+1) ~ q(x_(l+1) | x_l),     machine l takes a contrastive step on x_l

All machines step at once, each on units drawn from the one below as it is by now, so that one run trains the whole
stack, is resumed as one, and ends with one falling rate. To train them one after the other, each to its end, there is
`deepgen.explicit.rbm_stack`. Source: Hinton, Osindero & Teh 2006, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.explicit.dbn import DBN
from deepgen.objectives.contrastive import Contrastive, ContrastiveDivergence
from deepgen.objectives.contrastive_step import ContrastiveState
from deepgen.train.history import Record
from deepgen.typing import Update


class Levels(NamedTuple):
    """levels: the state of each machine, lowest first."""

    levels: tuple[ContrastiveState, ...]


@dataclass(frozen=True)
class LayerWise:
    """Contrastive training of all machines of a `DBN` with a tied way up, each on draws of the one below.

    The metrics are ``moment_gap`` of the lowest machine, see `PersistentCD`, ``moment_gap_2`` of the next, and so on.

    Args:
        objective: of each machine, `PersistentCD` or `ContrastiveDivergence`.

    >>> import deepgen as dg
    >>> dbn, x = dg.explicit.DBN(6, [4, 3], generator=0), torch.eye(6)
    >>> history = dg.fit(dbn, x, LayerWise(dg.objectives.PersistentCD(chains=10)), epochs=2, progress=False)
    >>> list(history[-1].metrics)
    ['moment_gap', 'autocorrelation', 'moment_gap_2', 'autocorrelation_2']
    """

    objective: Contrastive = field(default_factory=ContrastiveDivergence)

    def __post_init__(self) -> None:
        if not isinstance(self.objective, Contrastive):
            raise ArgumentError(
                f"objective must be PersistentCD or ContrastiveDivergence, got {type(self.objective).__name__}"
            )

    @torch.no_grad()
    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Levels:
        """The states of the machines, each at units drawn from the one below given random rows of the data ``x``."""
        dbn, found = as_dbn(model, untied=False), []
        each: Any = self.objective
        dbn.check(x)
        for level, rbm in enumerate(dbn.rbms):
            found.append(each.start(rbm, x, generator=generator))
            if level + 1 < len(dbn.rbms):
                x = drawn_above(dbn, level, x.to(rbm.weight), generator)
        return Levels(tuple(found))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: go up, and let each machine step by ``optimizer``."""
        dbn = as_dbn(model, untied=False)
        steps = [self.objective.update(rbm, optimizer) for rbm in dbn.rbms]

        def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
            after: list[ContrastiveState] = []
            metrics: dict[str, Tensor] = {}
            for level, (rbm, one) in enumerate(zip(dbn.rbms, steps, strict=True)):
                x = batch.to(rbm.weight)
                if level + 1 < len(dbn.rbms):
                    batch = drawn_above(dbn, level, x, generator)
                moved, found = one(state.levels[level], x, generator=generator)
                after.append(moved)
                metrics |= {f"{name}{_suffix(level)}": value for name, value in found.items()}
                for parameter in rbm.parameters():
                    parameter.grad = None  # or the steps of the others would take it again
            return Levels(tuple(after)), metrics

        return step

    def watch(self) -> LevelWatch:
        """What ``objective`` watches, in each machine."""
        return LevelWatch(self.objective)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Plain SGD at the rate that is safe for all machines, see `PersistentCD`."""
        each = [self.objective.optimizer(rbm) for rbm in as_dbn(model, untied=False).rbms]
        rate = min(group["lr"] for one in each for group in one.param_groups)
        return torch.optim.SGD([p for one in each for group in one.param_groups for p in group["params"]], lr=rate)


def _suffix(level: int) -> str:
    """Of the metrics' names of a machine, the lowest being 0."""
    return f"_{level + 1}" if level else ""


class LevelWatch:
    """Called by `deepgen.fit` with every epoch's record: what ``objective`` watches, in each machine on its own.

    >>> from deepgen.objectives import ParallelTempering
    >>> LevelWatch(ParallelTempering())(Record(1, 10, 0.0, 0.0, {"rare": 0.5, "rare_2": 0.5}), DBN(6, [4, 3]))
    """

    def __init__(self, objective: Contrastive) -> None:
        self.objective = objective
        self.watches: list[Callable[[Record, nn.Module], None]] = []

    def __call__(self, record: Record, model: nn.Module) -> None:
        make = getattr(self.objective, "watch", None)
        if make is None:
            return
        rbms = as_dbn(model, untied=False).rbms
        self.watches = self.watches or [make() for _ in rbms]
        upper = tuple(_suffix(level) for level in range(1, len(rbms)))
        names = [name for name in record.metrics if not (upper and name.endswith(upper))]
        for level, (watch, rbm) in enumerate(zip(self.watches, rbms, strict=True)):
            watch(replace(record, metrics={name: record.metrics[f"{name}{_suffix(level)}"] for name in names}), rbm)


def as_dbn(model: nn.Module, *, untied: bool) -> DBN:
    """Return ``model`` if it is a `DBN` whose way up is as it should be, or raise `MissingCapability`."""
    if not isinstance(model, DBN):
        raise MissingCapability(
            f"this trains a DBN, got {type(model).__name__}; an RBM or a DBM is trained by PersistentCD"
        )
    if untied and not model.untied and len(model.rbms) > 1:
        raise MissingCapability("the way up must have weights of its own to be trained: call dbn.untie() first")
    if model.untied and not untied:
        raise MissingCapability(
            "layer-wise training is for a tied way up, and this DBN has weights of its own for it: train it by UpDown"
        )
    return model


@torch.no_grad()
def drawn_above(dbn: DBN, level: int, x: Tensor, generator: torch.Generator) -> Tensor:
    """x_(level+1) ~ q(. | x_level): ``[rows, width]``."""
    guess = dbn.above(level, x)
    return guess.units.sample(guess.field, generator=generator)
