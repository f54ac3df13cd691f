"""Learning from rows with missing values: at every step they are drawn from the model itself.

Of a row x only the part x_o is seen. By Fisher's identity the gradient of what is to be raised is a mean over the rest,

    d log p(x_o) = E[ d log p(x_o, x_m) ],        x_m ~ p(x_m | x_o)

so that the step of an objective for whole rows, taken at rows whose missing values are such draws, goes up log p(x_o)
on average. The draws are made by Gibbs steps, ``model.conditional_sample``, and as right as these have forgotten their
start. Rows with a single value, and with none missing, count as they should.

It is the likelihood of what is seen, and right as long as values are missing at random: that one is missing may depend
on the values seen beside it, not on itself (Rubin 1976, "Inference and missing data"). Source: Gu & Kong 1998, "A
stochastic approximation algorithm with Markov chain Monte Carlo method for incomplete data estimation problems".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count
from deepgen.explicit.dbm import DBM
from deepgen.explicit.rbm import RBM
from deepgen.explicit.units import check_seen
from deepgen.objectives.contrastive import PersistentCD
from deepgen.typing import Objective, Update


@dataclass(frozen=True)
class Incomplete:
    """Train an `RBM` or a `DBM` on rows in which NaN stands for what is missing, by an objective for whole rows.

    A Softmax group is missing in all its entries or in none. The machine's ``initialise`` takes such rows too, and
    ``conditional_sample(x, ~x.isnan())`` draws what is missing in the end.

    Args:
        objective: `PersistentCD` or another for whole rows.
        steps: Gibbs steps in which missing values are drawn, from a start at the biases alone.

    >>> import deepgen as dg
    >>> x = torch.eye(6).masked_fill(torch.eye(6).roll(1, 0) == 1, torch.nan)
    >>> rbm = dg.RBM(visible=6, hidden=4, generator=0).initialise(x)
    >>> history = dg.fit(rbm, x, Incomplete(PersistentCD(chains=10)), epochs=2, progress=False)
    >>> list(history[-1].metrics)
    ['moment_gap', 'autocorrelation']
    """

    objective: Objective = field(default_factory=PersistentCD)
    steps: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.objective, Objective) or isinstance(self.objective, type):
            raise ArgumentError(f"objective must be one for whole rows, such as PersistentCD(), got {self.objective!r}")
        check_count(steps=self.steps)

    def check(self, model: nn.Module, x: Any) -> None:
        """Raise `ShapeError` or `SupportError` unless ``x`` is rows of possible values and NaN."""
        check_seen(as_machine(model).visible, x, "data")

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Any:
        """The state of the objective at the rows ``x``, filled in by the model as it is."""
        return self.objective.start(model, self._filled(as_machine(model), x, generator), generator=generator)

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: draw what is missing, and let the objective step."""
        machine, inner = as_machine(model), self.objective.update(model, optimizer)

        def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
            return inner(state, self._filled(machine, batch, generator), generator=generator)

        return step

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The objective's own."""
        return self.objective.optimizer(model)

    def watch(self) -> Any:
        """The objective's own, where it has one."""
        own = getattr(self.objective, "watch", None)
        return _silent if own is None else own()

    def _filled(self, machine: RBM | DBM, x: Tensor, generator: torch.Generator) -> Tensor:
        return machine.conditional_sample(x, ~x.isnan(), steps=self.steps, generator=generator)


def as_machine(model: nn.Module) -> RBM | DBM:
    if not isinstance(model, (RBM, DBM)):
        raise MissingCapability(f"missing values are drawn by an RBM or a DBM, got {type(model).__name__}")
    return model


def _silent(record: Any, model: nn.Module) -> None:
    """The callback of objectives that watch nothing."""
