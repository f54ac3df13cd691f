"""Chains that no longer follow the model, noticed in the metrics of an epoch and said in words."""

from __future__ import annotations

import math
import warnings

from torch import nn

from deepgen.train.history import Record

RARE, EARLIEST = 0.05, 200  # swaps of a pair below which a ladder is broken; steps before that is said
LONG = 1000  # steps before anything is said of chains, whose time a shorter run cannot tell from a quarter of it
SHARE = 0.25  # of the run so far: with a mode lost tau was half of it and more, in healthy runs an eighth at most
FALLEN = 1.0  # nats
BEHIND = 5.0  # nats of log Z, on average over an epoch
HASTY = 30.0  # steps from rung to rung: at one in 36 log Z of a machine 784-20 was still right within its error


class EquilibriumWarning(RuntimeWarning):
    """The chains that the gradient is taken from are not, or not safely, draws of the model.

    >>> issubclass(EquilibriumWarning, Warning)
    True
    """


class ChainWatch:
    """Called by `deepgen.fit` with every epoch's record where chains persist: says once that they forget slowly.

    That is when tau is more than a quarter of all Gibbs steps so far, ``k`` a step: since the run began, chains have
    been anew less than four times, while the model moved all the way. A lower rate or a longer run make up for it.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     ChainWatch()(Record(9, 2000, 0.0, 0.0, {"autocorrelation": 600.0}), nn.Linear(1, 1))
    >>> str(caught[0].message)[:66]
    'epoch 9: chains forget slowly, with an autocorrelation time of 600'
    """

    def __init__(self, k: int = 1) -> None:
        self.k, self.said = k, False

    def __call__(self, record: Record, model: nn.Module) -> None:
        time, run = record.metrics.get("autocorrelation", 1.0), record.step * self.k
        if record.step >= LONG and time > SHARE * run and not self.said:
            self.said = True
            _warn(
                record,
                f"chains forget slowly, with an autocorrelation time of {time:.3g} sweeps in a run of {run}: the "
                "gradient's chains lag behind the model, and may keep to one of its modes. Lower the rate, take more "
                "Gibbs steps k, or temper: ParallelTempering, TrajectoryTempering",
            )


class EquilibriumWatch:
    """Called by `deepgen.fit` with every epoch's record of `TrajectoryTempering`.

    It says every epoch in which steps were taken back, and once each that chains forget slowly, that rungs follow
    one another too fast to be believed, that log Z fell below what distinct rows prove, that chains were left to
    themselves, and that they are then no draws of the model.

    >>> metrics = {"rungs": 1.0, "rollbacks": 2.0, "raised": 0.0, "apart": 0.0, "behind": 0.0, "autocorrelation": 3.0}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     EquilibriumWatch()(Record(9, 2000, 0.0, 0.0, metrics), nn.Linear(1, 1))
    >>> str(caught[0].message)[:63]
    'epoch 9: the run left equilibrium: its chains lost the model an'
    """

    def __init__(self, k: int = 1) -> None:
        self.taken_back, self.said, self.chains = 0.0, set[str](), ChainWatch(k)
        self.before: tuple[int, float] | None = None

    def __call__(self, record: Record, model: nn.Module) -> None:
        metrics = record.metrics
        if metrics["rollbacks"] > self.taken_back:
            self.taken_back = metrics["rollbacks"]
            _warn(
                record,
                "the run left equilibrium: its chains lost the model and it was taken back to the last rung "
                f"({math.ceil(self.taken_back)} times so far), at half the rate each time. Start from a lower rate, or "
                "take more chains or Gibbs steps k",
            )
        if self.before is not None:
            steps, rungs = record.step - self.before[0], metrics["rungs"] - self.before[1]
            if rungs >= 2 and steps < HASTY * rungs:
                _once(
                    self.said,
                    "rungs",
                    record,
                    f"the run is fast for its chains: a new rung in every {steps / rungs:.0f} steps. Modes can be lost "
                    "on such a ladder, and log Z be off by more than its error: compare with annealing, whose log Z "
                    "lies below the truth, and lower the rate",
                )
        if metrics["raised"] > FALLEN:
            _once(
                self.said,
                "raised",
                record,
                f"log Z of the ladder fell {metrics['raised']:.2g} nats below what distinct rows alone add up to: the "
                "draws have lost a part of the model. It was raised, and the distance is part of its error. Lower the "
                "rate, or take more chains or draws (depth)",
            )
        if metrics["apart"] > 0:
            _once(
                self.said,
                "apart",
                record,
                f"after {metrics['rungs']:.0f} rungs log Z of the ladder has an error beyond trust, so chains meet its "
                "draws no more. The run goes on as PersistentCD, which may keep to some modes, and likelihoods are "
                "annealed. Lower the rate, take more draws (depth) or chains, or begin at smaller weights",
            )
        if metrics["behind"] > BEHIND:
            _once(
                self.said,
                "behind",
                record,
                f"the run left equilibrium: log Z annealed down from its chains lies {metrics['behind']:.2g} nats "
                "below log Z annealed up from base rates, so the chains lag behind the model. Lower the rate, or take "
                "more Gibbs steps k",
            )
        self.before = record.step, metrics["rungs"]
        self.chains(record, model)


class LadderWatch:
    """Called by `deepgen.fit` with every epoch's record of `ParallelTempering`: says once that a pair hardly swaps, and
    once that the chains at beta = 1 forget slowly.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     LadderWatch()(Record(9, 2000, 0.0, 0.0, {"rare": 0.01}), nn.Linear(1, 1))
    >>> str(caught[0].message)[:54]
    'epoch 9: the ladder is broken: one pair of rungs swaps'
    """

    def __init__(self, k: int = 1) -> None:
        self.said, self.chains = False, ChainWatch(k)

    def __call__(self, record: Record, model: nn.Module) -> None:
        self.chains(record, model)
        if record.step >= EARLIEST and record.metrics["rare"] < RARE and not self.said:
            self.said = True
            _warn(
                record,
                f"the ladder is broken: one pair of rungs swaps in {100 * record.metrics['rare']:.2g} % of its tries, "
                "and hardly anything passes there. Give more betas, or a hotter end that is less hot",
            )


def _once(said: set[str], what: str, record: Record, words: str) -> None:
    """Warn, unless ``what`` is among what has been ``said``."""
    if what not in said:
        said.add(what)
        _warn(record, words, 4)


def _warn(record: Record, words: str, stacklevel: int = 3) -> None:
    """Warn in the name of whoever called the watch, so many calls up."""
    warnings.warn(f"epoch {record.epoch}: {words}", EquilibriumWarning, stacklevel=stacklevel)
