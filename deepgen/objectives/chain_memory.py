"""How long persistent chains remember, found while they train: an autocorrelation time in Gibbs steps.

Chains are compared with what they were at a mark, after 1, 2, 4, ... steps: over chains i and units j,

    rho(t) = sum_ij (c_ij(t) - c_j(t)) (c_ij(0) - c_j(0)) / (N(t) N(0)),     N(t)^2 = sum_ij (c_ij(t) - c_j(t))^2,

with c_j the mean over chains, so that units count by their variance. The time is that of

    tau = 1 + 2 sum_{t >= 1} rho(t)

with rho geometric between looks, up to the first look at which it is below 2 / sqrt(chains), two standard errors where
one direction holds all the variance and less where several do; then a new mark is set. Where rho has not fallen so far
yet, the sum up to now is a lower bound of tau. As parts that forget fast and modes that are never left are in one
mean, a share of the variance below that line is not seen.

A pass over the chains at a look, and on a GPU a wait for it: seven of 64 steps where chains forget fast, hardly any
where they do not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.share_means import chain_products, count_chains, over_chains

LEAST = 64  # steps between marks
FEW = 10  # chains


class ChainMemory(NamedTuple):
    """mark: the chains at the mark ``[chains, width]``; age: steps since; rho: at the last look; total: tau up to then;
    found: the last tau that was whole, 0 before the first; done: whether rho has fallen since the mark."""

    mark: Tensor
    age: int = 0
    rho: float = 1.0
    total: float = 1.0
    found: float = 0.0
    done: bool = False

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain."""
        return ("mark",)

    @staticmethod
    def of(chains: Tensor) -> ChainMemory | None:
        """The first mark, or None for fewer chains than tell anything."""
        return ChainMemory(chains.clone()) if len(chains) >= FEW else None

    @property
    def time(self) -> float:
        """tau in steps: the last whole one, or what the present sum has come to where that is more."""
        return max(self.total, self.found)

    def after(self, chains: Tensor) -> ChainMemory:
        """What is remembered one step later.

        >>> chains = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
        >>> memory = ChainMemory(chains)
        >>> for _ in range(64):  # as they were for ever
        ...     memory = memory.after(chains)
        >>> round(memory.time)
        129
        """
        here = self._replace(age=self.age + 1)
        if not here.done and here.age & self.age == 0:  # a power of two
            here = here._looked(chains)
        if here.done and here.age >= LEAST:
            return ChainMemory(chains.clone(), found=here.found)
        return here

    def _looked(self, chains: Tensor) -> ChainMemory:
        norms, product = chain_products(*(x - over_chains(x.mean(0)) for x in (chains, self.mark)))
        rho = product / norms if norms > 0 else 0.0  # chains that are all alike remember nothing
        line = min(2 / math.sqrt(count_chains(len(chains))), 0.5)
        last = max(rho, line / 10)
        total = self.total + 2 * _geometric(self.rho, last, (self.age + 1) // 2)
        done = rho < line
        return self._replace(rho=last, total=total, found=total if done else self.found, done=done)


def _geometric(first: float, last: float, steps: int) -> float:
    """The sum of ``steps`` terms after ``first``, each q times the one before, that end at ``last``."""
    q = min((last / first) ** (1 / steps), 1.0)
    return steps * first if q == 1.0 else first * q * (1 - q**steps) / (1 - q)


def remembered(memory: ChainMemory | None, chains: Tensor, k: int) -> tuple[ChainMemory | None, dict[str, Tensor]]:
    """``memory`` after a step that moved the chains by ``k`` Gibbs steps, and the metric."""
    if memory is None:
        return None, {}
    memory = memory.after(chains)
    return memory, {"autocorrelation": torch.tensor(memory.time * k)}
