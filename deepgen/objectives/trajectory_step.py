"""One step of trajectory tempering: now and then swaps, a new rung or a rollback; then a step of persistent CD."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from deepgen.errors import DivergenceError
from deepgen.explicit.rbm import RBM
from deepgen.objectives.contrastive_step import ContrastiveState, ContrastiveStep
from deepgen.objectives.trajectory_ladder import Reservoir, Rung, Swept, advance, foreseen, put, sweep, twin

if TYPE_CHECKING:
    from deepgen.objectives.trajectory import TrajectoryTempering

PATIENCE = 30  # rollbacks in a row before it is given up
FINEST = 1 / 8  # of the way to a rung that is made by way of others
JUMP = 0.1  # of the acceptance from one swap to the next, which halves the steps between them


class Counts(NamedTuple):
    """Whole numbers, 0-d on the CPU. since: steps since the last rung; wait: steps until the next swap; rungs,
    rollbacks: how many; failed: rollbacks in a row; sound: rungs since the last one; halved: how often the rate is, at
    present; pace: steps between swaps while nothing else is the matter."""

    since: Tensor
    wait: Tensor
    rungs: Tensor
    rollbacks: Tensor
    failed: Tensor
    sound: Tensor
    halved: Tensor
    pace: Tensor


class TrajectoryState(NamedTuple):
    """chains and running means as of PCD; rung: the last; reservoir, energy: its draws as swaps have left them, and
    their free energies in it; seen: mean log-likelihood of the last batch looked at, and acceptance, float64
    ``[2]``."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor
    rung: Rung
    reservoir: Tensor
    energy: Tensor
    seen: Tensor
    counts: Counts


class TrajectoryStep:
    """The `Update` of ``options`` for one model and optimizer."""

    def __init__(self, model: RBM, optimizer: torch.optim.Optimizer, options: TrajectoryTempering) -> None:
        self.model, self.optimizer, self.options = model, optimizer, options
        self.frozen, self.step = twin(model), ContrastiveStep(model, optimizer, options, options._sample)

    def __call__(
        self, state: TrajectoryState, batch: Tensor, *, generator: torch.Generator
    ) -> tuple[TrajectoryState, dict[str, Tensor]]:
        counts = state.counts
        if int(counts.wait) <= 1:
            state = self._meet(state, batch, generator)
        else:
            state = state._replace(counts=counts._replace(wait=counts.wait - 1))
        with _slowed(self.optimizer, 0.5 ** int(state.counts.halved)):
            inner, metrics = self.step(ContrastiveState(*state[:3]), batch, generator=generator)
        counts = state.counts._replace(since=state.counts.since + 1)
        told = {
            "log_likelihood": state.seen[0],
            "acceptance": state.seen[1],
            "autocorrelation": state.rung.time,
            "rungs": counts.rungs.double(),
            "rollbacks": counts.rollbacks.double(),
        }
        after = state._replace(chains=inner.chains, visible_mean=inner.visible_mean, hidden_mean=inner.hidden_mean)
        return after._replace(counts=counts), {**metrics, **told}

    @torch.no_grad()
    def _meet(self, state: TrajectoryState, batch: Tensor, generator: torch.Generator) -> TrajectoryState:
        """Swap the chains with the rung's draws; where too few swaps are accepted, freeze or take back."""
        options, since = self.options, int(state.counts.since)
        put(self.frozen, state.rung.parameters)
        reservoir = Reservoir(state.reservoir, state.energy, options.groups)
        swept = sweep(self.model, self.frozen, state.chains, reservoir, generator=generator)
        acceptance = float(swept.chance.mean())  # waits for the device, as every decision does
        if acceptance < options.lost or (acceptance < options.freeze and since <= 1):
            return self._take_back(state, acceptance, generator)
        acceptance = min(acceptance, float(foreseen(swept.up)))
        if acceptance < options.freeze:
            found = advance(
                self.model, state.rung, swept.hidden,
                least=options.lost, most=options.most, finest=FINEST, generator=generator,
            )  # fmt: skip
            if found is None:
                return self._take_back(state, acceptance, generator)
            rung, hidden = found
            counts = self._sound(state.counts)
            seen = self._seen(batch, rung.log_z[0], acceptance)
            return TrajectoryState(hidden, *state[1:3], rung, rung.draws, rung.energy, seen, counts)
        left = since * (acceptance - options.freeze) / (1 - acceptance + 1e-6)  # steps until it is to be frozen
        jumped = abs(acceptance - float(state.seen[1])) > JUMP
        pace = max(int(state.counts.pace) // 2, 1) if jumped else min(int(state.counts.pace) + 1, options.every)
        counts = _counts(state.counts, wait=min(max(int(left / 2), 1), pace), failed=0, pace=pace)
        seen = self._seen(batch, state.rung.log_z[0] + _bridge(swept), acceptance)
        rows, energy = reservoir.stacked()
        return state._replace(chains=swept.hidden, reservoir=rows, energy=energy, seen=seen, counts=counts)

    def _sound(self, counts: Counts) -> Counts:
        sound, halved = int(counts.sound) + 1, int(counts.halved)
        if halved and sound == self.options.recover:
            sound, halved = 0, halved - 1
        return _counts(
            counts, since=0, wait=1, rungs=int(counts.rungs) + 1, failed=0, sound=sound if halved else 0, halved=halved
        )

    def _seen(self, batch: Tensor, log_z: Tensor, acceptance: float) -> Tensor:
        likelihood = float(self.model.log_density(batch).double().mean() - log_z)
        return torch.tensor([likelihood, acceptance], dtype=torch.float64)

    def _take_back(self, state: TrajectoryState, acceptance: float, generator: torch.Generator) -> TrajectoryState:
        failed, rung = int(state.counts.failed) + 1, state.rung
        if failed > PATIENCE:
            raise DivergenceError(
                f"the chains lost the model {failed} times in a row, the last time at an acceptance of "
                f"{acceptance:.2g}, though the rate was halved each time: use more chains, more Gibbs steps k, or "
                "weight decay"
            )
        put(self.model, rung.parameters)
        self.optimizer.state.clear()
        slot = int(torch.randint(len(rung.draws), (), generator=generator, device=generator.device))
        field = self.model.hidden_field(rung.draws[slot])
        rollbacks, halved = (int(n) + 1 for n in (state.counts.rollbacks, state.counts.halved))
        counts = _counts(state.counts, since=0, wait=1, rollbacks=rollbacks, failed=failed, sound=0, halved=halved)
        chains = self.model.hidden.sample(field, generator=generator)
        return state._replace(chains=chains, reservoir=rung.draws, energy=rung.energy, counts=counts)


def _bridge(swept: Swept) -> Tensor:
    """log Z of the model over that of the rung by the geometric bridge: near Bennett's, and without a search."""
    up, down = swept.up.double() / 2, -swept.down.double() / 2
    return (up.logsumexp(0) - down.logsumexp(0)).cpu()


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
