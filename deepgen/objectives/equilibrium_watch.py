"""Chains that no longer follow the model, noticed in the metrics of an epoch and said in words."""

from __future__ import annotations

import math
import warnings

from torch import nn

from deepgen.train.history import Record

RARE, EARLIEST = 0.05, 200  # swaps of a pair below which a ladder is broken; steps before that is said
SLOW = 3000.0  # sweeps
HASTY = 30.0  # steps from rung to rung: at one in 36 log Z of a machine 784-20 was still right within its error


class EquilibriumWarning(RuntimeWarning):
    """The chains that the gradient is taken from are not, or not safely, draws of the model.

    >>> issubclass(EquilibriumWarning, Warning)
    True
    """


class ChainWatch:
    """Called by `deepgen.fit` with every epoch's record of `PersistentCD`: says once that chains forget slowly.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     ChainWatch()(Record(9, 2000, 0.0, 0.0, {"autocorrelation": 5000.0}), nn.Linear(1, 1))
    >>> str(caught[0].message)[:66]
    'epoch 9: chains forget slowly, with an autocorrelation time of 5e+'
    """

    def __init__(self) -> None:
        self.said = False

    def __call__(self, record: Record, model: nn.Module) -> None:
        time = record.metrics.get("autocorrelation", 1.0)
        if time > SLOW and not self.said:
            self.said = True
            _warn(
                record,
                f"chains forget slowly, with an autocorrelation time of {time:.3g} sweeps: the gradient's chains lag "
                "behind the model. Lower the rate, take more Gibbs steps k, or temper: ParallelTempering, "
                "TrajectoryTempering",
            )


class EquilibriumWatch:
    """Called by `deepgen.fit` with every epoch's record of `TrajectoryTempering`.

    It says every epoch in which steps were taken back, and once each that chains forget slowly and that rungs follow
    one another too fast to be believed.

    >>> metrics = {"rungs": 1.0, "rollbacks": 2.0, "acceptance": 0.4, "autocorrelation": 3.0}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     EquilibriumWatch()(Record(9, 2000, 0.0, 0.0, metrics), nn.Linear(1, 1))
    >>> str(caught[0].message)[:63]
    'epoch 9: the run left equilibrium: its chains lost the model an'
    """

    def __init__(self) -> None:
        self.taken_back, self.hasty, self.chains = 0.0, False, ChainWatch()
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
        if self.before is not None and not self.hasty:
            steps, rungs = record.step - self.before[0], metrics["rungs"] - self.before[1]
            if rungs >= 2 and steps < HASTY * rungs:
                self.hasty = True
                _warn(
                    record,
                    f"the run is fast for its chains: a new rung in every {steps / rungs:.0f} steps. Modes can be lost "
                    "on such a ladder, and log Z be off by more than its error: compare with annealing, whose log Z "
                    "lies below the truth, and lower the rate",
                )
        self.before = record.step, metrics["rungs"]
        self.chains(record, model)


class LadderWatch:
    """Called by `deepgen.fit` with every epoch's record of `ParallelTempering`: says once that a pair hardly swaps.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     LadderWatch()(Record(9, 2000, 0.0, 0.0, {"rare": 0.01}), nn.Linear(1, 1))
    >>> str(caught[0].message)[:54]
    'epoch 9: the ladder is broken: one pair of rungs swaps'
    """

    def __init__(self) -> None:
        self.said = False

    def __call__(self, record: Record, model: nn.Module) -> None:
        if record.step >= EARLIEST and record.metrics["rare"] < RARE and not self.said:
            self.said = True
            _warn(
                record,
                f"the ladder is broken: one pair of rungs swaps in {100 * record.metrics['rare']:.2g} % of its tries, "
                "and hardly anything passes there. Give more betas, or a hotter end that is less hot",
            )


def _warn(record: Record, words: str) -> None:
    warnings.warn(f"epoch {record.epoch}: {words}", EquilibriumWarning, stacklevel=3)
