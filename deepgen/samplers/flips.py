"""Single flips: the plainest exact kernel on discrete rows, without a gradient.

    x' = x with one variable i of D shifted to another of its q values;    q is symmetric

The D (q - 1) shifts and to stay are equally likely: chains that only ever moved would all have the same parity on a
flat target, that of the number of steps. One step moves at most one variable, so count D steps for one sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import constraints

from deepgen.random import uniform
from deepgen.samplers.alphabet import alphabet_of, count_sites, move_of, shifted
from deepgen.samplers.gradient_gibbs import discrete_target
from deepgen.samplers.metropolis import Metropolis, Point
from deepgen.samplers.target import Beta, Target


@dataclass(frozen=True)
class Flip:
    """The proposal of `flips`.

    >>> import deepgen as dg
    >>> kernel = dg.samplers.metropolis(dg.explicit.Ising((2, 3)), Flip())
    >>> state, info = kernel.step(kernel.init(torch.ones(8, 2, 3)), generator=dg.random.generator(0))
    >>> bool(((state.position == -1).sum((1, 2)) <= 1).all())
    True
    """

    def init(self, target: Target, position: Tensor) -> Point:
        alphabet_of(target, position)  # which refuses a target over the real numbers
        return Point(position, target.value(position))

    def propose(self, target: Target, state: Point, beta: Beta, *, generator: torch.Generator) -> tuple[Point, Tensor]:
        x = state.position
        alphabet = alphabet_of(target, x)
        moves = count_sites(alphabet, x) * (alphabet.size - 1)
        number = uniform((len(x), 1), generator=generator, dtype=torch.float64) * (moves + 1)
        site, by = move_of(number.long().clamp_max(moves), alphabet, moves)
        return self.init(target, shifted(alphabet, x, site, by)), torch.zeros_like(state.log_density)


def flips(log_density: object, *, support: Any = None) -> Metropolis:
    """The exact kernel that changes one variable of discrete rows a step, at most.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]`` or a model.
        support: one of those of `gibbs_with_gradients`; a model's or Target's own by default, ``constraints.boolean``
            for what has none.

    Raises:
        MissingCapability: the support is none of these.

    >>> import deepgen as dg
    >>> trace = dg.samplers.sample_chain(flips(lambda x: 2 * x.sum(-1)), torch.zeros(500, 2), draws=50, generator=0)
    >>> bool((trace.draws[20:].mean() - 1 / (1 + torch.tensor(-2.0).exp())).abs() < 0.05)
    True
    """
    if support is None and getattr(log_density, "support", None) is None:
        support = constraints.boolean
    return Metropolis(discrete_target(log_density, support), Flip())
