"""Single flips: the plainest exact kernel on binary rows, without a gradient.

    x' = x with one variable i flipped, i uniform;    q is symmetric

One step moves at most one of D variables, so count D steps for one sweep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepgen.random import uniform
from deepgen.samplers.metropolis import Metropolis, Point
from deepgen.samplers.target import Beta, Target, as_target


@dataclass(frozen=True)
class Flip:
    """The proposal of `flips`.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(lambda x: x.sum(-1), Flip())
    >>> state, info = kernel.step(kernel.init(torch.zeros(8, 3)), generator=dg.random.generator(0))
    >>> state.position.sum(-1)
    tensor([1., 1., 1., 1., 1., 1., 1., 1.])
    """

    def init(self, target: Target, position: Tensor) -> Point:
        return Point(position, target.value(position))

    def propose(self, target: Target, state: Point, beta: Beta, *, generator: torch.Generator) -> tuple[Point, Tensor]:
        rows = state.position.flatten(1)
        where = uniform((len(rows), 1), generator=generator) * rows.shape[1]
        index = where.long().clamp_max(rows.shape[1] - 1)
        moved = rows.scatter(1, index, 1 - rows.gather(1, index)).reshape(state.position.shape)
        return self.init(target, moved), torch.zeros_like(state.log_density)


def flips(log_density: object) -> Metropolis:
    """The exact kernel that flips one variable of ``{0, 1}`` rows a step.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]`` or a model.

    >>> import deepgen as dg
    >>> trace = dg.samplers.sample_chain(flips(lambda x: 2 * x.sum(-1)), torch.zeros(500, 2), draws=50, generator=0)
    >>> bool((trace.draws[20:].mean() - 1 / (1 + torch.tensor(-2.0).exp())).abs() < 0.05)
    True
    """
    return Metropolis(as_target(log_density), Flip())
