"""One step of trajectory tempering: now and then a meeting, a new rung or a rollback; then a step of persistent CD."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import DivergenceError
from deepgen.explicit.rbm import RBM
from deepgen.objectives.chain_memory import ChainMemory
from deepgen.objectives.contrastive_step import ContrastiveState, ContrastiveStep
from deepgen.objectives.trajectory_annealing import Annealed, anneal_both_ways
from deepgen.objectives.trajectory_ladder import Rung, carry, hidden_free_energy, put, twin
from deepgen.objectives.trajectory_meeting import Met, meet
from deepgen.objectives.trajectory_weights import foreseen, least_log_z
from deepgen.random import generator as stream_of

if TYPE_CHECKING:
    from deepgen.objectives.trajectory import TrajectoryTempering

PATIENCE = 30  # rollbacks in a row before it is given up
PROBES = 50  # chains that tell how far the model has gone since they last met partners
STRIDE = 0.2  # the deviation of its log density by then: at 0.5 a mode was lost in a tenth of runs
STRICT = 0.15  # that where looks cost next to nothing
CHEAP = 2000  # weights, up to which that is so; beyond, two steps pass between looks, each about as dear as a step
TELLING = 40  # looks, of which one tells the likelihood of a batch
RESTS = 20  # steps for each temperature between two annealings: about a fortieth of their time


class Counts(NamedTuple):
    """Whole numbers, 0-d on the CPU. since: steps since the last rung, or since chains parted; idle: since the last
    meeting, wait: from that to the next; looks, rungs, rollbacks: how many; failed: rollbacks since the last rung;
    halved: how often the rate is, now; apart: 1 once chains meet no more partners; salt: of the streams of looks."""

    since: Tensor
    idle: Tensor
    wait: Tensor
    looks: Tensor
    rungs: Tensor
    rollbacks: Tensor
    failed: Tensor
    halved: Tensor
    apart: Tensor
    salt: Tensor


class TrajectoryState(NamedTuple):
    """chains and running means as of PCD; family: the chains' among those of the rung's draws; rung: the last; probe:
    chains as they were after the last look ``[probes, hidden]``; level: their F then ``[probes]``; seen: mean
    log-likelihood of the last batch looked at, acceptance, autocorrelation time and by how many nats chains are behind,
    float64 ``[4]``; memory: as of PCD once chains are apart, in a plain tuple, as chains that meet one another must not
    be split over ranks.
    """

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor
    family: Tensor
    rung: Rung
    probe: Tensor
    level: Tensor
    seen: Tensor
    counts: Counts
    memory: tuple[Any, ...] = ()


class TrajectoryStep:
    """The `Update` of ``options`` for one model and optimizer."""

    def __init__(self, model: RBM, optimizer: torch.optim.Optimizer, options: TrajectoryTempering) -> None:
        self.model, self.optimizer, self.options = model, optimizer, options
        self.frozen, self.step = twin(model), ContrastiveStep(model, optimizer, options, options._sample)
        cheap = model.weight.numel() <= CHEAP
        self.least, self.stride = options.least or (1 if cheap else 2), STRICT if cheap else STRIDE
        self.holds: tuple[Tensor, ...] = ()  # whose parameters ``frozen`` has
        self.said: tuple[Tensor | None, dict[str, Tensor]] = (None, {})  # of chains apart, which say the same for long

    def __call__(
        self, state: TrajectoryState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[TrajectoryState, dict[str, Tensor]]:
        if not int(state.counts.apart):
            state = state._replace(counts=state.counts._replace(idle=state.counts.idle + 1))
            if int(state.counts.idle) >= int(state.counts.wait):
                state = self._meet(state, batch, generator)
        if int(state.counts.apart):
            state = self._annealed(state, batch)
        with _slowed(self.optimizer, 0.5 ** int(state.counts.halved)):
            memory = ChainMemory(*state.memory) if state.memory else None
            inner, metrics = self.step(ContrastiveState(*state[:3], memory), batch, generator=generator)
        chains, visible_mean, hidden_mean, memory = inner
        state = state._replace(
            chains=chains, visible_mean=visible_mean, hidden_mean=hidden_mean, memory=tuple(memory or ()),
            counts=state.counts._replace(since=state.counts.since + 1),
        )  # fmt: skip
        if not int(state.counts.apart) or self.said[0] is not state.seen:
            self.said = state.seen, _told(state)
        told = self.said[1]
        measured = metrics.pop("autocorrelation", told["autocorrelation"])  # of chains apart alone
        return state, {**metrics, **told, "autocorrelation": measured}

    @torch.no_grad()
    def _annealed(self, state: TrajectoryState, batch: Tensor) -> TrajectoryState:
        """Now and then the likelihood of a batch, annealed: what chains do is not touched."""
        if int(state.counts.since) % (RESTS * self.options.temperatures):
            return state
        found = annealed(self.model, state, self.options.temperatures)
        seen = state.seen.clone()
        seen[0], seen[3] = self._likelihood(batch, torch.tensor(found.value, dtype=torch.float64)), found.behind
        return state._replace(seen=seen)

    @torch.no_grad()
    def _meet(self, state: TrajectoryState, batch: Tensor, generator: torch.Generator) -> TrajectoryState:
        """Some chains meet partners; where too few would jump, freeze, slow down or take back."""
        options, counts = self.options, state.counts
        since, idle, halved = (int(n) for n in (counts.since, counts.idle, counts.halved))
        if self.holds is not state.rung.parameters:
            put(self.frozen, state.rung.parameters)
            self.holds = state.rung.parameters
        gone = _spread(float(foreseen(state.level - hidden_free_energy(self.model, state.probe))))
        met = meet(
            self.model, self.frozen, state.rung, state.chains, state.family, options.meeting or options.chains,
            moves=options.refresh * idle, generator=generator,
        )  # fmt: skip
        acceptance = min(float(met.chance.mean()), float(foreseen(met.ratio[0])))  # waits for the device
        state = state._replace(
            chains=met.chains, family=met.family, rung=met.rung, probe=met.probe[:PROBES], level=met.level[:PROBES],
            counts=state.counts._replace(looks=state.counts.looks + 1),
        )  # fmt: skip
        steps = idle * self.stride / gone  # in which it goes as far as it may
        wait = max(min(int(steps), idle + 1, options.every), self.least)
        seen = self._seen(batch, state, met, acceptance, wait)
        lost = max(options.lost, 1.5 / len(met.chance))  # of n draws, 1 / n is the least that can be foreseen
        if not acceptance >= (options.freeze if since >= options.pace else lost):
            found = carry(
                self.model, self.frozen, met.rung, met.chains, met.family,
                least=max(options.lost, 1.5 / len(met.rung.draws)), generator=generator,
            )  # fmt: skip
            if found is None:
                return self._take_back(state, acceptance, generator)
            rung, family = found
            rung = rung.lifted(self._bound(rung, met.chains, batch))
            rungs, halved = int(state.counts.rungs) + 1, halved + int(since < options.pace)
            counts = _counts(state.counts, since=0, idle=0, wait=wait, rungs=rungs, failed=0, halved=halved)
            return trusted(state._replace(family=family, rung=rung, seen=seen, counts=counts), options.trust)
        left = since * (_spread(options.freeze) / _spread(acceptance) - 1)  # steps until it is to be frozen
        if acceptance < options.freeze or steps < 1:
            halved += 1
        elif since >= options.pace and since + left > 2 * options.pace and steps > 3 and not int(state.counts.failed):
            halved = max(halved - 1, 0)
        counts = _counts(state.counts, idle=0, wait=max(min(wait, int(left / 2)), self.least), halved=halved)
        return state._replace(seen=seen, counts=counts)

    def _bound(self, rung: Rung, chains: Tensor, batch: Tensor) -> Tensor:
        """What log Z is at least: by distinct hidden layers seen, and by distinct rows of the batch."""
        bounds = [rung.log_z]
        if self.model.hidden.states is not None:
            rows = torch.cat([rung.draws, rung.partners.draws, chains])
            energies = torch.cat([rung.energy, rung.partners.energy, hidden_free_energy(self.model, chains)])
            bounds.append(least_log_z(energies, rows, float(rung.log_z)))
        if self.model.visible.states is not None:
            bounds.append(least_log_z(-self.model.log_density(batch), batch, float(rung.log_z)))
        return torch.stack(bounds).amax()

    def _seen(self, batch: Tensor, state: TrajectoryState, met: Met, acceptance: float, wait: int) -> Tensor:
        """A jump forgets all, so rho falls by the acceptance whenever a chain has its turn: 1 + 2 sum rho."""
        likelihood = float(state.seen[0])
        if int(state.counts.looks) % TELLING == 0:
            likelihood = self._likelihood(batch, met.rung.reach(met.rung.bridge(self.model)[1])[0])
        turns = len(met.chains) / len(met.chance) * wait * self.options.k
        return torch.tensor([likelihood, acceptance, max(turns * (2 / acceptance - 1), 1.0), 0.0], dtype=torch.float64)

    def _likelihood(self, batch: Tensor, log_z: Tensor) -> float:
        """Mean log-likelihood of a batch, whose distinct rows bound log Z."""
        density = self.model.log_density(batch)
        if self.model.visible.states is not None:
            log_z = log_z.to(density.device).maximum(least_log_z(-density, batch, float(log_z)))
        return float(density.double().mean() - log_z)

    def _take_back(self, state: TrajectoryState, acceptance: float, generator: torch.Generator) -> TrajectoryState:
        failed, rung, count = int(state.counts.failed) + 1, state.rung, len(state.chains)
        if failed > PATIENCE:
            raise DivergenceError(
                f"the chains lost the model {failed} times in a row, the last time at an acceptance of "
                f"{acceptance:.2g}, though the rate was halved each time: use more chains, more Gibbs steps k, or "
                "weight decay"
            )
        put(self.model, rung.parameters)
        self.optimizer.state.clear()
        chosen = torch.randperm(len(rung.draws), generator=generator, device=generator.device)[:count]
        chosen = chosen.to(rung.draws.device)
        rollbacks, halved = (int(n) + 1 for n in (state.counts.rollbacks, state.counts.halved))
        counts = _counts(state.counts, since=0, idle=0, wait=1, rollbacks=rollbacks, failed=failed, halved=halved)
        chains, level = rung.draws[chosen], rung.energy[chosen][:PROBES]
        return state._replace(
            chains=chains, family=rung.family[chosen], probe=chains[:PROBES], level=level, counts=counts
        )


def _told(state: TrajectoryState) -> dict[str, Tensor]:
    """The metrics of a state."""
    counts = state.counts
    return {
        "log_likelihood": state.seen[0],
        "acceptance": state.seen[1],
        "autocorrelation": state.seen[2],
        "rungs": counts.rungs.double(),
        "rollbacks": counts.rollbacks.double(),
        "raised": state.rung.raised.double(),
        "slowed": 2.0 ** counts.halved.double(),
        "apart": counts.apart.double(),
        "behind": state.seen[3],
    }


def annealed(model: RBM, state: TrajectoryState, temperatures: int) -> Annealed:
    """log Z of ``model`` by annealing from and to the chains of ``state``, the same whenever it is asked for."""
    stream = stream_of(int(state.counts.salt + state.counts.since), state.chains.device)
    return anneal_both_ways(model, state.chains, state.visible_mean, temperatures, generator=stream)


def trusted(state: TrajectoryState, most: float) -> TrajectoryState:
    """``state``, its chains left to themselves at the full rate where the error of log Z is more than ``most``."""
    if state.rung.error(state.rung.told) <= most:
        return state
    memory = tuple(ChainMemory.of(state.chains) or ())
    return state._replace(memory=memory, counts=_counts(state.counts, since=0, halved=0, apart=1))


def _spread(acceptance: float) -> float:
    """The deviation of l at which an independence sampler between two laws has this acceptance: a = 2 Phi(-s / 2^1/2).

    For l normal; it grows in proportion to the steps where the model moves steadily, from 0. Kept from 1e-6 to 10, so
    that one can be divided by another.
    """
    half = torch.tensor(min(max(acceptance, 1e-12), 1.0) / 2, dtype=torch.float64)
    return max(-math.sqrt(2) * float(torch.special.ndtri(half)), 1e-6)


def _counts(counts: Counts, **values: int) -> Counts:
    return counts._replace(**{name: torch.tensor(value) for name, value in values.items()})


@contextmanager
def _slowed(optimizer: torch.optim.Optimizer, factor: float) -> Iterator[None]:
    """The optimizer at ``factor`` times its rates; whoever schedules them does not see it."""
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        if factor != 1:
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * factor
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
