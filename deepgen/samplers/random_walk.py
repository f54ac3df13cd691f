"""Random-walk proposals: a normal step of given scale, which needs no gradient.

x' = x + h L xi,    xi ~ N(0, 1);    q is symmetric
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepgen.random import normal
from deepgen.samplers.metropolis import Point
from deepgen.samplers.scale import Scale, check_step_size, moved, outwards
from deepgen.samplers.target import Beta, Target, over_reals, rowwise


@dataclass(frozen=True)
class RandomWalk:
    """Normal steps of standard deviation ``step_size`` times ``scale``.

    Attributes:
        step_size: h, a number, a 0-d tensor or one a chain ``[chains]``; 2.4 / sqrt(D) suits a round target.
        scale: L, None, ``[D]`` or ``[D, D]``; see `deepgen.samplers.scale`.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(lambda x: -x.abs().sum(-1), RandomWalk(1.5))
    >>> state, info = kernel.step(kernel.init(torch.zeros(8, 2)), generator=dg.random.generator(0))
    >>> state.position.shape
    torch.Size([8, 2])
    """

    step_size: float | Tensor
    scale: Scale = None
    acceptance = 0.35  # between 0.44 of one dimension and 0.234 of many (Roberts & Rosenthal 2001)

    def __post_init__(self) -> None:
        check_step_size(self.step_size)

    def init(self, target: Target, position: Tensor) -> Point:
        return Point(position, over_reals(target, "RandomWalk").value(position))

    def propose(self, target: Target, state: Point, beta: Beta, *, generator: torch.Generator) -> tuple[Point, Tensor]:
        x = state.position
        noise = normal(x.shape, generator=generator, dtype=x.dtype)
        new = moved(x, rowwise(self.step_size, x), outwards(self.scale, noise))
        return self.init(target, new), torch.zeros_like(state.log_density)
