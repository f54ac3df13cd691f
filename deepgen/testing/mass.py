"""Where the probability of a small density lies: all states of a discrete one, a fine grid for one or two variables.

    discrete:    P(x) for every x, which must sum to 1
    continuous:  integral of p(x) dx by midpoints in u, x = c + s tan(pi u / 2) on the line and linear on an interval

The tangent spreads a grid over the whole line and suits tails up to Cauchy's.
Nothing of the model is used but ``log_prob``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import constraints

from deepgen.errors import ArgumentError
from deepgen.testing.goodness import chi_square

STATES = 2**14  # discrete models with more are not summed
POINTS = {1: (2**9, 2**20), 2: (2**7, 2**11)}  # first and last number of points along an axis
CELLS = {1: 64, 2: 16}  # cells along an axis, for draws
_CHUNK = 2**16


class Mass(NamedTuple):
    """``total`` probability, that of each cell ``[cells]``, and the function from rows to their cells."""

    total: float
    cells: Tensor
    cell: Callable[[Tensor], Tensor]

    def p_value(self, x: Tensor) -> float:
        """Chi-square of independent draws ``x`` ``[n, *event]``; 0 if one of them lies in no cell."""
        index = self.cell(x)
        if bool(((index < 0) | (index >= len(self.cells))).any()):
            return 0.0
        return chi_square(torch.bincount(index, minlength=len(self.cells)), self.cells / self.cells.sum())


def values_of(support: Any) -> Tensor | None:
    """The values of one variable of a discrete ``support``, None for a continuous one.

    >>> from torch.distributions import constraints
    >>> values_of(constraints.independent(constraints.boolean, 1)), values_of(constraints.real)
    (tensor([0, 1]), None)
    """
    one = getattr(support, "base_constraint", support)
    if not one.is_discrete:
        return None
    if isinstance(one, type(constraints.boolean)):
        return torch.tensor([0, 1])
    low, high = getattr(one, "lower_bound", -math.inf), getattr(one, "upper_bound", math.inf)
    if not math.isfinite(high - low):
        raise ArgumentError(f"only boolean and integer_interval supports can be listed, got {support}")
    return torch.arange(int(low), int(high) + 1)


def states(values: Tensor, event_shape: torch.Size) -> Tensor:
    """All rows of a discrete model: ``[values ** variables, *event]``, the last variable fastest.

    >>> states(torch.tensor([0, 1]), torch.Size([2])).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    width = event_shape.numel()
    return torch.cartesian_prod(*[values] * width).reshape(-1, *event_shape)


def discrete_mass(log_prob: Callable[[Tensor], Tensor], rows: Tensor, values: Tensor) -> Mass:
    """`Mass` over the listed ``rows`` of `states`, each a cell of its own."""
    width = rows[0].numel()
    power = len(values) ** torch.arange(width - 1, -1, -1)

    def cell(x: Tensor) -> Tensor:
        digit = x.flatten(1).round().long() - values[0]
        wrong = ((digit < 0) | (digit >= len(values)) | (x.flatten(1) != x.flatten(1).round())).any(1)
        return torch.where(wrong, -1, digit @ power)

    cells = _in_chunks(log_prob, rows).exp()
    return Mass(float(cells.sum()), cells, cell)


def grid_mass(log_prob: Callable[[Tensor], Tensor], support: Any, near: Tensor) -> Mass:
    """`Mass` of a density of one or two real variables, refined until it settles.

    Args:
        log_prob: ``[batch, variables] -> [batch]``.
        support: a torch constraint: real, or an interval, for all variables.
        near: rows ``[n, variables]`` that show where the density is, which set c and s.
    """
    one, width = getattr(support, "base_constraint", support), near[0].numel()
    low, high = getattr(one, "lower_bound", -math.inf), getattr(one, "upper_bound", math.inf)
    bounded = math.isfinite(low) and math.isfinite(high)
    if width not in POINTS or not (bounded or low == -high == -math.inf):
        raise ArgumentError(f"no grid for {width} variables in {support}")
    event = near.shape[1:]
    near = near.double().flatten(1)
    centre = near.quantile(0.5, 0)
    spread = (near - centre).abs().quantile(0.7, 0).clamp_min(1e-3)
    if bounded:
        centre, spread = torch.full_like(centre, (low + high) / 2), torch.full_like(centre, (high - low) / 2)

    def axis(points: int, j: int) -> tuple[Tensor, Tensor]:
        u = (torch.arange(points, dtype=torch.float64) + 0.5) / points * 2 - 1
        bend, slope = (u, torch.ones_like(u)) if bounded else ((u * math.pi / 2).tan(), _tangent_slope(u))
        return centre[j] + spread[j] * bend, spread[j] * slope * 2 / points

    def cell(x: Tensor) -> Tensor:
        bend = (x.double().flatten(1) - centre) / spread
        u = bend if bounded else bend.atan() * 2 / math.pi
        place = ((u + 1) / 2 * CELLS[width]).floor().long()
        wrong = (~x.flatten(1).isfinite()).any(1) | (bounded & (u.abs() > 1).any(1))
        place = place.clamp(0, CELLS[width] - 1) @ (CELLS[width] ** torch.arange(width - 1, -1, -1))
        return torch.where(wrong, -1, place)

    points, last = POINTS[width]
    before = math.nan
    while True:
        axes = [axis(points, j) for j in range(width)]
        x = torch.cartesian_prod(*(a for a, _ in axes)).reshape(-1, width)
        weight = torch.cartesian_prod(*(w for _, w in axes)).reshape(-1, width).prod(1)
        mass = _in_chunks(log_prob, x.reshape(-1, *event)).exp() * weight
        total = float(mass.sum())
        if abs(total - before) < 1e-4 or points >= last:
            cells = torch.zeros(CELLS[width] ** width, dtype=torch.float64).index_add_(0, cell(x), mass)
            return Mass(total, cells, cell)
        before, points = total, 2 * points


def _tangent_slope(u: Tensor) -> Tensor:
    return math.pi / 2 / (u * math.pi / 2).cos().square()


@torch.no_grad()
def _in_chunks(log_prob: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    return torch.cat([log_prob(part).double() for part in rows.split(_CHUNK)])
