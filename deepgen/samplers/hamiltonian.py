"""Hamiltonian Monte Carlo: leapfrog steps from a fresh momentum, accepted by the error of the energy.

    v ~ N(0, 1);   v += e/2 L'g(x),   x += e L v,   v += e/2 L'g(x),   ``leaps`` times;   H = -log f(x) + |v|^2 / 2

v is the momentum in whitened coordinates (mass matrix (L L')^-1). The leapfrog preserves volume and is reversible, so
the ratio of Metropolis and Hastings is exp(H - H'). Every chain leaps at once. ``jitter`` j draws the step size of each
chain and step from (1 - j, 1 + j) times e, so that no orbit's period can be met by accident.

A step is ``divergent`` where the energy rises by more than 1000 nats or is not finite (or falls without end): the
leapfrog is no longer near the orbit, and the place where it went wrong is one that chains may hardly reach. A few mean
a step size too long for some part of the target (a funnel's neck), or an edge beyond which the density is 0.

Sources: Neal 2011, "MCMC using Hamiltonian dynamics"; Betancourt 2017, "A conceptual introduction to Hamiltonian Monte
Carlo", for divergences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepgen.errors import check_count, check_real
from deepgen.random import normal, uniform
from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.metropolis import Metropolis, Slope
from deepgen.samplers.scale import Scale, check_given, check_step_size, inwards, moved, outwards, scale_of
from deepgen.samplers.target import Beta, Target, over_reals, rowwise


@dataclass(frozen=True)
class Hamiltonian:
    """The proposal of `hmc`.

    Attributes:
        step_size: e, a number, a 0-d tensor or one a chain ``[chains]``.
        leaps: leapfrog steps a proposal, each with one gradient.
        scale: L, None, ``[D]`` or ``[D, D]``.
        jitter: half the width of the step size's relative spread, at least 0 and below 1.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, Hamiltonian(0.5, leaps=3))
    >>> state, info = kernel.step(kernel.init(torch.zeros(8, 2)), generator=dg.random.generator(0))
    >>> bool(info.acceptance.mean() > 0.9)
    True
    """

    step_size: float | Tensor
    leaps: int = 8
    scale: Scale = None
    jitter: float = 0.0
    acceptance = 0.75
    divergence = 1000.0  # nats of energy

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        check_count(leaps=self.leaps)
        check_real("jitter", self.jitter, 0, 1 - 1e-6)

    def init(self, target: Target, position: Tensor) -> Slope:
        return Slope(position, *over_reals(target, "Hamiltonian").slope(position))

    def propose(self, target: Target, state: Slope, beta: Beta, *, generator: torch.Generator) -> tuple[Slope, Tensor]:
        x, step = state.position, rowwise(self.step_size, state.position)
        if self.jitter:
            wide = uniform((len(x), *(1,) * (x.ndim - 1)), generator=generator, dtype=x.dtype)
            step = step * (1 + self.jitter * (2 * wide - 1))
        start = normal(x.shape, generator=generator, dtype=x.dtype)
        new, end = self.leap(target, state, start, step, beta)
        return new, (start.square() - end.square()).reshape(len(x), -1).sum(1) / 2

    def leap(
        self, target: Target, state: Slope, velocity: Tensor, step: float | Tensor, beta: Beta
    ) -> tuple[Slope, Tensor]:
        """``leaps`` leapfrog steps: the point and the velocity at their end."""
        point, v = state, velocity
        v = moved(v, step / 2, inwards(self.scale, target.tempered_gradient(point.position, point.gradient, beta)))
        for index in range(self.leaps):
            point = self.init(target, moved(point.position, step, outwards(self.scale, v)))
            kick = step if index < self.leaps - 1 else step / 2
            v = moved(v, kick, inwards(self.scale, target.tempered_gradient(point.position, point.gradient, beta)))
        return point, v


def hmc(
    log_density: object,
    step_size: float | Tensor | None = None,
    *,
    leaps: int = 8,
    jitter: float = 0.2,
    covariance: Tensor | None = None,
) -> Metropolis | Adaptive:
    """Hamiltonian Monte Carlo: exact.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]``, a Distribution or a model.
        step_size: e, of one leapfrog step. None: found in the warm-up, and the covariance with it.
        leaps: leapfrog steps, each with one gradient, for one draw.
        jitter: relative spread of the step size.
        covariance: of the target, as well as it is known: ``[D, D]`` or ``[D]`` variances. With ``step_size=None`` a
            first guess.

    >>> import deepgen as dg
    >>> kernel = hmc(lambda x: -x.square().flatten(1).sum(1) / 2, 0.7, leaps=4)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 2, 3, 3), draws=20, warmup=20, generator=0)
    >>> bool((trace.draws.var() - 1).abs() < 0.1)
    True
    """
    if step_size is not None:
        check_given(step_size)
    proposal = Hamiltonian(1.0 if step_size is None else step_size, leaps, scale_of(covariance), jitter)
    kernel = Metropolis(over_reals(log_density, "hmc"), proposal)
    return Adaptive(kernel) if step_size is None else kernel
