"""What is sampled: a batched log density, its gradient, and where its values lie.

    log_density: [chains, *event] -> [chains],  log f(x) in nats up to a constant;      gradient: d log f(x) / dx

Every chain's value depends on its own row alone, so one backward pass of the sum gives all gradients. At inverse
temperature beta the law is f(x)^beta, or f(x)^beta r(x)^(1 - beta) with a normalised ``reference`` r, which has a
known log Z and exact draws at beta = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from deepgen.errors import MissingCapability, ShapeError
from deepgen.random import draw
from deepgen.typing import LogDensity, LogProb

Beta = float | Tensor  # one for all chains, or [chains]


@runtime_checkable
class Located(Protocol):
    """A state of chains: ``position`` ``[chains, *event]`` and the target's ``log_density`` ``[chains]`` there."""

    @property
    def position(self) -> Tensor: ...

    @property
    def log_density(self) -> Tensor: ...


@runtime_checkable
class Estimated(Protocol):
    """A log density that is known by unbiased estimates only, each with its gradient; see `Minibatches`."""

    def estimate(self, x: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]: ...

    def probe(self, x: Tensor) -> Tensor:
        """Something cheap and fixed of the shape of the log density: ``[chains, *event] -> [chains]``."""


@dataclass(frozen=True)
class Target:
    """An unnormalised law to sample from.

    Attributes:
        log_density: ``[chains, *event] -> [chains]``, in nats; each value of its own row alone.
        value_and_gradient: ``x -> (log_density(x), its gradient)``; by default through autograd.
        support: a torch constraint: ``real``, ``boolean``, or ``integer_interval``.
        reference: None, or a torch Distribution over one event, where the path to beta = 0 ends.

    >>> target = Target(lambda x: -x.square().sum(-1) / 2)
    >>> target.slope(torch.tensor([[1.0, 2.0]]))
    (tensor([-2.5000]), tensor([[-1., -2.]]))
    """

    log_density: Callable[[Tensor], Tensor]
    value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    support: Any = constraints.real
    reference: Distribution | None = None

    @property
    def discrete(self) -> bool:
        return bool(getattr(self.support, "is_discrete", False))

    @torch.no_grad()
    def value(self, x: Tensor) -> Tensor:
        """log f ``[chains]`` of positions ``[chains, *event]``, without a graph."""
        return self.log_density(x).detach()

    def slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log f ``[chains]`` and its gradient ``[chains, *event]``."""
        if self.value_and_gradient is not None:
            with torch.no_grad():
                return self.value_and_gradient(x)
        return slope_of(self.log_density, x)

    def tempered(self, state: Located, beta: Beta) -> Tensor:
        """log of f^beta r^(1 - beta) where the chains are: ``[chains]``; of f alone where beta is the number 1."""
        if isinstance(beta, float) and beta == 1.0:
            return state.log_density
        value = beta * state.log_density
        if self.reference is None:
            return value
        return value + (1 - beta) * self.reference.log_prob(state.position)

    def tempered_gradient(self, x: Tensor, gradient: Tensor, beta: Beta) -> Tensor:
        """The gradient of `tempered` from that of log f: ``[chains, *event]``."""
        if isinstance(beta, float) and beta == 1.0:
            return gradient
        power = rowwise(beta, x)
        if self.reference is None:
            return power * gradient
        return power * gradient + (1 - power) * slope_of(self.reference.log_prob, x)[1]

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` exact draws from the reference: ``[n, *event]``."""
        if self.reference is None:
            raise MissingCapability("this Target has no reference to draw from: Target(..., reference=a Distribution)")
        return draw(self.reference, (n,), generator=generator)


def as_target(source: object, support: Any = None) -> Target:
    """A `Target` from one, from a function ``[chains, *event] -> [chains]``, from a Distribution or from a model.

    A model has `LogProb` or `LogDensity`; its ``support`` is taken over. Its parameters are constants here.

    Raises:
        MissingCapability: ``source`` is none of these.

    >>> import deepgen as dg
    >>> as_target(dg.explicit.MADE(4, hidden=[8])).discrete, as_target(torch.distributions.Normal(0.0, 1.0)).discrete
    (True, False)
    """
    if isinstance(source, Target):
        return source
    if isinstance(source, Estimated):
        raise MissingCapability(
            "minibatches only estimate a log density, and this kernel needs the density itself: give it the posterior, "
            "without .minibatches(...), or use sgld, psgld, sghmc or constant_sgd"
        )
    function: Any
    if isinstance(source, (LogProb, Distribution)) and not isinstance(source, type):
        function = source.log_prob
    elif isinstance(source, LogDensity) and not isinstance(source, type):
        function = source.log_density
    elif callable(source) and not isinstance(source, (type, torch.nn.Module)):
        function = source
    else:
        raise MissingCapability(
            "a target is a function from [chains, *event] to log densities [chains], a Distribution, or a model with "
            f"log_prob or log_density; got {source if isinstance(source, type) else type(source).__name__}"
        )
    known = getattr(source, "support", None) if support is None else support
    known = getattr(known, "base_constraint", known)
    return Target(function, support=constraints.real if known is None else known)


def slope_of(log_density: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """``log_density(x)`` and its gradient, by one backward pass through the sum over the rows.

    >>> slope_of(lambda x: x.square().sum(-1), torch.ones(2, 3))[1].sum()
    tensor(12.)
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = log_density(x)
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def checked_start(target: Target, position: object) -> Tensor:
    """Return ``position`` as a floating tensor ``[chains, *event]``, or raise: the check that every ``init`` shares.

    Raises:
        ShapeError: no tensor, no chains, or the target does not give one number a chain.
    """
    if not isinstance(position, Tensor) or position.ndim < 1 or len(position) == 0:
        got = list(position.shape) if isinstance(position, Tensor) else type(position).__name__
        raise ShapeError(f"position must be a tensor [chains, *event] with at least one chain, got {got}")
    if not position.is_floating_point():
        position = position.to(torch.get_default_dtype())
    value = target.value(position)
    if value.shape != position.shape[:1]:
        raise ShapeError(
            f"the log density of {len(position)} chains must be [{len(position)}], got {list(value.shape)}: "
            "sum over the event's axes and keep the first"
        )
    return position


def rowwise(number: Beta, x: Tensor) -> Beta:
    """A number for all chains as it is, one a chain ``[chains]`` as ``[chains, 1, ...]`` to go with ``x``.

    >>> rowwise(torch.ones(3), torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """
    if isinstance(number, Tensor) and number.ndim == 1:
        return number.reshape(-1, *(1,) * (x.ndim - 1))
    return number
