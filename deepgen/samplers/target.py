"""What is sampled: a batched log density, its gradient, and where its values lie.

    log_density: [chains, *event] -> [chains],  log f(x) in nats up to a constant;      gradient: d log f(x) / dx

Every chain's value depends on its own row alone, so one backward pass of the sum gives all gradients. At inverse
temperature beta the law is f(x)^beta, or f(x)^beta r(x)^(1 - beta) with a normalised ``reference`` r, which has a
known log Z and exact draws at beta = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Uniform, constraints

from deepgen.errors import MissingCapability, check_real
from deepgen.random import draw
from deepgen.samplers.laws import density_of, innermost, lenient
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
        support: a torch constraint: ``real``, ``boolean``, ``integer_interval``, ``one_hot``, or
            `deepgen.distributions.spin` and `OneHotGroups`. Kernels over reals refuse any other continuous one.
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

    @cached_property
    def log_reference(self) -> Callable[[Tensor], Tensor]:
        """log r: ``[chains, *event] -> [chains]``."""
        if self.reference is None:
            raise MissingCapability("this Target has no reference: Target(..., reference=a Distribution)")
        return density_of(self.reference)

    @torch.no_grad()
    def value(self, x: Tensor) -> Tensor:
        """log f ``[chains]`` of positions ``[chains, *event]``, without a graph."""
        with lenient():
            return self.log_density(x).detach()

    def slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log f ``[chains]`` and its gradient ``[chains, *event]``."""
        if self.value_and_gradient is not None:
            with torch.no_grad(), lenient():
                return self.value_and_gradient(x)
        with lenient():
            return slope_of(self.log_density, x)

    def tempered(self, state: Located, beta: Beta) -> Tensor:
        """log of f^beta r^(1 - beta) where the chains are: ``[chains]``; of f alone where beta is the number 1."""
        if isinstance(beta, float) and beta == 1.0:
            return state.log_density
        value = power(beta, state.log_density)
        if self.reference is None:
            return value
        return value + power(1 - beta, self.log_reference(state.position))

    def log_ratio(self, state: Located, old: Beta, new: Beta) -> Tensor:
        """`tempered` at ``new`` less that at ``old``: ``[chains]``."""
        value = state.log_density
        if self.reference is not None:
            value = value - self.log_reference(state.position)
        return power(new - old, value)

    def tempered_gradient(self, x: Tensor, gradient: Tensor, beta: Beta) -> Tensor:
        """The gradient of `tempered` from that of log f: ``[chains, *event]``."""
        if isinstance(beta, float) and beta == 1.0:
            return gradient
        value = power(beta, gradient)
        if self.reference is None:
            return value
        return value + power(1 - beta, self.reference_gradient(x))

    def reference_gradient(self, x: Tensor) -> Tensor:
        """d log r / dx; 0 where r is 0, and of a uniform r, in which autograd finds no path."""
        law: Any = self.reference
        while isinstance(law, Independent):
            law = law.base_dist
        if isinstance(law, Uniform):
            return torch.zeros_like(x)
        try:
            value, gradient = slope_of(self.log_reference, x)
        except MissingCapability as error:
            raise MissingCapability(
                f"the reference, {type(law).__name__}, has no gradient, which this kernel follows at other temperatures"
            ) from error
        outside = value.reshape(-1, *(1,) * (x.ndim - 1)) == -torch.inf
        return torch.where(outside, 0.0, gradient)

    def start(self, n: int, *, generator: torch.Generator) -> Tensor:
        """``n`` exact draws from the reference: ``[n, *event]``."""
        if self.reference is None:
            raise MissingCapability("this Target has no reference to draw from: Target(..., reference=a Distribution)")
        return draw(self.reference, (n,), generator=generator)


def as_target(source: object, support: Any = None) -> Target:
    """A `Target` from one, from a function ``[chains, *event] -> [chains]``, from a Distribution or from a model.

    A model has `LogProb` or `LogDensity`; its ``support`` is taken over unless another is given, and
    ``value_and_gradient`` if it has one. Its parameters are constants here.

    Raises:
        MissingCapability: ``source`` is none of these.

    >>> import deepgen as dg
    >>> as_target(dg.explicit.MADE(4, hidden=[8])).discrete, as_target(torch.distributions.Normal(0.0, 1.0)).discrete
    (True, False)
    """
    if isinstance(source, Target):
        if support is None:
            return source
        target = copy(source)  # and not replace, as subclasses are made of other things
        object.__setattr__(target, "support", support)
        return target
    if isinstance(source, Estimated):
        raise MissingCapability(
            "minibatches only estimate a log density, and this kernel needs the density itself: give it the posterior, "
            "without .minibatches(...), or use sgld, psgld, sghmc or constant_sgd"
        )
    function: Any
    if isinstance(source, Distribution):
        function = density_of(source)
    elif isinstance(source, LogProb) and not isinstance(source, type):
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
    known = innermost(getattr(source, "support", None) if support is None else support)
    if isinstance(source, Distribution) and not getattr(known, "is_discrete", False):
        _check_real(known, type(source).__name__)
    slope = getattr(source, "value_and_gradient", None)
    return Target(function, slope, constraints.real if known is None else known)


def over_reals(source: object, kernel: str) -> Target:
    """`as_target` for kernels over all real numbers: ``kernel`` refuses a discrete target, or a part of the line."""
    target = as_target(source)
    if target.discrete:
        raise MissingCapability(
            f"{kernel} moves over real numbers, and this target is discrete ({target.support}): take a kernel that "
            "jumps between its values, such as a Gibbs sampler"
        )
    _check_real(innermost(target.support), "this target")
    return target


def _check_real(support: Any, name: str) -> None:
    if not isinstance(support, type(constraints.real)):
        raise MissingCapability(
            f"{name} lies on {support}, and kernels move over all real numbers: sample a function of it that is real "
            "(its logarithm, say), or hand over a function that is -inf outside"
        )


def slope_of(log_density: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """``log_density(x)`` and its gradient, by one backward pass through the sum over the rows.

    Raises:
        MissingCapability: autograd does not lead from the value to x.

    >>> slope_of(lambda x: x.square().sum(-1), torch.ones(2, 3))[1].sum()
    tensor(12.)
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = log_density(x)
        if not value.requires_grad:
            raise MissingCapability(
                "the log density has no gradient: it must come from x by operations that autograd follows (not through "
                "integers, NumPy or detach), or give Target(..., value_and_gradient=a function)"
            )
        (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def check_beta(beta: Beta) -> None:
    """Raise `ArgumentError` where an inverse temperature is a negative number, or none; tensors are not waited for.

    >>> check_beta(-1.0)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: beta must be a finite number of at least 0, got -1.0
    """
    if not isinstance(beta, Tensor):
        check_real("beta", beta, 0)


def rowwise(number: Beta, x: Tensor) -> Beta:
    """A number for all chains as it is, one a chain ``[chains]`` as ``[chains, 1, ...]`` to go with ``x``.

    >>> rowwise(torch.ones(3), torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """
    if isinstance(number, Tensor) and number.ndim == 1:
        return number.to(x).reshape(-1, *(1,) * (x.ndim - 1))
    return number


def power(beta: Beta, value: Tensor) -> Tensor:
    """beta times ``value``, and 0 where beta is: the power 0 of a density is 1 where the density is 0, too.

    >>> power(0.0, torch.tensor([-torch.inf, 2.0]))
    tensor([0., 0.])
    """
    beta = rowwise(beta, value)
    if not isinstance(beta, Tensor):
        return beta * value if beta else torch.zeros_like(value)
    return torch.where(beta == 0, 0.0, beta * value)
