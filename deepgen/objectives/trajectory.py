"""Trajectory tempering: persistent chains that swap with draws of the run's own past, and so stay at equilibrium.

Training passes through a row of machines, from one without weights to the one wanted. Whenever the present one has moved
so far from the last that was frozen that its chains swap with that one's draws in less than ``freeze`` of tries, it is
frozen itself: its chains settle, equilibrium draws of it are collected, and log Z goes on by Bennett's ratio,

    log Z_k+1 = log Z_k + log(Z_k+1 / Z_k),      log Z_0 = A_v(a) + A_h(b) of the machine without weights, exact.

Only the last rung is kept, as its parameters and some thousand draws, and chains meet them in one Gibbs step out of
``every``: that is what it costs beyond persistent contrastive divergence. A step that goes too far (acceptance below
``lost``, or below ``freeze`` right after a rung was made, or chains that do not settle there, not even by way of machines
in between) is taken back: the parameters are
those of the last rung again, its draws are the chains, the optimizer forgets its momenta, and the rate is halved. It is
doubled again, to what it was at most, after ``recover`` rungs in a row that were made without one.

What is exact: swaps leave chains and draws at their laws if the model stands still. What is not: chains lag behind a
model that moves, until the next rung; and what no chain of any rung has found is missing in log Z.

Source: Béreux, Decelle, Furtlehner & Seoane 2026, "Equilibrium training of energy-based models with parallel trajectory
tempering", arXiv:2607.27077. Ours: swaps every few steps, groups that never meet and a jackknife over them, rates that
recover, and machines in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, DivergenceError, MissingCapability, check_count, check_real
from deepgen.evaluate.bennett import jackknife, leave_one_out
from deepgen.evaluate.estimate import Estimate
from deepgen.explicit.rbm import RBM
from deepgen.objectives.contrastive import PersistentCD, as_rbm
from deepgen.objectives.contrastive_step import ContrastiveState, ContrastiveStep
from deepgen.objectives.equilibrium_watch import EquilibriumWatch
from deepgen.objectives.trajectory_ladder import (
    Reservoir,
    Rung,
    Swept,
    advance,
    climb,
    grouped,
    parameters_of,
    put,
    sweep,
    twin,
)
from deepgen.random import resolve
from deepgen.typing import Update

PATIENCE = 30  # rollbacks in a row before it is given up
FINEST = 1 / 8  # of the way to a rung that is made by way of others
JUMP = 0.1  # of the acceptance from one swap to the next, which halves the steps between them


class Counts(NamedTuple):
    """Whole numbers, 0-d on the CPU. since: steps since the last rung; wait: steps until the next swap; rungs, rollbacks:
    how many; failed: rollbacks in a row; sound: rungs since the last one; halved: how often the rate is at present; pace: steps between swaps while nothing else is the matter."""

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
    their free energies in it; seen: mean log-likelihood of the last batch looked at, and acceptance, float64 ``[2]``."""

    chains: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor
    rung: Rung
    reservoir: Tensor
    energy: Tensor
    seen: Tensor
    counts: Counts


@dataclass(frozen=True)
class TrajectoryTempering(PersistentCD):
    """Persistent contrastive divergence at equilibrium, with log Z as it trains, for an `RBM` over any pair of layers.

    `log_likelihood` is an estimate of any rows at any time, and fits as ``monitor=``. The metrics: ``moment_gap`` as of
    `PersistentCD`; ``log_likelihood``, in nats per example, of a training batch now and then, without an error;
    ``acceptance`` of swaps with the last rung; ``autocorrelation``, the time 1 + 2 sum rho of its chains in sweeps;
    ``rungs`` and ``rollbacks`` so far. A run that leaves equilibrium warns, and ends with a `DivergenceError` where
    halving the rate 30 times in a row did not help.

    Two layers of real units must be normalisable all the way, or the first rung fails.

    Args:
        chains: how many, a multiple of ``groups``.
        depth: draws of a rung for each chain.
        groups: of chains and draws, which do not meet: errors are jackknifed over them.
        every: steps between swaps at most. They become more frequent where the acceptance moves, and as a rung is left
            behind: a chain that swaps late hears late what the gradient asks of it.
        freeze, lost: acceptance below which the model becomes a rung, and below which a step is taken back.
        most: sweeps within which the chains of a rung must settle.
        recover: rungs after which a halved rate is doubled; 0: never.
        k, centred, sliding, weight_decay, sparsity, binary: as of `PersistentCD`.

    Raises:
        ArgumentError: an option is out of its range.

    >>> import deepgen as dg
    >>> x, objective = dg.data.bars_and_stripes(3), TrajectoryTempering(chains=100)
    >>> rbm = dg.RBM(visible=9, hidden=6, generator=0).initialise(x)
    >>> history = dg.fit(rbm, x, objective, epochs=20, valid=x, monitor=objective.log_likelihood, progress=False)
    >>> found, truth = objective.log_likelihood(rbm, x), dg.evaluate.log_likelihood(rbm, x)
    >>> abs(found.value - truth.value) < 5 * found.stderr
    True
    """

    _: KW_ONLY
    depth: int = 10
    groups: int = 20
    every: int = 20
    freeze: float = 0.3
    lost: float = 0.1
    most: int = 5000
    recover: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(depth=self.depth, every=self.every, most=self.most)
        check_count(2, groups=self.groups)
        check_count(0, recover=self.recover)
        check_real("freeze", self.freeze, 0, 1)
        check_real("lost", self.lost, 0, self.freeze)
        if self.chains % self.groups:
            raise ArgumentError(
                f"chains must be a multiple of groups, got {self.chains} chains in {self.groups} groups"
            )
        latest: WeakKeyDictionary[nn.Module, TrajectoryState] = WeakKeyDictionary()
        object.__setattr__(self, "_latest", latest)  # no field: it is what `log_likelihood` needs to know of a run

    @torch.no_grad()
    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> TrajectoryState:  # type: ignore[override]
        """The first rung: the model as it is, from the machine without weights; offsets at the means over ``x``."""
        rbm, means = as_rbm(model), super().start(model, x, generator=generator)
        rung, chains = climb(
            rbm, (means.visible_mean, means.hidden_mean), self.depth, self.chains, self.groups,
            least=self.freeze, most=self.most, generator=generator,
        )  # fmt: skip
        seen = torch.tensor([0.0, 1.0], dtype=torch.float64)
        seen[0] = float(rbm.log_density(x[: self.chains]).double().mean() - rung.log_z[0])
        counts = Counts(*(torch.tensor(n) for n in (0, 1, 1, 0, 0, 0, 0, 1)))
        state = TrajectoryState(chains, *means[1:], rung, rung.draws, rung.energy, seen, counts)
        self._latest[model] = state  # type: ignore[attr-defined]
        return state

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: now and then swaps, a rung or a rollback; then a step of PCD."""
        step = _TrajectoryStep(as_rbm(model), optimizer, self)

        def told(
            state: TrajectoryState, batch: Tensor, *, generator: torch.Generator
        ) -> tuple[TrajectoryState, dict[str, Tensor]]:
            after, metrics = step(state, batch, generator=generator)
            self._latest[model] = after  # type: ignore[attr-defined]
            return after, metrics

        return told

    def watch(self) -> EquilibriumWatch:
        """Says in words that steps were taken back, or that chains forget slowly."""
        return EquilibriumWatch()

    @torch.no_grad()
    def log_partition(
        self,
        model: nn.Module,
        *,
        state: TrajectoryState | None = None,
        sweeps: int = 20,
        generator: torch.Generator | int | None = 0,
    ) -> Estimate:
        """log Z of the model as it is now, in nats: Bennett's ratios from the machine without weights up to it.

        Args:
            model: the one in training.
            state: of its run; by default that of the last step that this objective took with it.
            sweeps: of copies of the chains; draws are taken in the later half.
            generator: source of randomness; the run's own is not touched.

        Returns:
            An `Estimate` with the jackknife's error over ``n`` groups. Its side is ``undetermined``: it errs either way,
            and a mode that no chain has found is missing.

        Raises:
            MissingCapability: the objective has not seen this model.
        """
        check_count(2, sweeps=sweeps)
        rbm = as_rbm(model)
        state = self._latest.get(model) if state is None else state  # type: ignore[attr-defined]
        if state is None:
            raise MissingCapability(
                "this objective has taken no step with that model: call it on the model in training, with the objective "
                "that trains it, or hand over state="
            )
        stream, groups = resolve(generator, rbm.weight.device), len(state.rung.log_z) - 1
        frozen, reservoir = twin(rbm), Reservoir(state.reservoir, state.energy, groups)
        put(frozen, state.rung.parameters)
        hidden, down = state.chains, []
        for number in range(sweeps):
            swept = sweep(rbm, frozen, hidden, reservoir, generator=stream)
            hidden = swept.hidden
            if number >= sweeps // 2:
                down.append(swept.down)
        up = state.rung.energy - rbm.free_energy(state.rung.draws)
        found = state.rung.log_z + leave_one_out(grouped(up, groups), grouped(torch.stack(down), groups))
        settings = {"rungs": int(state.counts.rungs), "chains": len(hidden), "draws": up.numel(), "sweeps": sweeps}
        return Estimate(
            float(found[0]), jackknife(found), "undetermined", "Bennett's ratio along the trajectory", groups,
            settings=settings,
        )  # fmt: skip

    @torch.no_grad()
    def log_likelihood(self, model: nn.Module, x: Tensor, **options: Any) -> Estimate:
        """Mean log-likelihood of rows ``[rows, visible]`` in nats/example; ``options`` are those of `log_partition`.

        It has the signature of a ``monitor`` of `deepgen.fit`. stderr is that of log Z.
        """
        from deepgen.evaluate.likelihood import log_density  # which loads much

        rbm = as_rbm(model)
        rbm.check(x)
        rows = log_density(rbm, x)
        error = float(rows.std()) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
        value = -self.log_partition(model, **options) + float(rows.mean())
        return replace(value, unit="nats/example", stderr_data=error, settings={**value.settings, "rows": len(rows)})


class _TrajectoryStep:
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
        return TrajectoryState(*inner, *state[3:-1], counts), {**metrics, **told}

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
        return TrajectoryState(swept.hidden, *state[1:3], state.rung, *reservoir.stacked(), seen, counts)

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
                f"the chains lost the model {failed} times in a row, the last time at an acceptance of {acceptance:.2g}, "
                "though the rate was halved each time: use more chains, more Gibbs steps k, or weight decay"
            )
        put(self.model, rung.parameters)
        self.optimizer.state.clear()
        slot = int(torch.randint(len(rung.draws), (), generator=generator, device=generator.device))
        field = self.model.hidden_field(rung.draws[slot])
        rollbacks, halved = (int(n) + 1 for n in (state.counts.rollbacks, state.counts.halved))
        counts = _counts(
            state.counts, since=0, wait=1, rollbacks=rollbacks, failed=failed, sound=0, halved=halved
        )
        return TrajectoryState(
            self.model.hidden.sample(field, generator=generator), *state[1:3],
            rung, rung.draws, rung.energy, state.seen, counts,
        )  # fmt: skip


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
