"""Trajectory tempering: persistent chains that meet draws of the run's own past, which know the shares of modes.

Training passes through a row of machines, from one without weights to the one wanted. The last that was frozen is kept
as its parameters with two sets of some hundred draws: partners, and draws that no chain meets, which take Gibbs steps
of their own. Every few steps chains meet as many partners: a chain and its partner change places by the rule of
`deepgen.objectives.trajectory_meeting`. Where that happens in less than ``freeze`` of tries, the present machine is
frozen: both sets are weighted and drawn anew, with the chains, and log Z goes on from

    log Z_0 = A_v(a) + A_h(b) of a machine without weights, exact.

Looks come as often as the model moves. Between modes that Gibbs steps do not join, shares of chains are a loop: too few
in a mode, and the gradient makes it more probable until chains come over. Where they come late the shares swing, more
at every turn, and rungs frozen at the ends of a swing lose a mode. So the wait is such that the log density of the
model, over some chains, goes by a deviation of 0.15 to 0.2 until the next look. Where it goes further in one step, or a
rung would be due sooner than ``pace`` steps after the last, the rate is halved; it is doubled again as steps grow
short. A step that goes too far (acceptance below ``lost``, over all draws) is taken back: the parameters are those of
the last rung again, its draws are the chains, the optimizer forgets its momenta, and the rate is halved.

Where many modes are near one another, rungs come fast and no set of draws can follow for long: log Z gets an error at
every rung, and draws and chains part. Shares of modes that draws know by a factor of e are not worth meeting, so that
chains are left to themselves, at the full rate, once the error of log Z is more than ``trust`` nats. What goes on is
`PersistentCD`, and says so; likelihoods are annealed both ways then (`deepgen.objectives.trajectory_annealing`), which
also says how far chains are from draws of the model. The first rung is held against the same, from chains that begin at
data: a machine that is trained already may have modes that no ladder from small weights meets.

What is exact: meetings leave draws and chains at their laws, if the model stands still. What is not: it learns from
its chains, and so from what they were before they became draws, of which Gibbs steps alone make those forget. Chains
lag behind a model that moves, and are among the next rung's draws, by weights that allow for the lag roughly. The
distance between log Z with and without the chains, added up over rungs, is therefore part of its error. What neither
draws nor chains have found is missing. For discrete layers log Z is at least what distinct rows seen add up to: of
hidden layers at every rung, of a batch, and of the rows that a likelihood is asked of, whose mean can so not be more
than -log(rows). Where the ladder lies below, it is raised, and the distance goes into the error.

Source: Béreux, Decelle, Furtlehner & Seoane 2026, "Equilibrium training of energy-based models with parallel trajectory
tempering", arXiv:2607.27077, where chains of every rung settle for 20 autocorrelation times, draws are collected over
many more, and log Z is Bennett's. That took 1.6 to 8.8 times the time of `PersistentCD`. Weights and pace are ours.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.evaluate.estimate import Estimate
from deepgen.objectives.contrastive import PersistentCD, as_rbm, refuse_deep
from deepgen.objectives.equilibrium_watch import EquilibriumWarning, EquilibriumWatch
from deepgen.objectives.trajectory_annealing import FAR, anneal_both_ways
from deepgen.objectives.trajectory_start import first_rung
from deepgen.objectives.trajectory_step import PROBES, Counts, TrajectoryState, TrajectoryStep, annealed, trusted
from deepgen.objectives.trajectory_weights import least_log_z
from deepgen.random import generator as stream_of
from deepgen.typing import Update


@dataclass(frozen=True)
class TrajectoryTempering(PersistentCD):
    """Persistent contrastive divergence at equilibrium, with log Z as it trains, for an `RBM` over any pair of layers.

    `log_likelihood` is an estimate of any rows at any time, and fits as ``monitor=``. The metrics: ``moment_gap`` as of
    `PersistentCD`; ``log_likelihood``, in nats per example, of a training batch now and then, without an error;
    ``acceptance`` at the last meeting; ``autocorrelation``, 1 + 2 sum rho in Gibbs steps if jumps alone made chains
    forget; ``rungs`` and ``rollbacks`` so far; ``raised``, the nats by which log Z was raised to a
    bound so far; ``slowed``, by what the rate is divided at present; ``apart``, 1 once chains are left to themselves:
    then ``autocorrelation`` is that of `PersistentCD`, ``log_likelihood`` is annealed once in 20 steps for each of
    ``temperatures``, and the others stay as they were; ``behind``, by how many nats log Z from the chains was then too
    low, 0 if they are draws of the model. A run that leaves equilibrium warns, and ends with a `DivergenceError` where
    halving the rate 30 times in a row did not help.

    Two layers of real units must be normalisable all the way, or the first rung fails.

    Args:
        chains: how many, a multiple of ``meeting``.
        depth: draws of a rung for each chain, and as many partners.
        meeting: chains that meet as many partners at a time; None for all.
        refresh: Gibbs steps of draws for each step of training.
        least, every: steps between meetings at least and at most; least=None is 1 up to 2,000 weights, and 2 beyond.
        pace: steps between rungs at least.
        freeze, lost: acceptance below which the model becomes a rung, and below which a step is taken back.
        trust: error of log Z, in nats, beyond which chains are left to themselves from then on; 1e9, say, for never.
        temperatures: of annealing from then on, at least 2.
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
    depth: int = 3
    meeting: int | None = None
    refresh: int = 10
    least: int | None = None
    every: int = 40
    pace: int = 5
    freeze: float = 0.5
    lost: float = 0.05
    trust: float = 1.0
    temperatures: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_deep(self)
        check_count(depth=self.depth, every=self.every, pace=self.pace)
        check_count(**{n: v for n, v in (("meeting", self.meeting), ("least", self.least)) if v is not None})
        check_count(0, refresh=self.refresh)
        check_count(2, temperatures=self.temperatures)
        check_real("freeze", self.freeze, 0, 1)
        check_real("lost", self.lost, 0, self.freeze)
        check_real("trust", self.trust, 0)
        if self.chains % (self.meeting or 1):
            raise ArgumentError(
                f"chains must be a multiple of meeting, got {self.chains} chains of which {self.meeting} meet draws"
            )
        latest: WeakKeyDictionary[nn.Module, TrajectoryState] = WeakKeyDictionary()
        object.__setattr__(self, "_latest", latest)  # no field: it is what `log_likelihood` needs to know of a run

    @torch.no_grad()
    def start(self, model: nn.Module, x: Tensor, *, generator: torch.Generator) -> TrajectoryState:
        """The first rung: the model as it is, from the machine without weights; offsets at the means over ``x``."""
        rbm, means = as_rbm(model), super().start(model, x, generator=generator)
        offsets = (means.visible_mean, means.hidden_mean)
        rung = first_rung(rbm, offsets, 2 * self.depth * self.chains, least=self.freeze, generator=generator)
        salt = int(torch.randint(2**40, (), generator=generator, device=generator.device))  # looks draw nothing more
        own = stream_of(salt + 2**41, means.chains.device)
        both = anneal_both_ways(rbm, means.chains, offsets[0], self.temperatures, chains=self.chains, generator=own)
        rung = rung._replace(gap=rung.gap + abs(both.value - float(rung.log_z)) + both.lag)
        seen = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
        seen[0] = float(rbm.log_density(x[: self.chains]).double().mean() - rung.log_z)
        counts = Counts(*(torch.tensor(n) for n in (0, 0, 1, 0, 1, 0, 0, 0, 0, salt)))
        self._latest.pop(model, None)  # type: ignore[attr-defined]  # of a run before: this one may be resumed elsewhere
        chains, family = rung.draws[-self.chains :].clone(), rung.family[-self.chains :].clone()
        probe, level = chains[:PROBES], rung.energy[-self.chains :][:PROBES]
        state = trusted(TrajectoryState(chains, *offsets, family, rung, probe, level, seen, counts), self.trust)
        return state._replace(chains=means.chains) if int(state.counts.apart) else state

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> Update:
        """The step function: now and then a meeting, a rung or a rollback; then a step of PCD."""
        step = TrajectoryStep(as_rbm(model), optimizer, self)

        def told(
            state: TrajectoryState, batch: Tensor, *, generator: torch.Generator
        ) -> tuple[TrajectoryState, dict[str, Tensor]]:
            after, metrics = step(state, batch, generator=generator)
            self._latest[model] = after  # type: ignore[attr-defined]
            return after, metrics

        return told

    def watch(self) -> EquilibriumWatch:
        """Says in words that steps were taken back, or that the ladder is not to be believed."""
        return EquilibriumWatch(self.k)

    @torch.no_grad()
    def log_partition(self, model: nn.Module, *, state: TrajectoryState | None = None) -> Estimate:
        """log Z of the model as it is now, in nats, along the rungs from the machine without weights up to it.

        Args:
            model: the one in training.
            state: of its run; by default that of the last step that this objective took with it.

        Returns:
            An `Estimate` with the error over ``n`` families of draws. Its side is ``undetermined``: it errs either way,
            and a mode that nothing has been in is missing. Once chains are left to themselves it is annealed over
            ``temperatures`` from base rates up and from at most 20 of the run's chains down.

        Raises:
            MissingCapability: the objective has not seen this model.
        """
        rbm = as_rbm(model)
        state = self._latest.get(model) if state is None else state  # type: ignore[attr-defined]
        if state is None:
            raise MissingCapability(
                "this objective has taken no step with that model: call it on the model in training, with the "
                "objective that trains it, or hand over state="
            )
        if int(state.counts.apart):
            both = annealed(rbm, state, self.temperatures)
            return Estimate(
                both.value, both.stderr, "undetermined", "annealing both ways", both.chains,
                settings={"temperatures": self.temperatures, "chains": both.chains, "behind": both.behind},
            )  # fmt: skip
        rung = state.rung
        energy, ratio = rung.bridge(rbm)
        log_z, told = rung.reach(ratio)
        settings = {"rungs": int(state.counts.rungs), "draws": len(rung.draws)}
        found = Estimate(
            float(log_z), rung.error(told), "undetermined", "weights along the trajectory", round(rung.families()),
            settings=settings,
        )  # fmt: skip
        return (
            found if rbm.hidden.states is None else _lifted(found, float(least_log_z(energy, rung.draws, found.value)))
        )

    @torch.no_grad()
    def log_likelihood(self, model: nn.Module, x: Tensor, **options: Any) -> Estimate:
        """Mean log-likelihood of rows ``[rows, visible]`` in nats/example; ``options`` are those of `log_partition`.

        It has the signature of a ``monitor`` of `deepgen.fit`. stderr is that of log Z.
        """
        from deepgen.evaluate.error_bars import standard_error  # which loads much
        from deepgen.evaluate.layered import log_density

        rbm = as_rbm(model)
        rbm.check(x)
        rows = log_density(rbm, x)
        error = standard_error(rows)
        log_z = self.log_partition(model, **options)
        if rbm.visible.states is not None:
            log_z = _lifted(log_z, float(least_log_z(-rows, x, log_z.value)))
        value = -log_z + float(rows.mean())
        each = rows.double() - float(rows.mean()) + value.value
        settings = {**value.settings, "rows": len(rows)}
        return replace(value, unit="nats/example", stderr_data=error, settings=settings, each=each)


def _lifted(found: Estimate, bound: float) -> Estimate:
    """``found`` or a proven lower ``bound`` where that is more; the distance goes into the error, and is said."""
    short = bound - found.value
    if short <= 0:
        return found
    if short > FAR * found.stderr:
        warnings.warn(
            f"log Z was {short:.3g} nats below what distinct rows alone add up to, "
            f"at a stated error of {found.stderr:.2g}: a part of the model is missing from its draws. The value is "
            "that lower bound now; lower the rate, or take more chains",
            EquilibriumWarning,
            stacklevel=3,
        )
    return replace(found, value=bound, stderr=math.hypot(found.stderr, short))
