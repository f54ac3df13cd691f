"""The protocols that say what a model can do, and the shape vocabulary of the docstrings.

Shapes are written ``[batch, *event]``: ``batch`` rows of data, ``chains`` parallel Markov chains (always the first
axis), ``visible`` and ``hidden`` the widths of a Boltzmann machine's layers, ``event`` whatever one example is.

The name of a protocol carries the normalisation: `LogProb` is a probability, `LogDensity` is known only up to a
constant, and what averages log-likelihoods does not accept the second. All are runtime checkable, so
``isinstance(model, LogProb)`` asks whether the methods are there (torch.nn.Module needs no further base class).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import MissingCapability

if TYPE_CHECKING:
    from deepgen.samplers.kernel import Kernel


@runtime_checkable
class LogProb(Protocol):
    """``log_prob(x)``: ``[batch, *event] -> [batch]``, normalised, in nats.

    >>> import deepgen as dg
    >>> isinstance(dg.explicit.BernoulliMixture(3), LogProb), isinstance(dg.RBM(3, 2), LogProb)
    (True, False)
    """

    def log_prob(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class LogDensity(Protocol):
    """``log_density(x)``: ``[batch, *event] -> [batch]``, in nats, up to a constant that does not depend on x.

    >>> import deepgen as dg
    >>> isinstance(dg.RBM(3, 2), LogDensity)
    True
    """

    def log_density(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Bound(Protocol):
    """``bound(x, *, samples, generator)``: ``[batch, *event] -> [batch]``, in nats, below log p(x) in expectation."""

    def bound(self, x: Tensor, *, samples: int = 1, generator: torch.Generator | int | None = None) -> Tensor: ...


@runtime_checkable
class Samples(Protocol):
    """``sample(n, *, generator)``: ``[n, *event]``, independent exact draws.

    >>> import deepgen as dg
    >>> dg.explicit.BernoulliMixture(3).sample(5, generator=0).shape
    torch.Size([5, 3])
    """

    def sample(self, n: int, *, generator: torch.Generator | int | None = None) -> Tensor: ...


@runtime_checkable
class Joint(Protocol):
    """``prior()`` and ``likelihood(z)``, each a torch Distribution: p(x, z) by its two factors, with no posterior.

    >>> import deepgen as dg
    >>> isinstance(dg.RBM(3, 2), Joint)
    False
    """

    def prior(self) -> torch.distributions.Distribution: ...

    def likelihood(self, z: Tensor) -> torch.distributions.Distribution: ...


@runtime_checkable
class Latent(Protocol):
    """``prior()``, ``posterior(x)`` and ``likelihood(z)``, each a torch Distribution.

    >>> import deepgen as dg
    >>> isinstance(dg.RBM(3, 2), Latent)
    False
    """

    def prior(self) -> torch.distributions.Distribution: ...

    def posterior(self, x: Tensor) -> torch.distributions.Distribution: ...

    def likelihood(self, z: Tensor) -> torch.distributions.Distribution: ...


@runtime_checkable
class Blocked(Protocol):
    """``gibbs(beta)``: a `Kernel` that resamples the model's own blocks at inverse temperature ``beta``.

    >>> import deepgen as dg
    >>> isinstance(dg.RBM(3, 2), Blocked)
    True
    """

    def gibbs(self, beta: float | Tensor = 1.0) -> Kernel: ...


@runtime_checkable
class Rebuilt(Protocol):
    """``arguments()``: the constructor's arguments (plain values or objects that are `Rebuilt` themselves).

    >>> import deepgen as dg
    >>> dg.explicit.Bernoulli(3).arguments()
    {'width': 3}
    """

    def arguments(self) -> Mapping[str, Any]: ...


class Update(Protocol):
    """One training step: ``update(state, batch, *, generator) -> (state, metrics)``.

    ``state`` is what the objective carries from step to step (a NamedTuple of tensors and plain numbers, such
    as persistent chains), ``metrics`` 0-d tensors left on the device, so that a step never waits for it.

    >>> def count(state, batch, *, generator):  # state: the number of steps
    ...     return state + 1, {"mean": batch.mean()}
    >>> step: Update = count
    >>> step(0, torch.ones(4, 2), generator=torch.Generator())
    (1, {'mean': tensor(1.)})
    """

    def __call__(self, state: Any, batch: Tensor, *, generator: torch.Generator) -> tuple[Any, dict[str, Tensor]]: ...


@runtime_checkable
class Objective(Protocol):
    """What a model is trained towards: ``start``, ``update`` and a default ``optimizer``.

    It may have ``watch()`` besides, which gives a callback that `deepgen.fit` calls after every epoch, and
    ``check(model, rows)``, where the rows it takes are others than the model's own ``check`` lets through.

    >>> import deepgen as dg
    >>> isinstance(dg.objectives.PersistentCD(), Objective)
    True
    """

    def start(self, model: torch.nn.Module, x: Tensor, *, generator: torch.Generator) -> Any:
        """The first state, a (possibly empty) NamedTuple of tensors; ``x`` are rows of the data."""

    def update(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function for this model and optimizer."""

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """What `deepgen.fit` uses when the caller names no optimizer."""


def require(model: object, protocol: type, purpose: str) -> None:
    """Raise `MissingCapability` unless ``model`` satisfies ``protocol``; ``purpose`` completes 'is needed to ...'.

    >>> require(torch.nn.Linear(2, 1), LogProb, "average log-likelihoods")
    Traceback (most recent call last):
    deepgen.errors.MissingCapability: Linear has no LogProb, which is needed to average log-likelihoods. ...
    """
    if not isinstance(model, protocol):
        promise = (protocol.__doc__ or "").split("\n")[0].strip()
        raise MissingCapability(
            f"{type(model).__name__} has no {protocol.__name__}, which is needed to {purpose}. "
            f"{protocol.__name__} means {promise}"
        )
