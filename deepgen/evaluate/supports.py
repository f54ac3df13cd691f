"""Do the supports of two samples overlap? Precision, recall, density and coverage, by balls to the k-th neighbour.

A ball around each row of a sample reaches to its k-th nearest neighbour in that sample.

    precision   share of fakes inside some ball of the reals             (Kynkäänniemi et al. 2019)
    recall      share of reals inside some ball of the fakes
    density     balls of the reals around a fake, divided by k, averaged over fakes: 1 in expectation for equal laws;
                above 1 for fakes in the middle of many features, which the large balls of outliers hold
                                                                         (Naeem et al. 2020)
    coverage    share of reals whose ball holds a fake; for equal laws
                1 - prod_{j<k} (n - 1 - j) / (n - 1 - j + m) in expectation, n reals and m fakes

Swapping real and fake swaps precision and recall. A distance equal to the radius counts as inside, so identical
constant features give 1. In density a tie counts as what a random order among the tied would give, (k - s) / (b + 1)
with s rows nearer than the radius and b on it: its expectation is then 1 for equal discrete laws too.

Errors: over the evaluated rows, and by leaving out blocks of the rows whose balls these are. Time is n m d, memory
bounded. Limits: in high dimensions balls of outliers are large, and precision and recall flatter (Naeem et al. 2020,
section 2); values depend on k and on n.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.errors import check_count
from deepgen.evaluate.score import BLOCKS, Score, blocks_of, feature_rows, jackknife
from deepgen.evaluate.squared_distances import centred, squared_distances, tolerance


class Overlap(NamedTuple):
    """The four scores of `support_overlap`."""

    precision: Score
    recall: Score
    density: Score
    coverage: Score


class _Balls(NamedTuple):
    centres: Tensor  # [n, d]
    radii: Tensor  # [1 + blocks, n] squared: of all rows, and without each block of them
    tied: Tensor  # [n], what a row on the rim counts in the density
    blocks: Tensor  # [n]
    slack: float


def support_overlap(*, real: Tensor, fake: Tensor, k: int = 5, errors: bool = True) -> Overlap:
    """Precision, recall, density and coverage of features ``[n_real, d]`` and ``[n_fake, d]``.

    Args:
        real: features of real rows, at least 20 and more than 2 k of them.
        fake: features of generated rows, as many.
        k: which neighbour ends a ball.
        errors: False leaves out the standard errors, and most of the time.

    Raises:
        ShapeError, SupportError, ArgumentError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import generator, normal
    >>> wide = normal((400, 16), generator=generator(0))
    >>> narrow = 0.3 * normal((400, 16), generator=generator(1))
    >>> overlap = support_overlap(real=wide, fake=narrow)
    >>> overlap.precision.value, overlap.recall.value < 0.2, overlap.density.value > 1
    (1.0, True, True)
    """
    check_count(k=k)
    x, y = centred(*feature_rows(real=real, fake=fake, least=max(2 * BLOCKS, 2 * k + 1)))
    slack = tolerance(x, y)
    inside = _Held(_balls(x, k, slack, errors), y, k)
    outside = _Held(_balls(y, k, slack, errors), x, k)

    def score(name: str, values: Tensor, *others: Tensor) -> Score:
        """``values``: of all balls, and without each block of them; ``others``: without blocks of the other sample."""
        error = jackknife(values[1:], *others) if errors else math.nan
        return Score(name, float(values[0]), error, len(x), len(y), replicates=BLOCKS, note=f"k = {k}")

    return Overlap(
        score("precision", inside.held, _without(inside.held_rows)),
        score("recall", outside.held, _without(outside.held_rows)),
        score("density", inside.density, _without(inside.density_rows)),
        score("coverage", inside.covered, inside.covered_without),
    )


def _without(rows: Tensor) -> Tensor:
    """The means of ``rows`` without each block of them."""
    block = blocks_of(rows)
    return torch.stack([rows[block != b].mean() for b in range(BLOCKS)])


def _balls(x: Tensor, k: int, slack: float, errors: bool) -> _Balls:
    """The balls around the rows of ``x``, also as they are when a block of rows is gone."""
    block = blocks_of(x)
    deep = min(len(x) - 1, 4 * k + 16)  # neighbours kept, so that k are left when those of one block are gone
    radii = torch.empty(1 + (BLOCKS if errors else 0), len(x), dtype=x.dtype, device=x.device)
    tied = torch.empty(len(x), dtype=x.dtype, device=x.device)
    for rows, squares in squared_distances(x, x):
        place = torch.arange(len(squares), device=x.device)
        squares[place, place + rows.start] = math.inf  # nobody is his own neighbour
        near, index = squares.topk(deep, largest=False, sorted=True)
        radius = near[:, k - 1]
        radii[0, rows] = radius
        less = (near < (radius - slack).unsqueeze(1)).sum(1)
        rim = (near <= (radius + slack).unsqueeze(1)).sum(1) - less
        full = near[:, -1] <= radius + slack  # there may be more on the rim than were kept
        if bool(full.any()):
            rim[full] = (squares[full] <= (radius + slack)[full].unsqueeze(1)).sum(1) - less[full]
        tied[rows] = (k - less).to(x.dtype) / (rim + 1)
        for b in range(len(radii) - 1):
            left = block[index] != b
            kth = (left.cumsum(1) >= k).int().argmax(1)  # the deepest kept where fewer than k are left, which is rare
            kth = torch.where(left.sum(1) >= k, kth, deep - 1)
            radii[1 + b, rows] = near.gather(1, kth.unsqueeze(1)).squeeze(1)
    return _Balls(x, radii, tied, block, slack)


class _Held:
    """What of ``y`` lies in the balls, per replicate: index 0 is of all balls, 1 + b of those without block b."""

    def __init__(self, balls: _Balls, y: Tensor, k: int) -> None:
        replicates, n = balls.radii.shape
        block = blocks_of(y)
        self.held_rows, self.density_rows = y.new_zeros(len(y)), y.new_zeros(len(y))
        shares, sums = y.new_zeros(replicates), y.new_zeros(replicates)
        nearest = y.new_full((BLOCKS * n,), math.inf)  # of each block of y
        alive = torch.stack([balls.blocks != b for b in range(-1, replicates - 1)])
        widest = balls.radii.amax(0) + balls.slack
        for rows, squares in squared_distances(y, balls.centres):
            row, ball = (squares <= widest).nonzero(as_tuple=True)  # few: all that follows is about these pairs
            square = squares[row, ball]
            nearest.scatter_reduce_(0, block[rows][row] * n + ball, square, "amin")
            for r in range(replicates):
                gap = square - balls.radii[r, ball]
                weight = torch.where(gap < -balls.slack, 1.0, balls.tied[ball])
                weight = torch.where((gap <= balls.slack) & alive[r, ball], weight, 0.0)
                crowd = torch.bincount(row, weight, minlength=len(squares)).to(y.dtype)  # balls around each row
                shares[r] += (crowd > 0).sum()
                sums[r] += crowd.sum()
                if r == 0:
                    self.held_rows[rows], self.density_rows[rows] = (crowd > 0).to(y.dtype), crowd / k
        self.held = shares / len(y)
        self.density = sums / (k * len(y))
        nearest = nearest.view(BLOCKS, n)
        self.covered = torch.stack([_share(nearest.amin(0), balls, r, alive[r]) for r in range(replicates)])
        rest = [torch.cat([nearest[:b], nearest[b + 1 :]]).amin(0) for b in range(BLOCKS)]
        self.covered_without = torch.stack([_share(one, balls, 0, alive[0]) for one in rest])


def _share(nearest: Tensor, balls: _Balls, replicate: int, alive: Tensor) -> Tensor:
    return (nearest <= balls.radii[replicate] + balls.slack)[alive].double().mean()
