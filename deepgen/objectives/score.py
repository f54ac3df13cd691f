"""Denoising score matching: an energy model without chains, of the data with noise.

    x' = x + sigma xi,      loss = <|sigma grad log p(x') + xi|^2> / 2
                                 = sigma^2 <|grad log p(x') - grad log q(x')|^2> / 2 + constant

q is the law of x', the data convolved with N(0, sigma^2), so the model that is learned is q's and not the data's: at
sigma -> 0 they agree and the variance of the gradient grows like 1 / sigma^2. The constant is not the model's, log Z is
not needed, and the gradient is unbiased. What is lost: scores say nothing of the masses of modes that lie many sigma
apart. Source: Vincent 2011, "A connection between score matching and denoising autoencoders", its equation 11 times
sigma^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import MissingCapability, check_real
from deepgen.objectives.adam import adam
from deepgen.objectives.bounds import Loss, descend
from deepgen.objectives.likelihood import Nothing
from deepgen.random import normal
from deepgen.samplers.target import as_target
from deepgen.typing import Update


@dataclass(frozen=True)
class DenoisingScoreMatching:
    """Score matching to the data with normal noise of deviation ``sigma``, for any density over real rows.

    The metric is ``score_error``, the loss for each dimension: 1/2 for a model that knows nothing of where x was, less
    the better. Networks should be smooth: with rectifiers the score is constant in pieces.

    Args:
        sigma: of the noise, in the units of the data. The model is that of the noised data.

    >>> import deepgen as dg
    >>> model = dg.explicit.EnergyModel(dg.layers.ScalarMLP(2, generator=0), event_shape=2)
    >>> x = torch.randn(200, 2, generator=dg.random.generator(0))
    >>> history = dg.fit(model, x, DenoisingScoreMatching(sigma=0.5), epochs=2, progress=False)
    >>> list(history[-1].metrics)
    ['score_error']
    """

    sigma: float

    def __post_init__(self) -> None:
        check_real("sigma", self.sigma, 1e-12)

    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> Nothing:
        """The empty state; `MissingCapability` unless ``model`` has a log density over real rows."""
        _target(model)
        check: Any = getattr(model, "check", None)
        if check is not None:
            check(x)
        return Nothing()

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: add noise, and let the gradient of log p point back."""
        return descend(partial(self._of_density, _target(model)), optimizer)

    def loss(self, model: nn.Module, batch: Tensor, *, generator: torch.Generator) -> Loss:
        """The squared error of the score on a batch, with the noise that is drawn."""
        return self._of_density(_target(model), batch, generator=generator)

    def _of_density(self, log_density: Any, batch: Tensor, *, generator: torch.Generator) -> Loss:
        noise = normal(batch.shape, generator=generator, dtype=batch.dtype)
        noised = (batch + self.sigma * noise).requires_grad_()
        (slope,) = torch.autograd.grad(log_density(noised).sum(), noised, create_graph=True)
        error = (self.sigma * slope + noise).square().flatten(1).sum(1).mean() / 2
        return Loss(error, {"score_error": error.detach() / batch[0].numel()})

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Adam at 0.001."""
        return adam(model, lr=1e-3)


def _target(model: nn.Module) -> Any:
    target = as_target(model)
    if target.discrete:
        raise MissingCapability(
            f"score matching follows a gradient along real numbers, and {type(model).__name__} is over discrete rows: "
            "train by PersistentChains"
        )
    return target.log_density
