"""Fit a model in one line: the training loop with progress, validation, early stopping, checkpoints and resume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from deepgen.errors import ArgumentError, CheckpointError, check_count, check_real, not_by_name
from deepgen.random import generator, spawn
from deepgen.train.callbacks import Callback, Checkpoint, Progress, Stateful
from deepgen.train.checkpoint import Path, describe_model
from deepgen.train.history import History, Record
from deepgen.train.interrupt import Flag, Interrupted, delayed_interrupt
from deepgen.train.lock import held
from deepgen.train.loop import train
from deepgen.train.meter import Meter
from deepgen.train.ranks import Ranks
from deepgen.train.repeatable import Repeatable, draws
from deepgen.train.sharing import check_together
from deepgen.train.source import Source, as_tensor, fingerprint
from deepgen.train.state import RunState, Schedule, copy_tree, describe, plain, resumable
from deepgen.train.watch import Monitor, Watch
from deepgen.typing import Objective, Update, require


def fit(
    model: nn.Module,
    data: Any,
    objective: Objective,
    *,
    epochs: int,
    batch_size: int | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Schedule = None,
    seed: int = 0,
    valid: Any = None,
    monitor: Monitor | None = None,
    callbacks: Sequence[Callback] = (),
    out: Path | None = None,
    resume: bool = True,
    progress: bool = True,
    max_seconds: float | None = None,
    extras: dict[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> History:
    """Train ``model`` on ``data`` towards ``objective`` and return the history.

    With ``out`` the run is kept in that directory, and the same call goes on from there: a run killed at any moment
    and resumed ends in the same weights, bit for bit, as one that was not (on the same machine and thread count). What
    torch's own layers draw from its global stream, dropout above all, is a function of the seed and the step, and that
    stream is put back after every step. Ctrl-C finishes the step, saves, and raises `Interrupted`; a second one stops
    at once.

    Args:
        model: any module the objective takes; trained in place.
        data: tensor, array, Dataset or DataLoader; rows first, cast to the model's dtype and device. Of a Dataset of
            (x, label) tuples pass `deepgen.data.Unlabelled`. Bits and bytes are copied once more, as uint8, so that
            batches are quick to gather: a quarter of their room in float32. Where an epoch of them is no pass over
            rows but some part or several, an attribute ``passes`` says how many, and the records count them.
        objective: such as ``dg.objectives.PersistentCD(k=1)``.
        epochs: passes through the data in all, resumed parts included. A run in ``out`` can be made longer by calling
            with more, unless ``schedule`` is a function: with another number of steps every rate would be another.
        batch_size: rows per step; if None that of a DataLoader, and 100 for all other data.
        optimizer: over the model's parameters; the objective's default if None.
        schedule: a function of the fraction of steps done (0 to 1) giving a factor of the rate, applied at every step;
            or a torch LRScheduler of ``optimizer``, stepped after every epoch; ReduceLROnPlateau, of mode "max",
            with the monitor.
        seed: data order is a function of (seed, epoch); the update's generator is spawned from it.
        valid: data for ``monitor``.
        monitor: ``monitor(model, valid)``, higher is better, after every epoch. If None and the model has `LogProb`,
            the mean log-likelihood of ``valid``. One that returns a float may have a ``name``, which the bar shows.
        callbacks: called with ``(record, model)`` after every epoch, see `deepgen.train.callbacks`.
        out: directory of the run.
        resume: go on from what ``out`` holds; False starts anew in its place.
        progress: show a bar with the time left.
        max_seconds: end the run after the step in which its seconds, resumed parts included, exceed this. The same call
            with a larger limit goes on.
        extras: plain values to keep with the settings.
        ranks: the processes that train together, each of which makes this same call (`deepgen.train.torchrun`): every
            rank takes its rows of each batch and its chains, and the first one writes ``out``, which any number of
            ranks goes on from. Weights and metrics are those of one process, to rounding.

    Returns:
        The `History`: one record per epoch. Without ``out`` it is the only trace besides the weights. If the run in
            ``out`` was complete, ``history.new_steps`` is 0, and the model has that run's weights.

    Raises:
        ArgumentError, ShapeError, SupportError, MissingCapability: the arguments do not fit together.
        CheckpointError: ``out`` is damaged or belongs to another run, is in use by another process, or cannot be
            written.
        DivergenceError: a metric or a parameter left the finite numbers (looked at once per epoch).
        Interrupted: Ctrl-C.
        RankLost: another of ``ranks`` is gone.

    >>> import deepgen as dg
    >>> mixture = dg.explicit.BernoulliMixture(3, components=2)
    >>> history = dg.fit(mixture, torch.ones(20, 3), dg.objectives.MaximumLikelihood(), epochs=5, progress=False)
    >>> len(history), history[-1].metrics["log_likelihood"] > history[0].metrics["log_likelihood"]
    (5, True)
    """
    ranks = ranks or Ranks()
    check_count(epochs=epochs, **({} if batch_size is None else {"batch_size": batch_size}))
    check_count(0, 2**64 - 1, seed=seed)
    if max_seconds not in (None, math.inf):
        check_real("max_seconds", max_seconds, 0)
    check_kinds(model, objective)
    source = Source(data, model, batch_size, seed, getattr(objective, "check", None))
    if optimizer is None:
        stepped = isinstance(schedule, torch.optim.lr_scheduler.LRScheduler)
        optimizer = schedule.optimizer if stepped else objective.optimizer(model)  # type: ignore[union-attr]
    watch = Watch(model, monitor, valid, source)
    _check(source, optimizer, schedule, watched=watch.monitor is not None)
    stateful: list[Stateful] = [callback for callback in callbacks if isinstance(callback, Stateful)]
    settings = {
        "model": plain({k: v for k, v in describe_model(model).items() if k != "weights"}),
        "objective": describe(objective),
        "optimizer": describe(optimizer),
        "schedule": describe(schedule),
        "seed": int(seed),
        "batch_size": source.batch_size,
        "data": fingerprint(data),
        "valid": None if valid is None else fingerprint(as_tensor(valid)),
        "callbacks": [type(callback).__name__ for callback in stateful],
        "epochs": epochs,
        "extras": extras or {},
    }
    if not ranks.same(settings):
        raise ArgumentError("the ranks have different data, models or settings: each is to make the same call")
    ranks.copy_weights([*model.state_dict().values()])
    with ExitStack() as stack:
        if out is not None:
            lock = held(out)
            ranks.first(lambda: stack.enter_context(lock))
        stored = resumable(out, settings, epochs) if out is not None and resume else None
        there, missing = ranks.agree(stored is not None, stored is None)  # and the first saves after all have looked
        if there and missing:
            raise CheckpointError(f"{out} is not one folder for all ranks, but holds the run for some alone")
        stream = spawn(generator(seed, source.device), 1)[0]
        repeatable = Repeatable(seed, source.device, needed=draws(objective, model))
        state = repeatable.start(objective, model, source.rows(), generator=stream)
        history = History(settings=settings)
        run = RunState(model, source, epochs, optimizer, schedule, state, stream, stateful, history)
        run.ranks, run.passes = ranks, getattr(data, "passes", None)
        if stored is not None:
            run.restore(stored, out)  # type: ignore[arg-type]
        update = repeatable.step(run.shared(objective))
        begun = repeatable.done = run.step
        run.check_finite()
        was_training = model.training
        interrupt = stack.enter_context(delayed_interrupt())
        stack.callback(model.train, was_training)
        watching: list[Callback] = [objective.watch()] if hasattr(objective, "watch") else []
        for listener in [*callbacks, *watching]:
            if hasattr(listener, "close"):
                stack.callback(listener.close)
            if hasattr(listener, "begin"):
                listener.begin(model)
        if out is not None and stored is None:
            run.save(out)  # an unwritable place is found now, not in an hour
        bars = []
        if progress and ranks.is_first:
            bars = [Progress(run.total, run.step, getattr(monitor, "name", "monitor"))]
            stack.callback(bars[0].close)
        listeners = [*callbacks, *watching, *bars]
        reason = _run(run, update, watch, listeners, out, interrupt, max_seconds)
        run.check_finite()
        if reason == "interrupted":
            if out is not None:
                run.save(out)
            raise Interrupted(_parting(run, out))
        history.stopped, history.new_steps = reason, run.step - begun
        _finish(run, callbacks, out)
    return history


def _run(
    run: RunState,
    update: Update,
    watch: Watch,
    listeners: Sequence[Callback],
    out: Path | None,
    interrupt: Flag,
    max_seconds: float | None,
) -> str | None:
    """Step and save until there is a reason to end: None when all epochs are done."""
    keeper = next((c for c in listeners if isinstance(c, Checkpoint)), None) or Checkpoint(seconds=30.0)
    ticks = [listener.advance for listener in listeners if hasattr(listener, "advance")]
    late, limit = False, math.inf if max_seconds is None else max_seconds
    while run.epoch < run.epochs and not any(getattr(listener, "stop", False) for listener in listeners):
        if late:
            return "max_seconds"
        run.model.train()
        run.set_rate()
        batches = run.source.batches(run.epoch, run.batch)
        for step in train(update, run.state, batches, generator=run.generator, start=run.step):
            run.take(step)
            run.set_rate()
            for tick in ticks:
                tick()
            late = run.clock.seconds() > limit and run.batch != run.source.steps
            pressed, late, due = run.ranks.agree(interrupt.pressed, late, out is not None and keeper.due(run.step))
            if pressed:
                return "interrupted"
            if late:
                return "max_seconds"
            if due:
                run.check_finite()
                run.save(out)  # type: ignore[arg-type]
        _end_epoch(run, watch, listeners)
        pressed, late = run.ranks.agree(interrupt.pressed, run.clock.seconds() > limit)
        if pressed:
            return "interrupted"
    return None if run.epoch == run.epochs else "early stopping"


def _end_epoch(run: RunState, watch: Watch, listeners: Sequence[Callback]) -> None:
    run.check_finite()
    check_together(run.model, run.ranks)
    value, estimate = run.ranks.broadcast(watch())
    seconds, cpu_seconds = run.clock.seconds(), run.clock.cpu_seconds()
    passes = None if run.passes is None else run.passes * (run.epoch + 1)
    record = Record(run.epoch + 1, run.step, seconds, cpu_seconds, run.meter.read(), value, estimate, passes)
    for listener in listeners:
        listener(record, run.model)
    run.history.records.append(record)
    if isinstance(run.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        run.schedule.step(record.monitor)  # type: ignore[arg-type]
    elif isinstance(run.schedule, torch.optim.lr_scheduler.LRScheduler):
        run.schedule.step()
    run.epoch, run.batch = run.epoch + 1, 0
    run.meter = Meter()


def _finish(run: RunState, callbacks: Sequence[Callback], out: Path | None) -> None:
    """Let callbacks choose the final weights; the checkpoint also keeps those to train on from."""
    choosers = [callback for callback in callbacks if hasattr(callback, "finish")]
    live = copy_tree(run.model.state_dict()) if choosers and out is not None else None
    for callback in choosers:
        callback.finish(run.model)
    if out is not None:
        run.save(out, live)


def check_kinds(model: object, objective: object) -> None:
    """Raise a typed error unless ``model`` is a module and ``objective`` an object that trains one.

    >>> check_kinds(nn.Linear(1, 1), "MaximumLikelihood")
    Traceback (most recent call last):
    deepgen.errors.ArgumentError: objective takes an object and no name, got 'MaximumLikelihood': ...
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model must be a torch.nn.Module, got {_name(model)}")
    if isinstance(objective, str):
        raise not_by_name("objective", objective, _objectives())
    if isinstance(objective, type):
        raise ArgumentError(f"objective is the class {objective.__name__}: pass an instance, {objective.__name__}()")
    require(objective, Objective, "train towards")


def _objectives() -> list[str]:
    from deepgen import objectives

    known = [name for name in objectives.__all__ if hasattr(getattr(objectives, name), "optimizer")]
    return [f"deepgen.objectives.{name}" for name in known]


def _name(thing: object) -> str:
    return f"the class {thing.__name__} itself" if isinstance(thing, type) else type(thing).__name__


def _check(source: Source, optimizer: torch.optim.Optimizer, schedule: Schedule, *, watched: bool) -> None:
    if isinstance(schedule, torch.optim.lr_scheduler.LRScheduler):
        if schedule.optimizer is not optimizer:
            raise ArgumentError("the schedule belongs to another optimizer than the one passed as optimizer=")
        if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            _check_plateau(schedule, watched)
    elif schedule is not None and source.steps is None:
        raise ArgumentError("a schedule by fraction needs data with a length; pass a torch LRScheduler instead")


def _check_plateau(schedule: torch.optim.lr_scheduler.ReduceLROnPlateau, watched: bool) -> None:
    if not watched:
        raise ArgumentError("ReduceLROnPlateau lowers the rate where the monitor stays: call fit with valid= too")
    if schedule.mode != "max":
        raise ArgumentError(
            f"a monitor is better where it is higher, and ReduceLROnPlateau(mode={schedule.mode!r}), torch's default, "
            'would lower the rate while it rises: make it with mode="max"'
        )


def _parting(run: RunState, out: Path | None) -> str:
    where = f"interrupted after step {run.step}, with {run.epoch} epoch{'' if run.epoch == 1 else 's'} done"
    if out is None:
        return f"{where}; nothing was saved, as the fit had no out= directory"
    return f"{where}; saved in {out}: repeat the same call or command to resume"
