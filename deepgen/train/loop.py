"""The loop itself: an update applied to batches, one step record at a time, for the reader's own ``for``.

for epoch in range(10):
    for step in deepgen.train.train(update, state, batches(x, 100, seed=0, epoch=epoch), generator=g):
        ...                                    # anything may happen between two steps
    state = step.state
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepgen.random import resolve
from deepgen.typing import Update


class Step(NamedTuple):
    """One update: its number (from 1), the objective's new state, its metrics (0-d tensors), the rows it saw.

    >>> Step(step=1, state=(), metrics={"log_likelihood": torch.tensor(-2.0)}, rows=100).rows
    100
    """

    step: int
    state: Any
    metrics: dict[str, Tensor]
    rows: int


def train(
    update: Update,
    state: Any,
    batches: Iterable[Any],
    *,
    generator: torch.Generator | int | None = None,
    start: int = 0,
) -> Iterator[Step]:
    """Apply ``update`` to each batch in turn and yield what came of it.

    Nothing here waits for a device, keeps a record or touches the batches. One batch is fetched per step asked for.

    Args:
        update: ``objective.update(model, optimizer)``, or any function of that form.
        state: ``objective.start(model, x, generator=g)``, or an earlier ``step.state``.
        batches: tensors ``[batch, *event]`` (or tuples of them), as `deepgen.data.batches` gives.
        generator: source of all the update's randomness; a generator, a seed, or None for fresh entropy.
        start: updates done before, from which `Step.step` counts on.

    >>> import deepgen as dg
    >>> model = dg.explicit.BernoulliMixture(3)
    >>> objective, x = dg.objectives.MaximumLikelihood(), torch.ones(8, 3)
    >>> update = objective.update(model, torch.optim.SGD(model.parameters(), lr=0.1))
    >>> state = objective.start(model, x, generator=dg.random.generator(0))
    >>> [step.step for step in train(update, state, x.split(4), generator=0)]
    [1, 2]
    """
    # A generator is taken as it is: only the update knows which device its tensors are on.
    stream = generator if isinstance(generator, torch.Generator) else resolve(generator)
    for number, batch in enumerate(batches, start + 1):
        state, metrics = update(state, batch, generator=stream)
        yield Step(number, state, metrics, len(batch if isinstance(batch, Tensor) else batch[0]))
