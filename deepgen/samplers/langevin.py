"""Langevin proposals and kernels: a step up the gradient, and noise.

    x' = x + h/2 S g(x) + sqrt(h) L xi,      g = gradient of log f,   S = L L',   xi ~ N(0, 1)

``step_size`` is h, the variance of the noise: the drift is half of it (Welling and Teh's convention; others call h/2
the step). `mala` accepts or rejects, so that it is exact; `ula` does not, and has its own law, off by O(h): a normal
target of variance s^2 becomes one of variance s^2 / (1 - h / (4 s^2)).

With xi' = -(xi + d), d = sqrt(h)/2 L'(g + g'), what the noise of the way back would have to be, the ratio of the
proposals is (|xi|^2 - |xi'|^2) / 2 = -d.(xi + d/2): no matrix is inverted, and nothing large cancels. Sources: Roberts
& Tweedie 1996, "Exponential convergence of Langevin distributions and their discrete approximations"; Roberts &
Rosenthal 1998 (acceptance 0.574).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.random import normal
from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.kernel import Exactness, require_state
from deepgen.samplers.metropolis import Metropolis, Slope
from deepgen.samplers.positions import checked_start
from deepgen.samplers.scale import Scale, check_given, check_step_size, inwards, moved, outwards, scale_of
from deepgen.samplers.target import Beta, Target, check_beta, over_reals, rowwise


@dataclass(frozen=True)
class Langevin:
    """The proposal of `mala`.

    Attributes:
        step_size: h, a number, a 0-d tensor or one a chain ``[chains]``.
        scale: L, None, ``[D]`` or ``[D, D]``.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, Langevin(0.5))
    >>> kernel.init(torch.ones(2, 3)).gradient
    tensor([[-1., -1., -1.],
            [-1., -1., -1.]])
    """

    step_size: float | Tensor
    scale: Scale = None
    acceptance = 0.574

    def __post_init__(self) -> None:
        check_step_size(self.step_size)

    def init(self, target: Target, position: Tensor) -> Slope:
        return Slope(position, *over_reals(target, "Langevin").slope(position))

    def propose(self, target: Target, state: Slope, beta: Beta, *, generator: torch.Generator) -> tuple[Slope, Tensor]:
        x, root = state.position, rowwise(self.step_size, state.position) ** 0.5
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        there = inwards(self.scale, target.tempered_gradient(x, state.gradient, beta))
        new = self.init(target, moved(x, root, outwards(self.scale, moved(noise, root / 2, there))))
        back = inwards(self.scale, target.tempered_gradient(new.position, new.gradient, beta))
        drift = root / 2 * (there + back)
        return new, -(drift * moved(noise, 0.5, drift)).reshape(len(x), -1).sum(1)


def mala(
    log_density: object, step_size: float | Tensor | None = None, *, covariance: Tensor | None = None
) -> Metropolis | Adaptive:
    """The Metropolis-adjusted Langevin algorithm: exact.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]``, a Distribution or a model.
        step_size: h, the variance of the noise. None: found in the warm-up, and the covariance with it.
        covariance: of the noise and the drift, ``[D, D]`` or ``[D]`` variances; the identity by default. With
            ``step_size=None`` a first guess.

    Returns:
        A kernel; with ``step_size=None`` one that `sample_chain` adapts in its warm-up and then freezes.

    >>> import deepgen as dg
    >>> def log_density(x):  # standard deviations 1 and 100
    ...     return -(x / torch.tensor([1.0, 100.0])).square().sum(-1) / 2
    >>> trace = dg.samplers.sample_chain(mala(log_density), torch.zeros(64, 2), draws=200, warmup=300, generator=0)
    >>> sd = trace.draws.flatten(0, 1).std(0)
    >>> bool((sd / torch.tensor([1.0, 100.0]) - 1).abs().max() < 0.2), trace.exactness.kind
    (True, 'exact')
    """
    if step_size is not None:
        check_given(step_size)
    target = over_reals(log_density, "mala")
    if step_size is None:
        return Adaptive(Metropolis(target, Langevin(1.0, scale_of(covariance))))
    return Metropolis(target, Langevin(step_size, scale_of(covariance)))


class Walked(NamedTuple):
    """nan: chains whose log density or gradient is NaN where they went ``[chains]``."""

    nan: Tensor


@dataclass(frozen=True)
class UnadjustedLangevin:
    """The kernel of `ula`.

    >>> ula(lambda x: -x.square().sum(-1) / 2, 0.1).exactness
    Exactness(kind='biased', note='O(step size)')
    """

    target: Target
    step_size: float | Tensor
    scale: Scale = None
    beta: Beta = 1.0
    exactness: ClassVar[Exactness] = Exactness("biased", "O(step size)")

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        check_beta(self.beta)

    def at(self, beta: Beta) -> UnadjustedLangevin:
        """The kernel at inverse temperature ``beta``."""
        return replace(self, beta=beta)

    def init(self, position: Tensor) -> Slope:
        position = checked_start(self.target, position)
        return Slope(position, *self.target.slope(position))

    @torch.no_grad()
    def step(self, state: Slope, *, generator: torch.Generator) -> tuple[Slope, Walked]:
        """One gradient."""
        require_state(state, Slope)
        x, root = state.position, rowwise(self.step_size, state.position) ** 0.5
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        uphill = inwards(self.scale, self.target.tempered_gradient(x, state.gradient, self.beta))
        new = moved(x, root, outwards(self.scale, moved(noise, root / 2, uphill)))
        value, gradient = self.target.slope(new)
        return Slope(new, value, gradient), Walked(value.isnan() | gradient.isnan().reshape(len(value), -1).any(1))


def ula(log_density: object, step_size: float | Tensor, *, covariance: Tensor | None = None) -> UnadjustedLangevin:
    """The unadjusted Langevin algorithm: biased of order ``step_size``, never rejecting.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]``, a Distribution or a model.
        step_size: h, the variance of the noise; the drift is h/2 times the gradient.
        covariance: of the noise and the drift, ``[D, D]`` or ``[D]`` variances; the identity by default.

    >>> import deepgen as dg
    >>> kernel = ula(lambda x: -x.square().sum(-1) / 2, 1.0)  # its variance is 1 / (1 - 1/4)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(2000, 1), draws=20, warmup=20, generator=0)
    >>> bool((trace.draws.var() - 4 / 3).abs() < 0.1)
    True
    """
    check_given(step_size)
    return UnadjustedLangevin(over_reals(log_density, "ula"), step_size, scale_of(covariance))
