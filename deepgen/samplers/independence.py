"""Independence proposals: candidates from a model whose density is known, whatever the chain's place.

    x' ~ q,    log q(x) - log q(x')  is the ratio of the proposals

A chain started at the target then moves as fast as q covers it: the acceptance is 1 where q is the target, and no draw
of the target may be far above q, or the chain stays there long. Source: Tierney 1994.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.samplers.target import Beta, Target
from deepgen.typing import LogProb, Samples, require


class Scored(NamedTuple):
    """A point with log f and log q there, both ``[chains]``."""

    position: Tensor
    log_density: Tensor
    log_proposal: Tensor


@dataclass(frozen=True)
class Independence:
    """Candidates drawn from ``model``, which has `LogProb` and `Samples`.

    Raises:
        MissingCapability: it has not.

    >>> import deepgen as dg
    >>> flow = dg.explicit.RealNVP(2, transforms=2, hidden=[8], generator=0)
    >>> kernel = dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, Independence(flow))
    >>> state, info = kernel.step(kernel.init(torch.zeros(8, 2)), generator=dg.random.generator(0))
    >>> bool(info.acceptance.mean() > 0.5)  # an untrained flow is nearly standard normal
    True
    """

    model: Any

    def __post_init__(self) -> None:
        require(self.model, LogProb, "propose by it")
        require(self.model, Samples, "propose by it")

    @torch.no_grad()
    def init(self, target: Target, position: Tensor) -> Scored:
        return Scored(position, target.value(position), self.model.log_prob(position))

    def propose(
        self, target: Target, state: Scored, beta: Beta, *, generator: torch.Generator
    ) -> tuple[Scored, Tensor]:
        new = self.init(target, self.model.sample(len(state.position), generator=generator).to(state.position))
        return new, state.log_proposal - new.log_proposal
