"""Stochastic-gradient Langevin dynamics: Langevin steps whose gradient is estimated from a few rows, never rejecting.

    x' = x + e_t/2 S g~(x) + sqrt(e_t) L xi,       S = L L',   xi ~ N(0, 1),   E g~ = gradient of log f

Convention (Welling & Teh's): the step size e is the variance of the noise, the drift is e/2 times the gradient of the
*sum* over all rows. Others call e/2 the step, and some divide the gradient by N.

    e_t = a (b + t)^-gamma        decreasing (`Polynomial`);  t is kept in the State, so that a stopped run goes on
    e_t = e                       constant: a law of its own, off by O(e)

On a Gaussian target of precision A, with gradient noise of covariance V, the law at constant e is known (`stationary`):
in one dimension its variance is

    1/A (1 + e V / 4) / (1 - e A / 4)

where the first factor is the gradient's noise and the second that of unadjusted Langevin. With a decreasing schedule
averages converge to the target if each position counts e_t: ``trace.info["step_size"]`` holds these weights.

Source: Welling & Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics"; Teh, Thiery & Vollmer 2016 on
the weights and on gamma = 1/3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability, check_real
from deepgen.random import normal
from deepgen.samplers.kernel import Exactness, require_state
from deepgen.samplers.minibatch import estimated
from deepgen.samplers.positions import checked_start
from deepgen.samplers.scale import Scale, check_given, inwards, outwards, scale_of
from deepgen.samplers.stationary import matrix, square, stationary_covariance
from deepgen.samplers.target import Estimated, Target, rowwise


@dataclass(frozen=True)
class Polynomial:
    """The schedule e_t = a (b + t)^-gamma, t = 0, 1, ...

    Attributes:
        a: positive.
        b: positive, in steps.
        gamma: in (0, 1]. Above 1/2 the sum of e_t^2 is finite, as Welling and Teh ask; averages weighted by e_t
            converge for all of them.

    >>> [round(Polynomial.between(0.01, 0.0001, 1000)(t), 6) for t in (0, 1000)]
    [0.01, 0.0001]
    """

    a: float
    b: float = 1.0
    gamma: float = 0.55

    def __post_init__(self) -> None:
        for name, most in (("a", float("inf")), ("b", float("inf")), ("gamma", 1.0)):
            _check_positive(name, getattr(self, name), most)

    @classmethod
    def between(cls, first: float, last: float, steps: int, gamma: float = 0.55) -> Polynomial:
        """The schedule that falls from ``first`` at step 0 to ``last`` at step ``steps``."""
        if not 0 < last < first or steps < 1:
            raise ArgumentError(
                f"a schedule falls, 0 < last < first, over 1 step or more; got {first}, {last}, {steps}"
            )
        _check_positive("gamma", gamma, 1.0)
        b = steps / ((first / last) ** (1 / gamma) - 1)
        return cls(first * b**gamma, b, gamma)

    def __call__(self, t: float | Tensor) -> float | Tensor:
        """e_t."""
        return self.a * (self.b + t) ** -self.gamma


def _check_positive(name: str, value: object, most: float) -> None:
    check_real(name, value, 0, most)
    if value == 0:
        raise ArgumentError(f"{name} must be positive, got 0")


class Counted(NamedTuple):
    """position: ``[chains, *event]``; step: t, how many steps came before, ``[chains]`` int64."""

    position: Tensor
    step: Tensor


class Descended(NamedTuple):
    """What a step saw where it began, ``[chains]``: log_density: the estimate of log f; step_size: e_t; nan: whether
    the gradient had a NaN."""

    log_density: Tensor
    step_size: Tensor
    nan: Tensor


StepSize = float | Tensor | Polynomial


def step_sizes(step_size: StepSize, t: Tensor, like: Tensor) -> Tensor:
    """e_t of every chain, ``[chains]`` of the dtype of ``like``."""
    value = step_size(t.double()) if isinstance(step_size, Polynomial) else step_size
    if isinstance(value, Tensor):
        return value.to(like).expand(t.shape)
    return torch.full(t.shape, value, dtype=like.dtype, device=like.device)


def constant(step_size: StepSize) -> float:
    """The one step size of all chains, or an error: only then is there a stationary law."""
    if isinstance(step_size, Polynomial) or (isinstance(step_size, Tensor) and step_size.ndim):
        raise MissingCapability("a stationary law needs one constant step size, not a schedule or one a chain")
    return float(step_size)


def check_steps(step_size: StepSize) -> None:
    """Raise `ArgumentError` unless ``step_size`` is a schedule, or what `check_given` takes."""
    if not isinstance(step_size, Polynomial):
        check_given(step_size)


def counted(source: Estimated, position: Tensor) -> Counted:
    """``position`` ``[chains, *event]``, checked as every start is, before the first step."""
    position = checked_start(Target(source.probe), position)
    return Counted(position, torch.zeros(len(position), dtype=torch.int64, device=position.device))


def descended(value: Tensor, sizes: Tensor, gradient: Tensor) -> Descended:
    """What a step saw, from the estimates of log f ``[chains]`` and its gradient ``[chains, *event]``."""
    return Descended(value, sizes, gradient.isnan().reshape(len(gradient), -1).any(1))


def langevin_move(gradient: Tensor, noise: Tensor, step: Tensor | float) -> Tensor:
    """e/2 g + sqrt(e) xi, the move of SGLD in whitened coordinates.

    >>> langevin_move(torch.tensor(1.0), torch.tensor(2.0), 4.0)
    tensor(6.)
    """
    return step / 2 * gradient + step**0.5 * noise


@dataclass(frozen=True)
class StochasticLangevin:
    """The kernel of `sgld`."""

    source: Estimated
    step_size: StepSize
    scale: Scale = None
    exactness: ClassVar[Exactness] = Exactness("biased", "O(step size)")

    def __post_init__(self) -> None:
        check_steps(self.step_size)

    def init(self, position: Tensor) -> Counted:
        """The state at ``position`` ``[chains, *event]``, at step 0 of the schedule."""
        return counted(self.source, position)

    def enter(self, own: Counted, other: Any) -> Counted:
        """The state after another kernel has moved the chains to ``other.position``: the schedule goes on."""
        return own._replace(position=other.position)

    def step(self, state: Counted, *, generator: torch.Generator) -> tuple[Counted, Descended]:
        """One estimate of the gradient, from a batch drawn from ``generator`` before the noise."""
        require_state(state, Counted)
        x, sizes = state.position, step_sizes(self.step_size, state.step, state.position)
        value, gradient = self.source.estimate(x, generator=generator)
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        move = langevin_move(inwards(self.scale, gradient), noise, rowwise(sizes, x))
        new = Counted(x + outwards(self.scale, move), state.step + 1)
        return new, descended(value, sizes, gradient)

    def stationary(self, precision: Tensor, gradient_noise: Tensor | float = 0.0) -> Tensor:
        """The kernel's own covariance ``[D, D]`` on a Gaussian target, at its constant step size.

        Args:
            precision: A ``[D, D]``, minus the Hessian of log f.
            gradient_noise: V, of the gradient's estimate: ``[D, D]``, ``[D]`` or a number; see
                `Minibatches.gradient_noise`. It is taken to be the same everywhere.

        Raises:
            ArgumentError: the step is so long that the chains run away.
        """
        e, size = constant(self.step_size), len(precision)
        s, v = square(self.scale, size), matrix(gradient_noise, size)
        f = torch.eye(size, dtype=torch.float64) - e / 2 * s @ matrix(precision, size)
        return stationary_covariance(f, e * s + e**2 / 4 * s @ v @ s)


def sgld(source: object, step_size: StepSize, *, covariance: Tensor | None = None) -> StochasticLangevin:
    """Stochastic-gradient Langevin dynamics: drift e/2 times the gradient, noise N(0, e); biased of order e.

    Args:
        source: ``posterior.minibatches(n)``; or a `Target`, a function, a Distribution or a model, whose whole gradient
            is taken (that is `ula`).
        step_size: e: a number, a tensor ``[chains]``, or the schedule `Polynomial`.
        covariance: S, of the noise and the drift, ``[D, D]`` or ``[D]`` variances; the identity by default.

    Raises:
        ArgumentError: ``step_size`` is none of these, or not positive.

    >>> import deepgen as dg
    >>> from torch.distributions import Normal
    >>> rows = torch.randn(100, generator=dg.random.generator(0))
    >>> posterior = dg.samplers.Posterior(Normal(0.0, 1.0), lambda m, x: -(x - m).square() / 2, rows)
    >>> kernel = sgld(posterior.minibatches(10), 0.01)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(1000, 1), draws=20, warmup=50, generator=0)
    >>> predicted = kernel.stationary(torch.tensor([[101.0]]), kernel.source.gradient_noise(torch.zeros(1)))
    >>> bool((trace.draws.var() / predicted - 1).abs() < 0.1), trace.exactness.kind
    (True, 'biased')
    """
    return StochasticLangevin(estimated(source), step_size, scale_of(covariance))
