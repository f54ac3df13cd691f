"""Random-walk proposals: a normal step of given scale, which needs no gradient.

x' = x + h L xi,    xi ~ N(0, 1);    q is symmetric

The aim of its acceptance is 0.44 in one dimension and 0.234, the limit of many, in all others; between, the best is a
little higher (0.35 in two), and the speed hardly depends on it. Sources: Metropolis et al. 1953; Roberts, Gelman &
Gilks 1997, "Weak convergence and optimal scaling of random walk Metropolis algorithms".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepgen.random import normal
from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.metropolis import Metropolis, Point
from deepgen.samplers.scale import Scale, check_given, check_step_size, moved, outwards, scale_of
from deepgen.samplers.target import Beta, Target, over_reals, rowwise


@dataclass(frozen=True)
class RandomWalk:
    """Normal steps of standard deviation ``step_size`` times ``scale``.

    Attributes:
        step_size: h, a number, a 0-d tensor or one a chain ``[chains]``; 2.4 / sqrt(D) suits a round target.
        scale: L, None, ``[D]`` or ``[D, D]``; see `deepgen.samplers.scale`.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(lambda x: -x.abs().sum(-1), RandomWalk(2.0))
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 2), draws=100, warmup=50, generator=0)
    >>> bool((trace.draws.abs().mean() - 1).abs() < 0.03)  # of the law exp(-|x|) / 2
    True
    """

    step_size: float | Tensor
    scale: Scale = None
    acceptance = 0.234
    acceptance_in_one = 0.44

    def __post_init__(self) -> None:
        check_step_size(self.step_size)

    def init(self, target: Target, position: Tensor) -> Point:
        return Point(position, over_reals(target, "RandomWalk").value(position))

    def propose(self, target: Target, state: Point, beta: Beta, *, generator: torch.Generator) -> tuple[Point, Tensor]:
        x = state.position
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        new = moved(x, rowwise(self.step_size, x), outwards(self.scale, noise))
        return self.init(target, new), torch.zeros_like(state.log_density)


def random_walk(
    log_density: object, step_size: float | Tensor | None = None, *, covariance: Tensor | None = None
) -> Metropolis | Adaptive:
    """Random-walk Metropolis: exact, and without a gradient.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]``, a Distribution or a model.
        step_size: h, the standard deviation of a step along each axis. None: found in the warm-up, and the covariance
            with it.
        covariance: of the steps, up to h^2: ``[D, D]`` or ``[D]`` variances; the identity by default. With
            ``step_size=None`` a first guess.

    Returns:
        A kernel; with ``step_size=None`` one that `sample_chain` adapts in its warm-up and then freezes.

    >>> import deepgen as dg
    >>> def log_density(x):  # standard deviations 1 and 100
    ...     return -(x / torch.tensor([1.0, 100.0])).square().sum(-1) / 2
    >>> trace = dg.samplers.sample_chain(random_walk(log_density), torch.zeros(64, 2), 300, warmup=400, generator=0)
    >>> sd = trace.draws.flatten(0, 1).std(0)
    >>> bool((sd / torch.tensor([1.0, 100.0]) - 1).abs().max() < 0.2), trace.exactness.kind
    (True, 'exact')
    """
    if step_size is not None:
        check_given(step_size)
    target = over_reals(log_density, "random_walk")
    kernel = Metropolis(target, RandomWalk(1.0 if step_size is None else step_size, scale_of(covariance)))
    return Adaptive(kernel) if step_size is None else kernel
