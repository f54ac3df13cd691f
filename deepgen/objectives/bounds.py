"""What the objectives that ascend a bound on log p(x) share: rows and pairs, the step, the metrics that are logged.

What is ascended may be weighed; what is logged never is: ``bound`` is the unweighted one, in nats per example, of a
batch before its step, with its parts ``reconstruction`` and ``kl``. A model with `Bound` alone, such as a dequantised
flow, is trained by its bound as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability
from deepgen.objectives.adam import adam
from deepgen.objectives.collapse_watch import EARLIEST, Watch
from deepgen.typing import Bound, Latent, Update, require


class Steps(NamedTuple):
    """step: how many updates were done, 0-d."""

    step: Tensor


class Loss(NamedTuple):
    """``value``, whose gradient is what an optimizer descends, and the metrics that are logged beside it."""

    value: Tensor
    metrics: dict[str, Tensor]


def descend(loss: Callable[..., Any], optimizer: torch.optim.Optimizer) -> Update:
    """The step function of a ``loss(batch, generator=)``, its value and metrics, that carries no state of its own.

    >>> w = torch.ones(1, requires_grad=True)
    >>> step = descend(lambda batch, generator: Loss((batch * w).sum(), {}), torch.optim.SGD([w], lr=0.1))
    >>> _ = step(None, torch.tensor([2.0]), generator=torch.Generator())
    >>> w.tolist()
    [0.800000011920929]
    """

    def step(state: Any, batch: Any, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
        optimizer.zero_grad(set_to_none=True)
        value, metrics = loss(batch, generator=generator)
        value.backward()
        optimizer.step()
        return state, metrics

    return step


class Ascent(ABC):
    """An objective is this and three answers: how many draws, why it needs the three laws, its loss from them."""

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Steps:
        """Step 0; `MissingCapability` unless ``model`` has what the objective needs."""
        self._require(model)
        return Steps(torch.tensor(0))

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: draw, take the gradient, let ``optimizer`` step."""
        self._require(model)

        def step(state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]:
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(model, batch, step=state.step, generator=generator, learn=True)
            loss.value.backward()
            optimizer.step()
            return Steps(state.step + 1), loss.metrics

        return step

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return adam(model, lr=1e-3)

    def watch(self) -> Watch:
        """What tells of a collapsed posterior, once, after 1,000 steps and the warm-up."""
        return Watch(max(EARLIEST, getattr(self, "warmup", 0)))

    def loss(
        self, model: Any, batch: Any, *, step: Tensor | int = 0, generator: torch.Generator, learn: bool = False
    ) -> Loss:
        """Minus the objective of a batch, ``x`` or a pair of ``x`` and its context, at update number ``step``.

        With ``learn``, as in a training step, an optimal sigma follows the batch once it has been scored.
        """
        x, *context = batch if isinstance(batch, (tuple, list)) else (batch,)
        given: Any = model(*context) if getattr(model, "context", 0) and context else model
        if _has_laws(given):
            check = getattr(given, "check", None)
            if check is not None and x.device.type == "cpu":
                check(x)  # elsewhere that would wait for the device at every step; `fit` has looked at the first rows
            return self._of_laws(given, x, step, generator, learn)
        value = model.bound(x, *context, samples=self._draws(), generator=generator).mean()
        return Loss(-value, {"bound": value.detach()})

    @abstractmethod
    def _draws(self) -> int:
        """Draws a row."""

    @abstractmethod
    def _of_laws(self, latent: Any, x: Tensor, step: Tensor | int, generator: torch.Generator, learn: bool) -> Loss:
        """`loss` of checked rows from prior, posterior and likelihood."""

    @abstractmethod
    def _why_laws(self) -> str | None:
        """What cannot be had of a model with `Bound` alone, and what to do; None where all can."""

    def _require(self, model: nn.Module) -> None:
        require(model, Bound, "train towards a bound")
        why = self._why_laws()
        if why and not _has_laws(model) and not getattr(model, "context", 0):
            raise MissingCapability(f"{type(model).__name__} has no Latent, {why}")


def _has_laws(model: object) -> bool:
    """Whether it is a `Latent`; of a class that was seen before in a fraction of the time of ``isinstance``."""
    return issubclass(type(model), Latent) or isinstance(model, Latent)  # networks may be methods of an instance
