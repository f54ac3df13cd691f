"""What every recipe is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deepgen.cli.feed import labelled
from deepgen.cli.units import taken
from deepgen.evaluate import Bracket, Estimate, log_likelihood
from deepgen.objectives.adam import adam
from deepgen.typing import Objective

if TYPE_CHECKING:
    from deepgen.data import Data

Monitor = Callable[[nn.Module, Any], float | Estimate | Bracket]

WATCHED = 200  # validation rows behind the curve of a model that has no cheap likelihood


@dataclass(frozen=True)
class Recipe:
    """What `deepgen.fit` needs.

    Attributes:
        data: as the model takes them (`deepgen.cli.values`).
        monitor: judges the model on validation rows after each epoch; None where there is nothing cheap to watch.
        caution: what to warn of, whatever comes out.
        notes: what later commands must know of the numbers that the model takes.
        labelled: the model takes rows together with their labels.
        known: of which training rows it is told the label, bool ``[rows]``; None for all.
        settled: options that were left open, as they came out for these data.
    """

    model: nn.Module
    objective: Objective
    data: Data
    epochs: int
    batch: int
    optimizer: torch.optim.Optimizer | None = None
    schedule: Callable[[float], float] | torch.optim.lr_scheduler.LRScheduler | None = None
    monitor: Monitor | None = None
    caution: str | None = None
    notes: dict[str, Any] | None = None
    labelled: bool = False
    known: Tensor | None = None
    settled: Mapping[str, Any] = field(default_factory=dict)

    @property
    def train(self) -> Any:
        """What `deepgen.fit` trains on."""
        return labelled(self.data, "train", self.known) if self.labelled else taken(self.model, self.data, "train")

    @property
    def valid(self) -> Any:
        """What the monitor judges by; None where there is no monitor or no such rows."""
        if self.monitor is None or not len(self.data.valid):
            return None
        return labelled(self.data, "valid") if self.labelled else taken(self.model, self.data, "valid")


def mean(model: nn.Module, x: Tensor) -> Estimate | Bracket:
    """The mean log-likelihood of a model that has one."""
    return log_likelihood(model, x)


def by_adam(
    model: nn.Module,
    objective: Objective,
    data: Data,
    options: Mapping[str, Any],
    *,
    monitor: Monitor = mean,
    **rest: Any,
) -> Recipe:
    """Adam over what is to be learned of a density."""
    return Recipe(
        model=model,
        objective=objective,
        data=data,
        epochs=options["epochs"],
        batch=options["batch"],
        optimizer=adam(model, lr=options["rate"]),
        monitor=monitor,
        **rest,
    )
