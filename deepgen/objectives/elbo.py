"""Bounds as objectives, for models that state one instead of a likelihood (`Bound`).

    ELBO:  E_q [ log p(x, z) - log q(z | x) ]                         (one draw a row; Jordan et al. 1999)
    IWAE:  E_q [ log 1/k sum_i p(x, z_i) / q(z_i | x) ]               (k draws; Burda, Grosse & Salakhutdinov 2016)

Both lie below log p(x), the second closer. The logged metric is ``bound``, in nats per example, of a batch before its
step, whatever else the objective may weigh.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.objectives.likelihood import Nothing
from deepgen.typing import Bound, Update, require


@dataclass(frozen=True)
class IWAE:
    """Gradient ascent on the mean importance-weighted bound of ``k`` draws a row.

    >>> import deepgen as dg
    >>> unit = dg.transforms.Chain([dg.transforms.Logit(), dg.transforms.Affine(2)])
    >>> model = dg.explicit.Dequantised(dg.explicit.Flow(unit, base=2), levels=4)
    >>> x, stream = torch.zeros(5, 2), dg.random.generator(0)
    >>> objective = IWAE(k=3)
    >>> update = objective.update(model, objective.optimizer(model))
    >>> _, metrics = update(objective.start(model, x, generator=stream), x, generator=stream)
    >>> list(metrics)
    ['bound']
    """

    k: int = 5

    def __post_init__(self) -> None:
        check_count(k=self.k)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Nothing:
        require(model, Bound, "train towards a bound")
        return Nothing()

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: draw, take the gradient, let ``optimizer`` step."""
        require(model, Bound, "train towards a bound")
        return _update(model, optimizer, self.k)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return torch.optim.Adam(model.parameters(), lr=1e-3)


@dataclass(frozen=True)
class ELBO(IWAE):
    """Gradient ascent on the mean evidence lower bound: one draw a row.

    >>> ELBO().k
    1
    """

    k: int = field(default=1, init=False, repr=False)


def _update(model: Any, optimizer: torch.optim.Optimizer, samples: int) -> Update:
    def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        pair: Any = batch
        rows = pair if isinstance(pair, (tuple, list)) else (pair,)
        optimizer.zero_grad(set_to_none=True)
        value = model.bound(*rows, samples=samples, generator=generator).mean()
        (-value).backward()
        optimizer.step()
        return state, {"bound": value.detach()}

    return step
