"""Stochastic-gradient Hamiltonian Monte Carlo: momentum and friction, with the noise that friction calls for.

    v' = (1 - r) v + e/2 g~(x) + N(0, (r - e/4 V^) e),      x' = x + v',      E g~ = gradient of log f

r is the friction a step, V^ an estimate of the variance of g~, whose part of the noise need not be added again.

Convention (Welling & Teh's): at r = 1 and V^ = 0 this is SGLD, with drift e/2 times the gradient of the *sum* over all
rows and noise N(0, e). Chen, Fox & Guestrin write eta for e/2, alpha for r and beta^ = eta V^ / 2. As in SGD with
momentum 1 - r, chains move like SGLD's with a step 1/r times as long.

On a Gaussian target its law is known (`stationary`). In one dimension, with precision A and gradient noise V,

    variance  =  1/A  (1 + e (V - V^) / (4 r))  /  (1 - e A / (4 (2 - r)))

so an uncorrected noise weighs 1/r as much as in SGLD, and the error of the discretisation is O(e).

Source: Chen, Fox & Guestrin 2014, "Stochastic gradient Hamiltonian Monte Carlo".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, check_real
from deepgen.random import normal
from deepgen.samplers.kernel import Exactness, require_state
from deepgen.samplers.minibatch import estimated
from deepgen.samplers.stationary import matrix, stationary_covariance
from deepgen.samplers.stochastic_gradient import (
    Descended,
    Polynomial,
    StepSize,
    check_steps,
    constant,
    counted,
    descended,
    step_sizes,
)
from deepgen.samplers.target import Estimated, rowwise


class Moving(NamedTuple):
    """position, velocity: ``[chains, *event]``; step: t, ``[chains]``."""

    position: Tensor
    velocity: Tensor
    step: Tensor


def kicked(
    velocity: Tensor, gradient: Tensor, noise: Tensor, step: Tensor | float, friction: float, known: Tensor | float
) -> Tensor:
    """v' from v, g~, standard normal noise, e, r and V^. A V^ too large for e leaves no noise to add.

    >>> kicked(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0), 0.5, 0.5, 0.0)  # 0.5 + 0.25 * 2 + 0.5 * 3
    tensor(2.5000)
    """
    variance = torch.as_tensor((friction - step / 4 * known) * step, dtype=velocity.dtype).clamp_min(0)
    return (1 - friction) * velocity + step / 2 * gradient + variance.sqrt() * noise


def check_friction(friction: float, step: StepSize, known: Tensor | float) -> None:
    """Raise `ArgumentError` unless r is in (0, 1], V^ at least 0, and r at least e V^ / 4, which friction takes up.

    >>> check_friction(0.1, 1.0, 100.0)
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: ... friction must be at least step_size * gradient_noise / 4 = 25, got 0.1
    """
    check_real("friction", friction, 1e-6, 1)
    for value in (known.min(), known.max()) if isinstance(known, Tensor) else (known,):
        check_real("gradient_noise", float(value) if isinstance(value, Tensor) else value, 0)
    if isinstance(known, Tensor) or known > 0:  # else nothing is asked of steps, which may lie on a device
        longest = step(0) if isinstance(step, Polynomial) else step
        least = float(torch.as_tensor(longest).max()) * float(torch.as_tensor(known).max()) / 4
        if least > friction * (1 + 1e-6):  # a tensor's numbers are rounded
            raise ArgumentError(
                "the gradient's noise alone is more than this friction takes up: friction must be at least "
                f"step_size * gradient_noise / 4 = {least:.3g}, got {friction}"
            )


@dataclass(frozen=True)
class StochasticHamiltonian:
    """The kernel of `sghmc`."""

    source: Estimated
    step_size: StepSize
    friction: float = 0.1
    gradient_noise: float | Tensor = 0.0
    exactness: ClassVar[Exactness] = Exactness("biased", "O(step size / friction)")

    def __post_init__(self) -> None:
        check_steps(self.step_size)
        if not isinstance(self.gradient_noise, Tensor):  # whose numbers are waited for: `sghmc` does, once
            check_friction(self.friction, self.step_size, self.gradient_noise)

    def init(self, position: Tensor) -> Moving:
        """The state at rest at ``position`` ``[chains, *event]``.

        Raises:
            ShapeError: ``gradient_noise`` is neither a number nor ``[*event]``.
        """
        position, step = counted(self.source, position)
        known, event = self.gradient_noise, position.shape[1:]
        if isinstance(known, Tensor) and known.ndim and known.shape != event:
            raise ShapeError(
                f"gradient_noise must be a number or {list(event)}, like an event; got {list(known.shape)}"
            )
        return Moving(position, torch.zeros_like(position), step)

    def enter(self, own: Moving, other: Any) -> Moving:
        """The state after another kernel has moved the chains to ``other.position``, at its velocity."""
        return own._replace(position=other.position)

    def step(self, state: Moving, *, generator: torch.Generator) -> tuple[Moving, Descended]:
        """One estimate of the gradient, then the noise."""
        require_state(state, Moving)
        x, sizes = state.position, step_sizes(self.step_size, state.step, state.position)
        value, gradient = self.source.estimate(x, generator=generator)
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        v = kicked(state.velocity, gradient, noise, rowwise(sizes, x), self.friction, self.gradient_noise)
        return Moving(x + v, v, state.step + 1), descended(value, sizes, gradient)

    def stationary(self, precision: Tensor, gradient_noise: Tensor | float = 0.0) -> Tensor:
        """The covariance ``[D, D]`` of the positions on a Gaussian target, at the constant step size.

        Args:
            precision: A ``[D, D]``, minus the Hessian of log f.
            gradient_noise: the true V, ``[D, D]``, ``[D]`` or a number, taken to be the same everywhere.
        """
        e, r, size = constant(self.step_size), self.friction, len(precision)
        pull, slide = -e / 2 * matrix(precision, size), (1 - r) * torch.eye(size, dtype=torch.float64)
        known = self.gradient_noise
        known = known.flatten() if isinstance(known, Tensor) and known.ndim else known
        added = ((r - e / 4 * matrix(known, size).diagonal()) * e).clamp_min(0).diag()
        noise = added + e**2 / 4 * matrix(gradient_noise, size)
        one = torch.eye(size, dtype=torch.float64)
        transition = torch.cat([torch.cat([one + pull, slide], 1), torch.cat([pull, slide], 1)])  # of (x, v)
        return stationary_covariance(transition, noise.repeat(2, 2))[:size, :size]


def sghmc(
    source: object, step_size: StepSize, *, friction: float = 0.1, gradient_noise: float | Tensor = 0.0
) -> StochasticHamiltonian:
    """Stochastic-gradient Hamiltonian Monte Carlo, biased of order ``step_size`` / ``friction``.

    Args:
        source: ``posterior.minibatches(n)``; or a `Target`, a function, a Distribution or a model.
        step_size: e: a number, a tensor ``[chains]``, or the schedule `Polynomial`; the variance of SGLD's noise, and
            twice Chen et al.'s learning rate.
        friction: r, in (0, 1], a step; 1 is SGLD.
        gradient_noise: V^, the variance of the gradient's estimate, a number or ``[*event]``. The diagonal of
            `Minibatches.gradient_noise`, or a lower value: 0 corrects nothing.

    Raises:
        ArgumentError: ``friction`` below ``step_size * gradient_noise / 4`` for a coordinate, or numbers out of range.

    >>> import deepgen as dg
    >>> kernel = sghmc(lambda x: -x.square().sum(-1) / 2, 1.0, friction=0.5)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(2000, 1), draws=20, warmup=40, generator=0)
    >>> bool((trace.draws.var() - kernel.stationary(torch.eye(1))).abs() < 0.1)  # 1 / (1 - 1/6)
    True
    """
    kernel = StochasticHamiltonian(estimated(source), step_size, friction, gradient_noise)
    check_friction(friction, step_size, gradient_noise)
    return kernel
