"""Plain objects that `deepgen.fit` calls with each epoch's record; a function of the record will do as well.

A callback may have more: ``state_dict()`` and ``load_state_dict()`` to be part of the checkpoint, an attribute ``stop``
that ends the run when true, ``begin(model)`` that is called once before the first step, after a resumed run's state was
loaded, ``advance()`` that is called after every step, ``finish(model)`` for the last word on the weights, and
``close()``.
"""

from __future__ import annotations

import math
import time
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.progress import Shown
from deepgen.train.history import Record


class Callback(Protocol):
    """``callback(record, model)``, after each epoch.

    >>> import torch, deepgen as dg
    >>> def say(record, model):
    ...     print(record.epoch, record.step)
    >>> objective = dg.objectives.PersistentCD()
    >>> _ = dg.fit(dg.RBM(visible=3, hidden=2), torch.eye(3), objective, epochs=2, callbacks=[say], progress=False)
    1 1
    2 2
    """

    def __call__(self, record: Record, model: nn.Module, /) -> None: ...


@runtime_checkable
class Stateful(Protocol):
    """A callback whose state belongs to the run: dicts, lists, plain values and tensors."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class Progress:
    """A bar on stderr with the time left, and the last epoch's figures behind it: what ``fit(progress=True)`` shows.

    While numba compiles a kernel that is not in its cache on disk yet, the bar says so.

    Args:
        total: steps of the whole run; None shows no time left.
        done: steps done before, of a resumed run.
        monitored: what the monitor is, where its estimates do not say.

    >>> shown = Progress(total=10, done=4)
    >>> shown.advance()
    >>> shown.close()
    """

    def __init__(self, total: int | None, done: int = 0, monitored: str = "monitor") -> None:
        self.monitored = monitored
        what = "already complete" if total is not None and done >= total else "fit"
        self.shown = Shown(total, True, what=what, unit="step", initial=done, unit_scale=False).__enter__()

    def advance(self) -> None:
        self.shown.advance(1)

    def __call__(self, record: Record, model: nn.Module) -> None:
        estimate = record.estimate or {}
        estimate = estimate.get("lower", estimate)
        watched = f"validation {estimate['method']}, {estimate['unit']}" if estimate else self.monitored
        figures = {**record.metrics, **({} if record.monitor is None else {watched: record.monitor})}
        self.shown.bar.set_postfix(epoch=record.epoch, **{k: f"{v:.4g}" for k, v in figures.items()}, refresh=False)

    def close(self) -> None:
        self.shown.__exit__()


class EarlyStopping:
    """End the run when the monitor has not risen for ``patience`` epochs, and leave the model at its best epoch.

    Higher is better, as for all log-likelihoods; hand ``fit`` a monitor of the other sign for a loss.

    Args:
        patience: epochs without a new best that are one too many.
        margin: by how much a new best must exceed the old one.
        within: an epoch whose monitor is below the best by less than so many of the best's Monte Carlo errors is as
            good, and the last such one is kept: where the rate falls it has the least noise of single steps in it. It
            counts as waiting all the same. Of a monitor that returns no `Estimate` the error is taken to be 0.

    >>> stopping = EarlyStopping(patience=2)
    >>> for epoch, value in enumerate([-3.0, -2.0, -2.5, -2.2], 1):
    ...     stopping(Record(epoch, epoch, 0.0, 0.0, {}, monitor=value), nn.Linear(1, 1))
    >>> stopping.stop, stopping.best_epoch
    (True, 2)
    """

    def __init__(self, patience: int = 5, margin: float = 0.0, *, within: float = 0.0) -> None:
        check_count(patience=patience)
        check_real("margin", margin, 0)
        check_real("within", within, 0)
        self.patience, self.margin, self.within = patience, margin, within
        self.best, self.best_epoch, self.waited, self.error = -math.inf, 0, 0, 0.0
        self.weights: dict[str, Tensor] | None = None
        self._seen: nn.Module | None = None  # whose epochs these are, where no checkpoint gave them

    @property
    def stop(self) -> bool:
        return self.waited >= self.patience

    def begin(self, model: nn.Module) -> None:
        """What `deepgen.fit` calls before the first step: a run that has ended, or that of another model, is over."""
        if self._seen is not None and (self.stop or self._seen is not model):
            done = "has ended another run" if self.stop else "has followed another model"
            raise ArgumentError(f"this EarlyStopping {done}, whose best weights would come back: make a new one")

    def __call__(self, record: Record, model: nn.Module) -> None:
        if record.monitor is None:
            raise ArgumentError("EarlyStopping needs a monitor: call fit with valid= and monitor=")
        self._seen = model
        if record.monitor > self.best + self.margin:
            self.best, self.error, self.waited = record.monitor, record.monitor_error, 0
        else:
            self.waited += 1
            if not record.monitor > self.best - self.within * self.error:
                return
        self.best_epoch = record.epoch
        self.weights = {name: value.clone() for name, value in model.state_dict().items()}

    def finish(self, model: nn.Module) -> None:
        """Put the best weights back."""
        if self.weights is not None:
            model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("best", "error", "best_epoch", "waited", "weights")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._seen = None


class TensorBoard:
    """Write every metric and the monitor to TensorBoard event files in ``directory`` (the extra ``tensorboard``).

    What `Monitors` measured, listed before it among the callbacks, is written too, activations as histograms.

    After a resume, what an interrupted run had written beyond its checkpoint is marked as purged.

    Raises:
        MissingCapability: the package tensorboard is not installed; said after the first epoch.

    >>> TensorBoard("runs/digits").directory  # nothing is written before an epoch is done
    'runs/digits'
    """

    def __init__(self, directory: str) -> None:
        self.directory = str(directory)
        self._writer: Any = None

    def __call__(self, record: Record, model: nn.Module) -> None:
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingCapability(
                    "the TensorBoard callback needs the package tensorboard: pip install 'deepgen[tensorboard]'"
                ) from error
            self._writer = SummaryWriter(self.directory, purge_step=record.step)
        for name, value in record.metrics.items():
            self._writer.add_scalar(name, value, record.step)
        if record.monitor is not None:
            self._writer.add_scalar("monitor", record.monitor, record.step)
        self._write_monitors(record.measured.get("monitors", {}), record.step)

    def _write_monitors(self, found: dict[str, Any], step: int) -> None:
        for group in ("ratio", "gradient"):
            for name, value in found.get(group, {}).items():
                self._writer.add_scalar(f"{group}/{name}", value, step)
        for name, seen in found.get("activation", {}).items():
            for figure in ("mean", "std", "dead", "saturated"):
                if seen[figure] is not None:
                    self._writer.add_scalar(f"activation_{figure}/{name}", seen[figure], step)
            counts, (low, high) = seen["counts"], seen["ends"]
            width, total = (high - low) / len(counts), sum(counts)
            self._writer.add_histogram_raw(
                f"activation/{name}",
                min=low,
                max=high,
                num=total,
                sum=seen["mean"] * total,
                sum_squares=(seen["std"] ** 2 + seen["mean"] ** 2) * total,
                bucket_limits=[low + width * (i + 1) for i in range(len(counts))],
                bucket_counts=counts,
                global_step=step,
            )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Checkpoint:
    """How often ``fit(..., out=...)`` writes its checkpoint: every so many seconds, or every so many steps.

    It is written at the start, at the end, and on Ctrl-C in any case. When it is written changes no number of the run.

    Raises:
        ArgumentError: neither or both of the two, or one below its least.

    >>> every = Checkpoint(steps=100)
    >>> every.due(99), every.due(100)
    (False, True)
    """

    def __init__(self, *, seconds: float | None = None, steps: int | None = None) -> None:
        if (seconds is None) == (steps is None):
            raise ArgumentError(f"give either seconds >= 0 or steps >= 1, got seconds={seconds}, steps={steps}")
        if seconds not in (None, math.inf):
            check_real("seconds", seconds, 0)
        if steps is not None:
            check_count(steps=steps)
        self.seconds, self.steps = seconds, steps
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Whether to write one after this step; asking counts as writing."""
        if self.steps is not None:
            return step % self.steps == 0
        now = time.monotonic()
        if now - self._last < (self.seconds or 0.0):
            return False
        self._last = now
        return True

    def __call__(self, record: Record, model: nn.Module) -> None:
        """Nothing to do per epoch."""
