"""The learning-rate range test: rates that rise step by step, and what the objective makes of them.

    rate_i = low (high / low)^(i / (steps - 1)),        i = 0, 1, ...

Smith 2017, "Cyclical learning rates for training neural networks", section 3.3, with rates that rise exponentially.
Too low a rate changes nothing, a good one lets the loss fall, and too high a one lets it rise. What is suggested is the
rate at which the smoothed loss falls most steeply with log rate; it is a start for a search, not an optimum.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from deepgen.errors import ArgumentError, MissingCapability, check_count, check_real
from deepgen.random import generator, spawn
from deepgen.train.fit import check_kinds
from deepgen.train.loop import train
from deepgen.train.repeatable import Repeatable, draws
from deepgen.train.source import Source
from deepgen.typing import Objective

SMOOTH = 0.9  # weight of the past in the smoothed loss
RISES = ("log_likelihood", "order_log_likelihood", "bound")  # metrics of which more is better
FALLS = ("reconstruction_loss", "score_error")


@dataclass(frozen=True)
class RateRange:
    """What `find_rate` found; as a string, a sentence. `deepgen.plot.rates` draws it.

    Attributes:
        rates, values: of each step, the rate and the metric before it.
        smoothed: ``values`` with exponential smoothing.
        suggested: where the smoothed metric improves most steeply; None if it never did.
        diverged: the rate at which the metric had lost all that it had won and as much again, or was no longer finite;
            None if that did not happen.
        metric: its name.

    >>> print(RateRange([0.1, 1.0], [2.0, 1.0], [2.0, 1.0], 0.3, None, "score_error"))
    try a rate of about 0.3, where score_error improves most steeply; up to 1 it did not diverge
    """

    rates: list[float]
    values: list[float]
    smoothed: list[float]
    suggested: float | None
    diverged: float | None
    metric: str

    def __str__(self) -> str:
        end = f"up to {self.rates[-1]:.2g} it did not diverge"
        if self.diverged is not None:
            end = f"it diverges at {self.diverged:.2g}"
        if self.suggested is None:
            return f"{self.metric} improved at no rate from {self.rates[0]:.2g} on; {end}"
        return f"try a rate of about {self.suggested:.2g}, where {self.metric} improves most steeply; {end}"


def find_rate(
    model: nn.Module,
    data: Any,
    objective: Objective,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    batch_size: int | None = None,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None,
    metric: str | None = None,
    higher: bool | None = None,
    seed: int = 0,
) -> RateRange:
    """Train a copy of ``model`` at rising rates and say which to begin with; the model itself is not touched.

    Args:
        model, data, objective, batch_size: as for `deepgen.fit`.
        low, high: the first rate and the last.
        steps: how many rates, one update each.
        optimizer: makes the optimizer of the copy, whose rates are replaced; the objective's own if None.
        metric: of the objective's metrics the one to look at; if None the one that is a likelihood, a bound or a loss.
        higher: whether more of it is better; if None known by its name.
        seed: of the order of the data and of all draws.

    Raises:
        ArgumentError: rates that do not rise, or too few steps.
        MissingCapability: the objective has no metric that training improves (contrastive divergence, say), or takes
            no step of the optimizer (exact EM), so that no rate matters.

    >>> import deepgen as dg
    >>> x = dg.data.bars_and_stripes(3)
    >>> found = find_rate(dg.explicit.MADE(9, hidden=[32], generator=0), x, dg.objectives.MaximumLikelihood(), steps=80)
    >>> 1e-4 < found.suggested < 1, found.metric
    (True, 'log_likelihood')
    """
    check_kinds(model, objective)
    check_count(10, steps=steps)
    check_count(0, 2**64 - 1, seed=seed)
    if batch_size is not None:
        check_count(batch_size=batch_size)
    check_real("low", low, 1e-300)
    check_real("high", high, low)
    if low >= high:
        raise ArgumentError(f"rates must rise, got low={low} and high={high}")
    made = copy.deepcopy(model).train()
    source = Source(data, made, batch_size, seed, getattr(objective, "check", None))
    chosen = objective.optimizer(made) if optimizer is None else optimizer_of(made, optimizer)
    stream = spawn(generator(seed, source.device), 1)[0]
    repeatable = Repeatable(seed, source.device, needed=draws(objective, made))
    state = repeatable.start(objective, made, source.rows(), generator=stream)
    update = repeatable.step(objective.update(made, chosen))
    rates = [low * (high / low) ** (i / (steps - 1)) for i in range(steps)]
    _set(chosen, rates[0])
    taken: list[bool] = []
    chosen.register_step_post_hook(lambda *_: taken.append(True))
    values: list[float] = []
    name, sign, lost = "", 1.0, False
    for i, step in enumerate(train(update, state, _endless(source, steps), generator=stream)):
        if i == 0:
            name, sign = _metric(step.metrics, metric, higher, objective)
        if not taken:
            raise MissingCapability(
                f"{type(objective).__name__} takes no step of the optimizer, so its steps have no rate to be found"
            )
        values.append(float(step.metrics[name]))
        lost = _lost([sign * v for v in values]) or not all(bool(p.isfinite().all()) for p in made.parameters())
        if lost:
            break
        _set(chosen, rates[min(i + 1, steps - 1)])
    return _range(rates[: len(values)], values, sign, name, lost=lost)


def optimizer_of(made: nn.Module, optimizer: Callable[[nn.Module], torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """What ``optimizer`` makes for a copy; one that is made already holds the parameters of another model."""
    if not callable(optimizer):
        raise ArgumentError(
            f"optimizer makes one for the copy that is trained, got a {type(optimizer).__name__}: pass "
            "lambda m: torch.optim.Adam(m.parameters(), lr=0.01), say"
        )
    return optimizer(made)


def _set(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def _endless(source: Source, steps: int) -> Iterator[Any]:
    passes = (source.batches(epoch) for epoch in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(passes), steps)


def _metric(found: dict[str, Any], metric: str | None, higher: bool | None, objective: Any) -> tuple[str, float]:
    """The metric's name, and the sign that makes a loss of it."""
    known = next((name for name in (*RISES, *FALLS) if name in found), None)
    name = known if metric is None else metric
    if name is None or name not in found or (higher is None and name not in (*RISES, *FALLS)):
        raise MissingCapability(
            f"the metrics of {type(objective).__name__} ({', '.join(found) or 'none'}) have none that is known to "
            "improve with training: give metric= and higher=, or compare fits by a likelihood (deepgen.train.search)"
        )
    return name, -1.0 if (name in RISES if higher is None else higher) else 1.0


def _smooth(losses: list[float]) -> list[float]:
    """Exponential means, free of the bias towards their start."""
    mean, found = 0.0, []
    for i, loss in enumerate(losses, 1):
        mean = SMOOTH * mean + (1 - SMOOTH) * loss
        found.append(mean / (1 - SMOOTH**i))
    return found


def _lost(losses: list[float]) -> bool:
    """Whether the last loss is not finite, or the smoothed one lost all that was won and as much again."""
    if not math.isfinite(losses[-1]):
        return True
    smoothed = _smooth(losses)
    best, spread = min(smoothed), max(smoothed[: max(len(smoothed) // 4, 1)]) - min(smoothed)
    return len(losses) > 10 and spread > 0 and smoothed[-1] > best + 2 * spread


def _range(rates: list[float], values: list[float], sign: float, metric: str, *, lost: bool) -> RateRange:
    finite = [v for v in values if math.isfinite(v)]
    smoothed = _smooth([sign * v for v in finite])
    bottom = min(range(len(smoothed)), key=smoothed.__getitem__) if smoothed else 0
    falls = [smoothed[i + 1] - smoothed[i] for i in range(bottom)]  # steps of log rate are all alike
    steepest = min(range(len(falls)), key=falls.__getitem__) if falls else None
    suggested = None if steepest is None or falls[steepest] >= 0 else rates[steepest]
    return RateRange(rates, values, [sign * v for v in smoothed], suggested, rates[-1] if lost else None, metric)
