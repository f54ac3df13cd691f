"""A local kernel and a far one by turns, so that a network's jumps are always mixed with steps nearby.

A network that misses part of the target leaves the chain to the local kernel there, and the law stays right: each of
the two leaves the target invariant, so both by turns do (their product is not reversible). States are the local
kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.samplers.adaptation import Adaptive
from deepgen.samplers.kernel import Exactness
from deepgen.samplers.target import Beta


class Turns(NamedTuple):
    """acceptance, accepted: of the local step; far: the acceptance of the far one; nan: of either; all ``[chains]``."""

    acceptance: Tensor
    accepted: Tensor
    far: Tensor
    nan: Tensor


@dataclass(frozen=True)
class Alternating:
    """One step of ``local``, then one of ``far``, over the same target: Metropolis kernels both.

    >>> import deepgen as dg
    >>> def ridge(x):
    ...     return -(x[:, 0] - x[:, 1]).square() * 50 - x[:, 0].square() / 2
    >>> far = dg.samplers.metropolis(ridge, dg.samplers.RandomWalk(1.0))
    >>> kernel = Alternating(dg.samplers.mala(ridge, 0.01), far)
    >>> state, info = kernel.step(kernel.init(torch.zeros(4, 2)), generator=dg.random.generator(0))
    >>> kernel.exactness.kind, info.far.shape
    ('exact', torch.Size([4]))
    """

    local: Any
    far: Any

    @property
    def exactness(self) -> Exactness:
        return self.local.exactness & self.far.exactness

    def at(self, beta: Beta) -> Alternating:
        """Both kernels at inverse temperature ``beta``."""
        return replace(self, local=self.local.at(beta), far=self.far.at(beta))

    def init(self, position: Tensor) -> Any:
        """The local kernel's state at ``position`` ``[chains, *event]``."""
        return self.local.init(position)

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Turns]:
        """Both, in this order."""
        state, near = self.local.step(state, generator=generator)
        jumped, far = self.far.step(self.far.init(state.position), generator=generator)
        acceptance = getattr(near, "acceptance", torch.ones_like(far.acceptance))  # of an unadjusted kernel
        accepted = getattr(near, "accepted", torch.ones_like(far.accepted))
        return self.local.init(jumped.position), Turns(acceptance, accepted, far.acceptance, near.nan | far.nan)


@dataclass(frozen=True)
class AdaptiveAlternating:
    """An `Alternating` kernel whose local part is tuned first, alone.

    >>> import deepgen as dg
    >>> target = lambda x: -x.square().sum(-1) / 2
    >>> far = dg.samplers.metropolis(target, dg.samplers.RandomWalk(1.0))
    >>> kernel = AdaptiveAlternating(dg.samplers.mala(target), far)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(50, 2), draws=50, warmup=100, generator=0)
    >>> trace.exactness.kind
    'exact'
    """

    local: Adaptive
    far: Any
    exactness: ClassVar[Exactness] = Exactness("adaptive")

    def init(self, position: Tensor) -> Any:
        """The local kernel's state at ``position`` ``[chains, *event]``."""
        return self.local.init(position)

    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Any]:
        """A step of both as they are before tuning."""
        return Alternating(self.local.kernel, self.far).step(state, generator=generator)

    def tune(self, position: Any, steps: int, *, generator: torch.Generator, tick: Any = None) -> tuple[Any, Any]:
        """Tune the local kernel; return (the frozen pair, the state)."""
        kernel, state = self.local.tune(position, steps, generator=generator, tick=tick)
        return Alternating(kernel, self.far), state
