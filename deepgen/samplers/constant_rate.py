"""Stochastic gradient descent at a constant rate as approximate inference: the only noise is the minibatches'.

    x' = x + e/2 S g~(x),       E g~ = gradient of log f,   Cov g~ = V

Near a mode of curvature A (minus the Hessian of log f) the iterates have a stationary law: to first order in e normal,
with the covariance C of the Lyapunov equation

    S A C + C A S = e/2 S V S

The rate that brings it nearest to the posterior N(m, A^-1), in Kullback and Leibler's divergence KL(SGD || posterior),
does not depend on A, and of all S one inverts the noise and makes C = A^-1:

    e* = 4 D / Tr V  (S = 1),        e S* = 4 V^-1

Mandt's diagonal rule is e S_kk = 4 / V_kk. It is the best diagonal S if V is diagonal (then C = A^-1) or in proportion
to A (then C_kk = 1 / A_kk, and C is diagonal); else there are better ones.

Convention (Welling & Teh's drift): the gradient is that of the *sum* over all rows. Mandt et al. write x' = x - r grad
of the mean loss, whose noise has covariance BB'/n: r = N e / 2 and V = N^2 BB'/n, which turns their r* =
2 n D / (N Tr BB') into the above. In a model that is right V is near N/n A (Fisher's information equality), so C is
near e N / (4 n) times the identity: without S it has not the posterior's shape, and e* only gives its average size.

Source: Mandt, Hoffman & Blei 2017, "Stochastic gradient descent as approximate Bayesian inference", theorems 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, MissingCapability
from deepgen.samplers.kernel import Exactness, require_state
from deepgen.samplers.minibatch import Minibatches
from deepgen.samplers.scale import Scale, check_given, inwards, outwards, scale_of
from deepgen.samplers.stationary import lyapunov, matrix, square, stationary_covariance
from deepgen.samplers.stochastic_gradient import Counted, Descended, constant, counted, descended


@dataclass(frozen=True)
class ConstantSGD:
    """The kernel of `constant_sgd`."""

    source: Minibatches
    step_size: float
    scale: Scale = None
    exactness: ClassVar[Exactness] = Exactness("biased", "O(1): normal, with the covariance of a Lyapunov equation")

    def init(self, position: Tensor) -> Counted:
        """The state at ``position`` ``[chains, *event]``."""
        return counted(self.source, position)

    def enter(self, own: Counted, other: Any) -> Counted:
        """The state after another kernel has moved the chains to ``other.position``."""
        return own._replace(position=other.position)

    def step(self, state: Counted, *, generator: torch.Generator) -> tuple[Counted, Descended]:
        """One step up the estimated gradient, with no noise but that of its batch."""
        require_state(state, Counted)
        x = state.position
        value, gradient = self.source.estimate(x, generator=generator)
        move = self.step_size / 2 * outwards(self.scale, inwards(self.scale, gradient))
        sizes = torch.full_like(value, self.step_size)
        return Counted(x + move, state.step + 1), descended(value, sizes, gradient)

    def stationary(self, precision: Tensor, gradient_noise: Tensor | float, *, limit: bool = False) -> Tensor:
        """C ``[D, D]``: exactly for a quadratic log f, or with ``limit`` as Mandt et al. predict it, for small steps.

        Args:
            precision: A ``[D, D]``.
            gradient_noise: V: ``[D, D]``, ``[D]`` or a number; see `Minibatches.gradient_noise`.
            limit: solve the continuous Lyapunov equation.
        """
        e, size = self.step_size, len(precision)
        s, a = square(self.scale, size), matrix(precision, size)
        noise = s @ matrix(gradient_noise, size) @ s
        if limit:
            return lyapunov(s @ a, e / 2 * noise)
        return stationary_covariance(torch.eye(size, dtype=torch.float64) - e / 2 * s @ a, e**2 / 4 * noise)


def constant_sgd(
    source: Minibatches, step_size: float | None = None, *, covariance: Tensor | None = None, at: Tensor | None = None
) -> ConstantSGD:
    """Stochastic gradient descent at a constant rate: drift e/2 times the gradient of log f, and no noise of its own.

    Args:
        source: ``posterior.minibatches(n)``. A whole gradient has no noise, and would only climb to the mode.
        step_size: e. None: `optimal_rate` of the gradient's noise at ``at``, with ``covariance`` counted.
        covariance: S, which multiplies the gradient: ``[D, D]`` or ``[D]``; the identity by default.
        at: ``[*event]``, a point near the mode, where the noise is measured for an optimal rate.

    Raises:
        ArgumentError: ``step_size`` is not positive, or there is no noise at ``at``.
        MissingCapability: no minibatches, or neither ``step_size`` nor ``at``.

    >>> import deepgen as dg
    >>> from torch.distributions import Normal
    >>> rows = torch.randn(1000, generator=dg.random.generator(0))
    >>> posterior = dg.samplers.Posterior(Normal(0.0, 1.0), lambda m, x: -(x - m).square() / 2, rows)
    >>> kernel = constant_sgd(posterior.minibatches(10), at=rows.mean()[None])
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 1), draws=50, warmup=50, generator=0)
    >>> bool((trace.draws.var() * 1001 - 1).abs() < 0.15)  # the variance of the posterior is 1 / 1001
    True
    """
    if not isinstance(source, Minibatches):
        raise MissingCapability(
            "constant_sgd needs minibatches, as their noise is all that moves it: posterior.minibatches(n)"
        )
    scale = scale_of(covariance)
    if step_size is None:
        if at is None:
            raise MissingCapability("an optimal rate needs a point near the mode to measure the noise at: at=[*event]")
        noise = source.gradient_noise(at)
        step_size = optimal_rate(square(scale, len(noise)) @ noise.cpu())
    check_given(step_size)
    return ConstantSGD(source, constant(step_size), scale)


def optimal_rate(gradient_noise: Tensor) -> float:
    """e* = 4 D / Tr V, the constant rate whose law is nearest to the posterior; with a preconditioner, of S V.

    Args:
        gradient_noise: V ``[D, D]``, see `Minibatches.gradient_noise`.

    Raises:
        ArgumentError: there is no noise.

    >>> optimal_rate(torch.eye(3) * 8)
    0.5
    """
    total = float(gradient_noise.diagonal().sum())
    if not total > 0:
        raise ArgumentError(f"no rate is best where the gradient has no noise: Tr V must be positive, got {total:.3g}")
    return 4 * len(gradient_noise) / total


def optimal_preconditioner(gradient_noise: Tensor, *, diagonal: bool = False) -> Tensor:
    """4 V^-1 ``[D, D]``, or Mandt's diagonal rule 4 / V_kk ``[D]``: the ``covariance=`` for ``step_size=1``.

    With the whole matrix C = A^-1 for small steps, whatever A is; with the diagonal one if V is diagonal.

    Raises:
        ArgumentError: a direction without noise, in which no step would be long enough.

    >>> optimal_preconditioner(torch.eye(3) * 8, diagonal=True)
    tensor([0.5000, 0.5000, 0.5000])
    """
    inverse, failed = torch.linalg.inv_ex(gradient_noise)
    if bool((gradient_noise.diagonal() <= 0).any()) or (bool(failed) and not diagonal):
        raise ArgumentError("the gradient has no noise in some direction: no step would be long enough there")
    return 4 / gradient_noise.diagonal() if diagonal else 4 * inverse
