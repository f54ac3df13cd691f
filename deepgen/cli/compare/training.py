"""Train a recipe for a number of seconds and leave it at its best validation state.

The rate falls in a straight line to zero over the seconds, and training is cut into some twenty slices of equal time;
after each the model is judged on validation rows, unless a look takes so long that two would be a fifth of the time:
then it is left as it ends, at a rate of zero. Of looks that their Monte Carlo error does not tell apart the last is the
best: the steps at a higher rate show less in the likelihood than in the shares of modes. One that was at its best early
goes back there and cools down (`cooling`). How many rows a slice has is measured before the first step, on a copy, and
kept with the run, so that a run that was killed goes on with the same plan from its last checkpoint.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from deepgen.cli.compare.cooling import Cooling, Falling
from deepgen.cli.describe import counted
from deepgen.cli.feed import sliced
from deepgen.cli.recipes import Recipe
from deepgen.data import batches
from deepgen.objectives import ExpectationMaximisation
from deepgen.random import generator
from deepgen.train import Checkpoint, EarlyStopping, History, Interrupted, fit, load_run
from deepgen.train.loop import train
from deepgen.train.store import MANIFEST

SLICES, FEWEST = 20, 2  # and as many looks at the validation rows; fewer where a look is dear, or none
LOOKING = 0.2  # of the time, at most, for all looks
JUDGED = 1000  # validation rows at most
FOREVER = 10**6  # epochs: it is the clock that ends a run
WITHIN = 1.0  # Monte Carlo errors below the best look at which a later one, at a lower rate, is as good


class Trained(NamedTuple):
    """A model and what its training came to.

    updates: steps of the optimizer; passes: over the training rows in these, no whole number; kept: updates behind the
    state that the model was left at, fewer than all where an earlier one was better on validation rows.
    """

    model: nn.Module
    history: History
    updates: int
    passes: float
    kept: int


class Spent:
    """Seconds of a run, over all its parts; a callback, as its state belongs to the run.

    Args:
        seconds: the budget.
        tick: called after each step with the share of it that is spent.
    """

    def __init__(self, seconds: float, tick: Callable[[float], None] | None = None) -> None:
        self.seconds, self.tick = seconds, tick
        self._before, self._begun = 0.0, time.perf_counter()

    def share(self) -> float:
        """From 0 to 1."""
        return min(1.0, (self._before + time.perf_counter() - self._begun) / self.seconds)

    @property
    def stop(self) -> bool:
        """Ends the run between epochs; within one its ``max_seconds`` does."""
        return self.share() >= 1.0

    def advance(self) -> None:
        if self.tick is not None:
            self.tick(self.share())

    def __call__(self, record: Any, model: nn.Module) -> None:
        """Nothing to do per epoch."""

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.share() * self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._before, self._begun = state["seconds"], time.perf_counter()


def trained(
    recipe: Recipe,
    out: Path,
    seconds: float,
    *,
    seed: int,
    extras: Mapping[str, Any],
    tick: Callable[[float], None] | None = None,
) -> Trained:
    """``recipe`` trained for so many ``seconds``; the run is kept in ``out``.

    Raises:
        Interrupted: Ctrl-C, after the step in progress was finished and saved, with how far it came.
    """
    plan, before = None, None
    if (out / MANIFEST).exists():
        before = load_run(out)
        plan = before.settings["extras"].get("plan")
    full = isinstance(recipe.objective, ExpectationMaximisation)  # all rows at once: no rate, no slices
    valid = _few(recipe.valid)
    if plan is None:
        plan = {"rows": None, "looks": recipe.epochs} if full else measured(recipe, valid, seconds)
    valid = valid if plan["looks"] else None
    fed = recipe.train if plan["rows"] is None else sliced(recipe.train, plan["rows"])
    each = (getattr(fed, "passes", None) or 1.0) / math.ceil(len(fed) / recipe.batch)  # passes of an update
    begun = 0 if before is None else before.step
    if before is not None and before.history.stopped and before.model is not None:
        return Trained(before.model, before.history, begun, begun * each, kept(before.history, begun, WITHIN))
    spent = Spent(seconds, tick)
    stopping = EarlyStopping(patience=FOREVER, within=WITHIN)
    cooling = Cooling(spent, stopping)
    watching: list[Any] = [] if valid is None else [stopping, *([] if recipe.schedule is None else [cooling])]
    try:
        history = fit(
            recipe.model,
            fed,
            recipe.objective,
            epochs=recipe.epochs if full else FOREVER,
            batch_size=recipe.batch,
            optimizer=recipe.optimizer,
            schedule=Falling(cooling) if recipe.schedule is not None else None,
            seed=seed,
            valid=valid,
            monitor=None if valid is None else recipe.monitor,
            callbacks=[spent, *watching, Checkpoint(seconds=min(30.0, seconds / 4))],
            out=out,
            progress=False,
            max_seconds=seconds,
            extras={**extras, "plan": plan},
        )
    except Interrupted as stopped:  # whose own words count slices as epochs
        done = load_run(out).step
        raise Interrupted(f"interrupted after {told(done, done * each)}") from stopped
    done = begun + (history.new_steps or 0)
    return Trained(recipe.model, history, done, done * each, kept(history, done, WITHIN))


def kept(history: History, done: int, within: float = 0.0) -> int:
    """Updates behind the state that `EarlyStopping` chose; all that were ``done`` where nothing chose."""
    watched = [record for record in history if record.monitor is not None]
    if not watched or EarlyStopping.__name__ not in history.settings.get("callbacks", ()):
        return done
    stopping = EarlyStopping(within=within)
    for record in watched:
        stopping(record, nn.Module())
    return next((record.step for record in watched if record.epoch == stopping.best_epoch), done)


def told(updates: int, passes: float) -> str:
    """How long a training was, in words.

    >>> told(1, 0.0463), told(2345, 108.7)
    ('1 update, 0.046 passes over the training rows', '2,345 updates, 109 passes over the training rows')
    """
    return f"{updates:,} update{'' if updates == 1 else 's'}, {counted(passes)} passes over the training rows"


def measured(recipe: Recipe, valid: Any, seconds: float) -> dict[str, int]:
    """Rows of a slice and the number of looks, from the time that some steps and a look take on a copy."""
    model = copy.deepcopy(recipe.model)
    objective, stream = recipe.objective, generator(0)
    update = objective.update(model, objective.optimizer(model))
    fed = recipe.train
    rows = fed.tensors[0] if isinstance(fed, TensorDataset) else fed
    first = rows if isinstance(rows, Tensor) else next(iter(batches(fed, recipe.batch, seed=0, epoch=0)))
    whole: Any = tuple(fed.tensors) if isinstance(fed, TensorDataset) else first
    state = objective.start(model.train(), whole, generator=stream)
    each, began = 0.0, time.perf_counter()
    fed_on = chain.from_iterable(batches(fed, recipe.batch, seed=0, epoch=epoch) for epoch in count())  # few rows, too
    for number, _ in enumerate(train(update, state, fed_on, generator=stream), 1):
        now = time.perf_counter()
        if number <= 2:  # the first may compile
            began = now
            continue
        each = (now - began) / (number - 2)
        if number >= 22 or now - began > 0.02 * seconds:
            break
    look = 0.0
    if valid is not None and recipe.monitor is not None:
        began = time.perf_counter()
        with torch.no_grad():
            recipe.monitor(model.eval(), valid)
        look = time.perf_counter() - began
    looks = SLICES if look == 0 else min(SLICES, int(LOOKING * seconds / look))
    looks = looks if looks >= FEWEST else 0
    slices = looks or SLICES
    left = (seconds - looks * look) / slices
    return {"rows": max(1, round(left / max(each, 1e-6))) * recipe.batch, "looks": looks}


def _few(valid: Any) -> Any:
    """The first validation rows."""
    if isinstance(valid, TensorDataset):
        return TensorDataset(*(x[:JUDGED] for x in valid.tensors))
    return None if valid is None else valid[:JUDGED]
