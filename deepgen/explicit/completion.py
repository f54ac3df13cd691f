"""Discrete variables drawn one after the other from given uniforms, some of them clamped to known values.

The conditional law of a variable with values 0 .. K-1 is K - 1 logits, relative to the value 0 (for K = 2 the one logit
of a Bernoulli), and a draw is its inverse distribution function at a uniform number u:

    x = the number of k with u < P(x > k).

Completion is exact where the known variables k come first, as p(unknown | k) is then what the walk draws from.
Otherwise `complete` takes several walks ("particles") that draw the unknown variables on the way, each of weight
p(known values | what comes before them), and keeps one with a probability proportional to its weight: importance
sampling with resampling (Rubin 1987), exact in the limit of many.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.errors import ArgumentError, DegenerateWeights


class Steps(Protocol):
    """One walk through the variables, without gradients, as `deepgen.layers.masked.Steps`."""

    def parameters(self, d: int) -> Tensor:
        """The logits of the variable at place ``d`` of the order: ``[categories - 1, batch]``."""

    def put(self, d: int, row: Tensor) -> None:
        """The variable at place ``d`` has the values ``row`` ``[batch]``."""


def log_mass(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) of each variable: logits ``[categories - 1, *shape]``, values ``[*shape]`` -> ``[*shape]``, in nats.

    >>> log_mass(torch.zeros(3, 2), torch.tensor([0.0, 3.0]))  # log 1/4
    tensor([-1.3863, -1.3863])
    """
    if len(logits) == 1:
        return F.logsigmoid((2 * x - 1) * logits[0])
    every = F.log_softmax(torch.cat([torch.zeros_like(logits[:1]), logits]), 0)
    return every.gather(0, x.long().unsqueeze(0)).squeeze(0)


def quantile(logits: Tensor, uniform: Tensor) -> Tensor:
    """The values whose distribution functions reach ``uniform`` ``[*shape]``: ``[categories - 1, *shape] -> [*shape]``.

    They have the dtype of ``uniform``, which must hold them: bfloat16 holds whole numbers up to 256.

    >>> quantile(torch.zeros(3, 4), torch.tensor([0.1, 0.3, 0.6, 0.8]))  # of four equal values, the largest first
    tensor([3., 2., 1., 0.])
    """
    if len(logits) == 1:
        return (uniform < logits[0].sigmoid()).to(uniform.dtype)
    mass = F.softmax(torch.cat([torch.zeros_like(logits[:1]), logits]), 0, dtype=uniform.dtype)[1:]
    above = mass.flip(0).cumsum(0)  # P(x > k), the largest k first
    return (uniform < above).sum(0).to(uniform.dtype)


@torch.no_grad()
def walk(
    order: Sequence[int],
    steps: Steps,
    uniform: Tensor,
    known: Tensor | None = None,
    mask: Tensor | None = None,
    skip: int = 0,
) -> tuple[Tensor, Tensor]:
    """Draw the variables one after the other: values and log-probabilities, ``[features, batch]`` each.

    Args:
        order: which variable stands at which place.
        steps: the model's walk.
        uniform: ``[features, batch]``.
        known, mask: variables are not drawn where ``mask`` is True, but have the value in ``known``.
        skip: so many first places are known in all rows, and their log-probabilities are not wanted (they are 0).
    """
    x, log_p = torch.empty_like(uniform), torch.zeros_like(uniform)
    for d, variable in enumerate(order):
        if d < skip and known is not None:
            row = known[variable]
        else:
            logits = steps.parameters(d)
            row = quantile(logits, uniform[variable])
            if known is not None and mask is not None:
                row = torch.where(mask[variable], known[variable], row)
            log_p[variable] = log_mass(logits, row)
        x[variable] = row
        steps.put(d, row)
    return x, log_p


def late(mask: Tensor, orders: Sequence[Sequence[int]]) -> Tensor:
    """Whether a known variable comes after an unknown one in some order: ``[features, rows] -> [rows]``.

    >>> late(torch.tensor([[False], [True]]), [[0, 1]]), late(torch.tensor([[False], [True]]), [[1, 0]])
    (tensor([True]), tensor([False]))
    """
    return torch.stack([(m[:-1] < m[1:]).any(0) for m in (mask[list(order)] for order in orders)]).any(0)


def refuse_late(mask: Tensor, orders: Sequence[Sequence[int]], why: str) -> None:
    """Raise unless the known variables come first in all orders."""
    found = late(mask, orders)
    if bool(found.any()):
        row = int(found.nonzero()[0])
        raise ArgumentError(
            f"in row {row} a known variable comes after an unknown one in the order of the model, {why}"
        )


def complete(
    walks: Callable[[Sequence[int], Tensor | None, Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]],
    known: Tensor,
    mask: Tensor,
    context: Tensor | None,
    orders: Sequence[Sequence[int]],
    particles: int | None,
    generator: torch.Generator,
) -> Tensor:
    """Complete rows of an equal mixture over ``orders``: ``[rows, features]``.

    Args:
        walks: ``walks(order, context, uniform, known, mask, skip)``, a `walk` of the model.
        known, mask: ``[rows, features]``; True where the value is known.
        context: a row for each, or None.
        orders: in which the model is asked.
        particles: walks for each row and order, where known variables come after unknown ones in some order.
        generator: of the uniforms, which are drawn before the walks.
    """
    if particles is None:
        refuse_late(mask.t(), orders, "so there is no exact draw: give particles=, the number of walks to choose from")
    exact = not bool(late(mask.t(), orders).any())
    count, (n, features) = 1 if exact else int(particles or 1), known.shape
    uniform = known.new_empty(len(orders), features, count * n).uniform_(generator=generator)
    choice = known.new_empty(n).uniform_(generator=generator)
    known_t, mask_t = (part.t().repeat(1, count) for part in (known, mask))
    context = None if context is None else context.repeat(count, 1)
    skip = int(mask.sum(1).min()) if exact and len(orders) == 1 else 0
    drawn, weights = [], []
    for order, u in zip(orders, uniform, strict=True):
        x, log_p = walks(order, context, u, known_t, mask_t, skip)
        drawn.append(x.view(features, count, n))
        weights.append((log_p * mask_t).sum(0).view(count, n))
    share = torch.cat(weights).softmax(0)
    if not exact and float((1 / share.square().sum(0)).median()) < 2:
        warnings.warn(
            f"in half of the rows fewer than 2 of {len(share)} particles count, so these draws hardly follow the known "
            "values: give more particles, or complete with a model whose order has the known variables first",
            DegenerateWeights,
            stacklevel=3,
        )
    taken = (share.cumsum(0) < choice).sum(0).clamp_max(len(share) - 1)
    return torch.cat(drawn, 1).gather(1, taken.expand(features, 1, n)).squeeze(1).t()
