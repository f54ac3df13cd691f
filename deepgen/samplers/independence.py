"""Independence Metropolis: candidates from a model that does not look at where the chain is, drawn and scored ahead.

    x' ~ q,    accepted with probability  min(1, w(x') / w(x)),     w = f / q

Exact for every q that is positive where f is. How well it mixes is all in w: acceptance is the overlap of q and f, and
a point whose w is R times the mean is left once in about R steps. Where w has no bound (q with lighter tails than f,
or a mode that q misses) there are points that hold a chain for ever longer; a base with heavy tails
(`deepgen.distributions.StudentT`) bounds it in many cases, and a local kernel beside this one moves a held chain on.

Since a candidate owes nothing to the chain, the next ``ahead`` of each chain come from one pass of the model and one of
the target, and a step is only a comparison. Sources: Hastings 1970; Tierney 1994; Liu 1996, "Metropolized independent
sampling"; with flows Albergo, Kanwar & Shanahan 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from deepgen.errors import MissingCapability, ShapeError, check_count
from deepgen.samplers.candidates import candidates, check_model
from deepgen.samplers.kernel import EXACT, Exactness, accept, require_state
from deepgen.samplers.laws import unchecked
from deepgen.samplers.positions import checked_start
from deepgen.samplers.target import Beta, Target, as_target, check_beta


class Scored(NamedTuple):
    """position ``[chains, *event]``, log f and log q there ``[chains]``; of candidates ``[chains, ahead, ...]``."""

    position: Tensor
    log_density: Tensor
    log_q: Tensor


@dataclass(frozen=True)
class Independence:
    """The proposal of `independence`, for `metropolis`: a candidate a chain and step, none ahead.

    Attributes:
        model: with `LogProb` and `Samples`, such as a flow, or a torch Distribution over one event.

    >>> import deepgen as dg
    >>> q = torch.distributions.MultivariateNormal(torch.zeros(2), 4 * torch.eye(2))
    >>> kernel = dg.samplers.metropolis(lambda x: -x.square().sum(-1) / 2, Independence(q))
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(500, 2), draws=100, warmup=50, generator=0)
    >>> bool((trace.draws.var() - 1).abs() < 0.05)  # the target's, where q has 4
    True
    """

    model: Any

    def __post_init__(self) -> None:
        check_model(self.model)

    @torch.no_grad()
    def init(self, target: Target, position: Tensor) -> Scored:
        law = self.model
        if isinstance(law, Distribution):
            if law.event_shape not in (position.shape[1:], torch.Size()):  # () is told of below
                raise ShapeError(
                    f"the law is over events {list(law.event_shape)}, the chains are at {list(position.shape[1:])}"
                )
            law = unchecked(law)
        log_q = law.log_prob(position)
        if log_q.shape != position.shape[:1]:
            raise ShapeError(
                f"log_prob of {len(position)} chains must be [{len(position)}], got {list(log_q.shape)}: "
                "torch.distributions.Independent(law, 1) sums it over the last axis"
            )
        return Scored(position, target.value(position), log_q)

    def propose(
        self, target: Target, state: Scored, beta: Beta, *, generator: torch.Generator
    ) -> tuple[Scored, Tensor]:
        waiting = self.draw(target, len(state.position), 1, generator=generator)
        new = Scored(*(field[:, 0] for field in waiting))
        return new, state.log_q - new.log_q

    def draw(self, target: Target, chains: int, ahead: int, *, generator: torch.Generator) -> Scored:
        """``ahead`` candidates a chain, scored: ``[chains, ahead, ...]``."""
        x, log_q = candidates(self.model, chains, ahead, generator=generator)
        return Scored(x, target.value(x.flatten(0, 1)).view(chains, ahead), log_q)


class Waiting(NamedTuple):
    """A `Scored` chain, and the candidates that wait for it: ``[chains, left, ...]``, fewer by one with each step."""

    position: Tensor
    log_density: Tensor
    log_q: Tensor
    waiting: Scored


class Weighed(NamedTuple):
    """acceptance, accepted, nan as of `Metropolis`; log_weight: log f / q of the candidate, held: of where the chain
    then is; all ``[chains]``."""

    acceptance: Tensor
    accepted: Tensor
    nan: Tensor
    log_weight: Tensor
    held: Tensor


@dataclass(frozen=True)
class IndependenceKernel:
    """The kernel of `independence`. The candidates that wait are part of the state, so a step stays a pure function."""

    target: Target
    proposal: Independence
    ahead: int = 16
    beta: Beta = 1.0
    exactness: Exactness = EXACT

    def __post_init__(self) -> None:
        check_beta(self.beta)

    def at(self, beta: Beta) -> IndependenceKernel:
        """The kernel at inverse temperature ``beta``, with the same q and over the same states."""
        return replace(self, beta=beta)

    def init(self, position: Tensor) -> Waiting:
        """The state at ``position`` ``[chains, *event]``, nothing waiting yet."""
        here = self.proposal.init(self.target, checked_start(self.target, position))
        return Waiting(*here, Scored(*(field.unsqueeze(1)[:, :0] for field in here)))

    def enter(self, own: Waiting, other: Any) -> Waiting:
        """The state after another kernel has moved the chains to ``other.position``: what waits for them stays."""
        here = self.proposal.init(self.target, other.position)
        return Waiting(here.position, here.log_density, here.log_q, own.waiting)

    def step(self, state: Waiting, *, generator: torch.Generator) -> tuple[Waiting, Weighed]:
        """The next candidate of each chain, and whether it is taken."""
        require_state(state, Waiting)
        here, waiting = Scored(*state[:3]), state.waiting
        if waiting.log_q.shape[1] == 0:
            waiting = self.proposal.draw(self.target, len(here.position), self.ahead, generator=generator)
        new = Scored(*(field[:, 0] for field in waiting))
        # views: what has been used is freed with the block
        left = Scored(*(field[:, 1:] for field in waiting))
        ratio = self.target.tempered(new, self.beta) - self.target.tempered(here, self.beta) + here.log_q - new.log_q
        outcome = accept(ratio, new, here, generator=generator)
        weight = new.log_density - new.log_q
        kept = outcome.value
        after = Waiting(kept.position, kept.log_density, kept.log_q, left)
        return after, Weighed(outcome.acceptance, outcome.accepted, outcome.nan, weight, kept.log_density - kept.log_q)


def independence(log_density: object, model: object, *, ahead: int = 16) -> IndependenceKernel:
    """Independence Metropolis with candidates from ``model``: exact.

    Args:
        log_density: a `Target`, a function ``[chains, *event] -> [chains]``, a Distribution or a model.
        model: q, with `LogProb` and `Samples`: a flow, an autoregressive model, or a torch Distribution over one event.
            Its parameters must not change while chains run.
        ahead: candidates a chain that are drawn and scored in one pass; it changes cost, not law.

    Raises:
        MissingCapability: ``model`` cannot be drawn from, or has no normalised density.

    >>> import deepgen as dg
    >>> q = torch.distributions.MultivariateNormal(torch.zeros(2), 4 * torch.eye(2))
    >>> kernel = independence(dg.data.gaussian_mixture(), q)
    >>> trace = dg.samplers.sample_chain(kernel, torch.zeros(200, 2), draws=100, warmup=50, generator=0)
    >>> bool((trace.draws.mean((0, 1)) - torch.tensor([0.8, 0.7])).abs().max() < 0.3)
    True
    >>> heaviest(trace.info) > 5  # q hardly reaches the third Gaussian, at (-1, 4)
    True
    """
    check_count(ahead=ahead)
    return IndependenceKernel(as_target(log_density), Independence(model), int(ahead))


def heaviest(info: Mapping[str, Tensor]) -> float:
    """The greatest weight f/q where a chain was, over the mean weight: about how many steps it would stay there.

    Small beside the length of the chains, or they have not mixed. Still growing with more draws, the weights have no
    bound that has been seen, and a chain of this kernel alone no error that can be believed: give q heavier tails, and
    put a local kernel beside it, which moves on from such points (and into them, so with it the number means less).

    Args:
        info: of a trace of `independence`.

    Raises:
        MissingCapability: of another kernel's trace.

    >>> heaviest({"log_weight": torch.zeros(10, 4), "held": torch.full((10, 4), 3.0)})  # e^3
    20.08...
    """
    if "log_weight" not in info or "held" not in info:
        raise MissingCapability(
            "heaviest takes the info of a trace of independence by itself, with log_weight and held; "
            f"got {', '.join(info) or 'nothing'}"
        )
    proposed, held = info["log_weight"].flatten().double(), info["held"].double()
    return float((held.max() - proposed.logsumexp(0) + math.log(len(proposed))).exp())
