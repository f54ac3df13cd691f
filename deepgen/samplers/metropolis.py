"""Metropolis-Hastings: any proposal made exact for any target.

    x' ~ q(. | x),    accepted with probability  min(1, f(x') q(x | x') / (f(x) q(x' | x)))

A proposal says what it keeps of a point (`init`: the log density, perhaps a gradient) and how it moves from one
(`propose`: the candidate and log q(x | x') - log q(x' | x)). Both see the target, so that what has been evaluated once
is not evaluated again. At inverse temperature beta the law is f^beta (see `deepgen.samplers.target`); what is kept is
that of f itself, so one state serves all temperatures.

Sources: Metropolis et al. 1953; Hastings 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from deepgen.errors import MissingCapability
from deepgen.samplers.kernel import EXACT, Exactness, accept, require_state
from deepgen.samplers.positions import checked_start
from deepgen.samplers.target import Beta, Target, as_target, check_beta


class Point(NamedTuple):
    """position: ``[chains, *event]``; log_density: log f there, ``[chains]``."""

    position: Tensor
    log_density: Tensor


class Slope(NamedTuple):
    """A `Point` with the gradient of log f ``[chains, *event]``."""

    position: Tensor
    log_density: Tensor
    gradient: Tensor


class Moved(NamedTuple):
    """acceptance: the probability of it; accepted: whether; nan: whether the ratio was NaN; all ``[chains]``."""

    acceptance: Tensor
    accepted: Tensor
    nan: Tensor


class Leapt(NamedTuple):
    """`Moved`, and divergent: whether the energy was off by more than the proposal's ``divergence``; ``[chains]``."""

    acceptance: Tensor
    accepted: Tensor
    nan: Tensor
    divergent: Tensor


@runtime_checkable
class Proposal(Protocol):
    """How candidates are made. Frozen dataclasses: what is learned goes into a new one.

    >>> from deepgen.samplers import RandomWalk
    >>> proposal: Proposal = RandomWalk(step_size=0.5)
    """

    def init(self, target: Target, position: Tensor) -> Any:
        """All that is kept of a position: a NamedTuple with at least ``position`` and ``log_density``."""

    def propose(self, target: Target, state: Any, beta: Beta, *, generator: torch.Generator) -> tuple[Any, Tensor]:
        """(the candidate, kept like ``state``; log q(x | x') - log q(x' | x) ``[chains]``)."""


@dataclass(frozen=True)
class Metropolis:
    """The kernel of `metropolis`. ``at(beta)`` is the same kernel for f^beta, over the same states.

    >>> from deepgen.samplers import RandomWalk
    >>> kernel = Metropolis(Target(lambda x: -x.square().sum(-1) / 2), RandomWalk(step_size=1.0))
    >>> kernel.exactness.kind, kernel.at(0.5).beta
    ('exact', 0.5)
    """

    target: Target
    proposal: Proposal
    beta: Beta = 1.0
    exactness: Exactness = EXACT

    def __post_init__(self) -> None:
        check_beta(self.beta)

    def at(self, beta: Beta) -> Metropolis:
        """The kernel at inverse temperature ``beta``: a number, or one a chain ``[chains]``."""
        return replace(self, beta=beta)

    def log_ratio(self, state: Any, old: Beta, new: Beta) -> Tensor:
        """log of the density at ``new`` over that at ``old``, where the chains are: ``[chains]``."""
        return self.target.log_ratio(state, old, new)

    def init(self, position: Tensor) -> Any:
        """The state at ``position`` ``[chains, *event]``."""
        return self.proposal.init(self.target, checked_start(self.target, position))

    @torch.no_grad()
    def step(self, state: Any, *, generator: torch.Generator) -> tuple[Any, Moved | Leapt]:
        """One proposal for every chain, and whether it is taken."""
        if not hasattr(state, "log_density"):
            require_state(state, Point)
        candidate, log_q = self.proposal.propose(self.target, state, self.beta, generator=generator)
        ratio = self.target.tempered(candidate, self.beta) - self.target.tempered(state, self.beta) + log_q
        outcome = accept(ratio, candidate, state, generator=generator)
        moved = Moved(outcome.acceptance, outcome.accepted, outcome.nan)
        limit = getattr(self.proposal, "divergence", None)
        return outcome.value, moved if limit is None else Leapt(*moved, ~(ratio.isfinite() & (ratio >= -limit)))


def metropolis(log_density: object, proposal: Proposal) -> Metropolis:
    """The exact kernel that proposes by ``proposal`` and accepts by the target.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]``, a Distribution or a model.
        proposal: such as `RandomWalk`, `Langevin`, `Independence`.

    Raises:
        MissingCapability: ``log_density`` is no target, or ``proposal`` no proposal.

    >>> import deepgen as dg
    >>> kernel = metropolis(lambda x: -x.square().sum(-1) / 2, dg.samplers.RandomWalk(step_size=2.0))
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(100, 1), draws=200, warmup=50, generator=0)
    >>> bool((trace.draws.var() - 1).abs() < 0.1)
    True
    """
    if not isinstance(proposal, Proposal) or isinstance(proposal, type):
        kernel, name = hasattr(proposal, "step"), getattr(proposal, "__name__", type(proposal).__name__)
        raise MissingCapability(
            "a proposal has init(target, position) and propose(target, state, beta, *, generator), as RandomWalk(1.0) "
            f"and Independence(a model) have; got {name}{', which is a kernel by itself' if kernel else ''}"
        )
    return Metropolis(as_target(log_density), proposal)
