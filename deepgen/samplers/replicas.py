"""Replica exchange: copies of a chain at rising temperatures, which trade them.

    p(x_0, ..., x_K-1) = prod_r p_r(x_r),      p_r ~ f^beta_r  (or f^beta_r ref^(1 - beta_r)),      beta_K-1 = 1

A step moves every replica by the kernel at its own beta, then proposes to exchange the temperatures of neighbours r and
r + 1, for even r and odd r in turn, and does so with probability

    min(1, [p_r(x_r+1) p_r+1(x_r)] / [p_r(x_r) p_r+1(x_r+1)]).

Turns instead of a coin make the walk through the ladder persistent. As rungs are added, and if moves forget between
swaps, the rate of round trips of all replicas together stays above zero, where with a coin it falls like one over the
number of rungs. A single replica needs a step for every rung that it crosses, at least. Each half leaves p invariant,
so the composition does. Chains times rungs are the rows of one batched call. States stay where they are and keep what
they have cached.

Sources: Swendsen & Wang 1986; Geyer 1991; Okabe et al. 2001 (even and odd in turn); Syed, Bouchard-Côté, Deligiannidis
& Doucet 2022, "Non-reversible parallel tempering".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError
from deepgen.random import uniform
from deepgen.samplers.handover import entered
from deepgen.samplers.kernel import EXACT, Exactness, require_state
from deepgen.samplers.metropolis import Metropolis
from deepgen.samplers.positions import require_chains
from deepgen.samplers.temperature import log_ratio, require_temperable
from deepgen.share import some_each
from deepgen.streams import Streams


class Ledger(NamedTuple):
    """Sums over the steps since the warm-up, each ``[chains, rungs - 1]`` in float64, one for every pair of neighbours.

    swapped: of the probability to swap; up, down: log of the sums of sqrt(f_r+1 / f_r) at x_r and of
    sqrt(f_r / f_r+1) at x_r+1, whose ratio estimates Z_r+1 / Z_r.
    """

    swapped: Tensor
    up: Tensor
    down: Tensor


class Replicas(NamedTuple):
    """State of `Tempering`; replicas stay in their place, and their rungs move.

    position: of the replica at beta = 1, ``[chains, *event]``; moving: the kernel's own state with two axes in front,
    ``[chains, rungs, ...]``; rung: on which rung each replica is, 0 being the hottest, ``[chains, rungs]``; clock:
    steps since the ledger was opened ``[chains]``; heading: 1 for replicas that have been hottest since they were
    coldest, -1 for those that have not, 0 for those that have been neither; trips: completed round trips ``[chains]``.
    """

    position: Tensor
    moving: Any
    rung: Tensor
    clock: Tensor
    heading: Tensor
    trips: Tensor
    ledger: Ledger

    def per_chain(self) -> tuple[str, ...]:
        """The fields that have a row for each chain: all."""
        return self._fields


class Swapped(NamedTuple):
    """acceptance: of the kernel at beta = 1 (None if it reports none) ``[chains]``; swap: mean probability to swap over
    the pairs tried ``[chains]``; cold: which replica is at beta = 1 ``[chains]``; trips: round trips completed in this
    step ``[chains]``; nan: of a move or a swap ``[chains]``; swaps: by pair ``[chains, rungs - 1]``, NaN where none was
    tried; moves: acceptance by rung ``[chains, rungs]``, or None; divergent: of a move on any rung ``[chains]``, or
    None if the kernel reports none.
    """

    acceptance: Tensor | None
    swap: Tensor
    cold: Tensor
    trips: Tensor
    nan: Tensor
    swaps: Tensor
    moves: Tensor | None
    divergent: Tensor | None


class Tables(NamedTuple):
    """What a step looks up, on the device of the chains."""

    betas: Tensor
    active: Tensor  # [2, rungs - 1]: which pairs are tried at even and at odd steps
    partner: Tensor  # [2, rungs]: with whom; with itself at an end that is not in a pair
    steps: Tensor | None


@dataclass(frozen=True)
class Tempering:
    """The kernel of `tempering`, with its ladder fixed.

    Attributes:
        kernel: an exact kernel with ``at(beta)``, see `deepgen.samplers.temperature`.
        betas: ``[rungs]``, rising to 1.
        step_sizes: None (the kernel's own on all rungs), or one a rung ``[rungs]`` for a Metropolis kernel.

    Raises:
        MissingCapability: ``kernel`` is biased, or has no ``at``.

    >>> import deepgen as dg
    >>> kernel = Tempering(dg.samplers.mala(lambda x: -x.square().sum(-1), 0.5), torch.tensor([0.1, 0.5, 1.0]))
    >>> state, info = kernel.step(kernel.init(torch.zeros(8, 2)), generator=dg.random.streams(0))
    >>> state.position.shape, info.swaps.shape
    (torch.Size([8, 2]), torch.Size([8, 2]))
    """

    kernel: Any
    betas: Tensor
    step_sizes: Tensor | None = None
    exactness: ClassVar[Exactness] = EXACT
    _tables: dict[Any, Tables] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_temperable(self.kernel, "tempering")
        if self.step_sizes is not None and self.step_sizes.shape != self.betas.shape:
            raise ShapeError(f"step_sizes are one a rung, [{len(self.betas)}], got {list(self.step_sizes.shape)}")
        if self.step_sizes is not None and not isinstance(self.kernel, Metropolis):
            raise ArgumentError(f"step_sizes are of a Metropolis kernel, and {type(self.kernel).__name__} is none")

    def init(self, position: Tensor) -> Replicas:
        """The state of chains ``[chains, *event]``, all replicas of a chain at its position."""
        position = require_chains(position)
        return self.start(position.unsqueeze(1).expand(-1, len(self.betas), *position.shape[1:]))

    def start(self, positions: Tensor) -> Replicas:
        """The state of replicas at ``positions`` ``[chains, rungs, *event]``, the hottest first."""
        chains, rungs = positions.shape[:2]
        moving = unfold(self.kernel.init(positions.flatten(0, 1)), chains)
        device = moving.position.device
        zero = torch.zeros(chains, dtype=torch.int64, device=device)
        return Replicas(
            moving.position[:, -1].clone(),
            moving,
            torch.arange(rungs, device=device).expand(chains, -1).contiguous(),
            zero,
            torch.zeros(chains, rungs, dtype=torch.int8, device=device),
            zero.clone(),
            _opened((chains, rungs), device),
        )

    def after_warmup(self, state: Replicas) -> Replicas:
        """The state with a new ledger, and no steps and trips counted; replicas stay, on their rungs and under way."""
        clock, trips = torch.zeros_like(state.clock), torch.zeros_like(state.trips)
        return state._replace(clock=clock, trips=trips, ledger=_opened(state.rung.shape, state.rung.device))

    def replicas(self, state: Replicas) -> Tensor:
        """Positions by rung, the hottest first: ``[chains, rungs, *event]``."""
        return by_rung(state.moving.position, state.rung)

    def enter(self, own: Replicas, other: Any) -> Replicas:
        """The state ``own`` after another kernel has moved the replica at beta = 1 to ``other.position``."""
        cold, rows = own.rung.argmax(1), torch.arange(len(own.rung), device=own.rung.device)

        def put(there: Tensor, new: Tensor) -> Tensor:
            return there.index_put((rows, cold), new)

        moved = entered(self.kernel, _map(lambda x: x[rows, cold], own.moving), None, other)
        return own._replace(position=other.position, moving=_map(put, own.moving, moved))

    @torch.no_grad()
    def step(self, state: Replicas, *, generator: torch.Generator) -> tuple[Replicas, Swapped]:
        """A move of every replica, and swaps of every second pair of neighbours."""
        require_state(state, Replicas)
        chains, rungs = state.rung.shape
        if rungs != len(self.betas):
            raise ShapeError(
                f"the state has {rungs} rungs, the ladder {len(self.betas)}: go on with the trace's kernel"
            )
        tables = self._at(state)
        beta = tables.betas[state.rung]
        kernel = self._kernel(tables, beta, state.rung)
        streams: AbstractContextManager[Any] = some_each(rungs)
        if isinstance(generator, Streams):
            streams = generator.rows(rungs)
        with streams:
            rows, info = kernel.step(_map(lambda x: x.flatten(0, 1), state.moving), generator=generator)

        turn = state.clock % 2
        tried, partner = tables.active[turn], tables.partner[turn]
        other = tables.betas[partner.gather(1, state.rung)]
        gain = log_ratio(self.kernel, rows, beta.flatten(), other.flatten()).unflatten(0, (chains, rungs))
        gain = by_rung(gain, state.rung).double()  # log f_partner - log f_own of what is on each rung
        ratio = gain[:, :-1] + gain[:, 1:]
        chance = torch.where(tried, ratio.exp().clamp_max(1.0).nan_to_num(0.0), 0.0)
        swapped = (uniform(ratio.shape, generator=generator, dtype=chance.dtype) < chance).long()
        to = torch.nn.functional.pad(swapped, (0, 1)) - torch.nn.functional.pad(swapped, (1, 0))  # a rung up or down
        rung = state.rung + to.gather(1, state.rung)

        cold, hottest = rung == rungs - 1, rung == 0
        trips = (cold & (state.heading == 1)).sum(1)
        heading = state.heading.masked_fill(hottest & (state.heading == -1), 1).masked_fill(cold, -1)
        ledger = Ledger(
            state.ledger.swapped + chance,
            torch.where(tried, torch.logaddexp(state.ledger.up, gain[:, :-1] / 2), state.ledger.up),
            torch.where(tried, torch.logaddexp(state.ledger.down, gain[:, 1:] / 2), state.ledger.down),
        )
        moving, index = unfold(rows, chains), rung.argmax(1)
        position = moving.position[torch.arange(chains, device=rung.device), index]
        after = Replicas(position, moving, rung, state.clock + 1, heading, state.trips + trips, ledger)

        nan = (ratio.isnan() & tried).any(1)
        if hasattr(info, "nan"):
            nan = nan | info.nan.unflatten(0, (chains, rungs)).any(1)
        moves, diverged = getattr(info, "acceptance", None), getattr(info, "divergent", None)
        if moves is not None:
            moves = by_rung(moves.unflatten(0, (chains, rungs)), state.rung)
        seen = Swapped(
            None if moves is None else moves[:, -1],
            chance.sum(1) / tried.sum(1),
            index,
            trips,
            nan,
            chance.masked_fill(~tried, torch.nan),
            moves,
            None if diverged is None else diverged.unflatten(0, (chains, rungs)).any(1),
        )
        return after, seen

    def _kernel(self, tables: Tables, beta: Tensor, rung: Tensor) -> Any:
        if tables.steps is None:
            return self.kernel.at(beta.flatten())
        proposal = replace(self.kernel.proposal, step_size=tables.steps[rung].flatten())
        return replace(self.kernel, proposal=proposal, beta=beta.flatten())

    def _at(self, state: Replicas) -> Tables:
        """The tables where the chains are: copied there once, since every copy would wait for the device."""
        x = state.moving.position
        key = (x.device, x.dtype)
        if key not in self._tables:
            rungs = torch.arange(len(self.betas), device=x.device)
            odd = torch.arange(2, device=x.device).unsqueeze(1) * (
                len(rungs) > 2
            )  # a single pair is tried at every step
            partner = rungs + 1 - 2 * ((rungs - odd) % 2)
            partner = torch.where((partner < 0) | (partner >= len(rungs)), rungs, partner)
            steps = None if self.step_sizes is None else self.step_sizes.to(x)
            active = (rungs[:-1] - odd) % 2 == 0
            self._tables[key] = Tables(self.betas.to(x), active, partner, steps)
        return self._tables[key]


def _opened(shape: Sequence[int], device: torch.device) -> Ledger:
    chains, rungs = shape
    zero = torch.zeros(chains, rungs - 1, dtype=torch.float64, device=device)
    none = torch.full_like(zero, -torch.inf)
    return Ledger(zero, none, none.clone())


def by_rung(values: Tensor, rung: Tensor) -> Tensor:
    """``[chains, replicas, ...]`` in the order of their rungs ``[chains, replicas]``.

    >>> by_rung(torch.tensor([[7, 8, 9]]), torch.tensor([[2, 0, 1]]))
    tensor([[8, 9, 7]])
    """
    place = rung.reshape(*rung.shape, *(1,) * (values.ndim - 2)).expand_as(values)
    return torch.empty_like(values).scatter_(1, place, values)


def unfold(state: Any, chains: int) -> Any:
    """A state of rows ``[chains * rungs, ...]`` as one of chains ``[chains, rungs, ...]``."""
    return _map(lambda x: x.unflatten(0, (chains, -1)), state)


def _map(function: Callable[..., Tensor], state: Any, *others: Any) -> Any:
    """``function`` of every tensor in a state; what is neither a tensor nor holds any stays."""
    if isinstance(state, Tensor):
        return function(state, *others)
    if not isinstance(state, tuple):
        return state
    parts = [_map(function, *fields) for fields in zip(state, *others, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
