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

Errors: the figures of one half of both samples and of the other differ by twice the standard error, roughly; 15
orthogonal halvings (balanced half-samples, McCarthy 1969) are averaged. It assumes that variances go as 1/n. Time is
n m d, memory bounded. Limits: in high dimensions balls of outliers are large, and precision and recall flatter (Naeem
et al. 2020, section 2); values depend on k and on n.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from deepgen.errors import check_count
from deepgen.evaluate.score import Score, blocks_of, feature_rows
from deepgen.evaluate.squared_distances import centred, squared_distances, tolerance

_BLOCKS = 16  # of rows, in two halves of 8 in 15 ways


class Overlap(NamedTuple):
    """The four scores of `support_overlap`."""

    precision: Score
    recall: Score
    density: Score
    coverage: Score


class _Balls(NamedTuple):
    centres: Tensor  # [n, d]
    radii: Tensor  # [replicates, n] squared: of all rows, and of the halves
    slack: Tensor  # [replicates, n], what rounding may do to them
    tied: Tensor  # [n], what a row on the rim counts in the density
    alive: Tensor  # [replicates, n], which rows the replicate has


def support_overlap(*, real: Tensor, fake: Tensor, k: int = 5, errors: bool = True) -> Overlap:
    """Precision, recall, density and coverage of features ``[n_real, d]`` and ``[n_fake, d]``.

    Args:
        real: features of real rows, at least 32 and 4 k + 16 of them.
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
    x, y = centred(*feature_rows(real=real, fake=fake, least=overlap_least(k)))
    parts, others = _halves(x, errors), _halves(y, errors)
    inside = _held(_balls(x, k, parts), y, others, k)
    outside = _held(_balls(y, k, others), x, parts, k)

    def score(name: str, values: Tensor) -> Score:
        halves = values[1:].view(-1, 2)
        error = float((halves[:, 0] - halves[:, 1]).square().mean().sqrt()) / 2 if errors else math.nan
        return Score(name, float(values[0]), error, len(x), len(y), replicates=_BLOCKS, note=f"k = {k}")

    return Overlap(
        score("precision", inside.held),
        score("recall", outside.held),
        score("density", inside.density),
        score("coverage", inside.covered),
    )


def overlap_least(k: int) -> int:
    """The rows of each sample that `support_overlap` needs for balls to the k-th neighbour."""
    return max(2 * _BLOCKS, 4 * k + 16)


def _halves(x: Tensor, errors: bool) -> Tensor:
    """Which rows belong to each replicate, ``[1 + 30, n]``: all, then two halves of each of 15 orthogonal halvings."""
    whole = torch.ones(1, len(x), dtype=torch.bool, device=x.device)
    if not errors:
        return whole
    block = blocks_of(x, _BLOCKS)
    bits = torch.stack([block >> bit & 1 for bit in range(4)])
    number = torch.arange(1, _BLOCKS, device=x.device)
    chosen = torch.stack([number >> bit & 1 for bit in range(4)], 1)
    signs = chosen @ bits % 2 == 0  # the parity of shared bits: rows of a Hadamard matrix
    return torch.cat([whole, torch.stack([signs, ~signs], 1).flatten(0, 1)])


def _balls(x: Tensor, k: int, alive: Tensor) -> _Balls:
    """The balls around the rows of ``x``, also as they are when only the rows of a half are there."""
    deep = min(len(x) - 1, 4 * k + 16)  # neighbours kept, so that k of them are in each half, but for rare ones
    radii = x.new_empty(len(alive), len(x))
    tied = x.new_empty(len(x))
    for rows, squares in squared_distances(x, x):
        place = torch.arange(len(squares), device=x.device)
        squares[place, place + rows.start] = math.inf  # nobody is his own neighbour
        near, index = squares.topk(deep, largest=False, sorted=True)
        radius = near[:, k - 1]
        slack = tolerance(x[rows], radius)
        radii[0, rows] = radius
        less = (near < (radius - slack).unsqueeze(1)).sum(1)
        rim = (near <= (radius + slack).unsqueeze(1)).sum(1) - less
        full = near[:, -1] <= radius + slack  # there may be more on the rim than were kept
        if bool(full.any()):
            rim[full] = (squares[full] <= (radius + slack)[full].unsqueeze(1)).sum(1) - less[full]
        tied[rows] = (k - less).to(x.dtype) / (rim + 1)
        for r in range(1, len(alive)):
            left = alive[r][index].cumsum(1)
            kth = (left < k).sum(1).clamp_max(deep - 1)  # the deepest kept where fewer than k are of this half
            radii[r, rows] = near.gather(1, kth.unsqueeze(1)).squeeze(1)
    return _Balls(x, radii, tolerance(x, radii), tied, alive)


class _Held(NamedTuple):
    """Per replicate ``[replicates]``."""

    held: Tensor
    density: Tensor
    covered: Tensor


def _held(balls: _Balls, y: Tensor, alive: Tensor, k: int) -> _Held:
    """What of ``y`` lies in the balls, and which balls hold some of it; ``alive`` says which rows a replicate has."""
    replicates, n = balls.radii.shape
    shares, sums = y.new_zeros(replicates), y.new_zeros(replicates)
    hit = torch.zeros(replicates, n, dtype=torch.bool, device=y.device)
    widest = (balls.radii + balls.slack).amax(0)
    for rows, squares in squared_distances(y, balls.centres):
        row, ball = (squares <= widest).nonzero(as_tuple=True)  # few: all that follows is about these pairs
        square = squares[row, ball]
        for r in range(replicates):
            gap = square - balls.radii[r, ball]
            slack = balls.slack[r, ball]
            there = (gap <= slack) & balls.alive[r, ball] & alive[r, rows][row]
            hit[r, ball[there]] = True
            weight = torch.where(gap < -slack, 1.0, balls.tied[ball])
            weight = torch.where(there, weight, 0.0)
            crowd = torch.bincount(row, weight, minlength=len(squares)).to(y.dtype)  # balls around each row
            shares[r] += (crowd > 0).sum()
            sums[r] += crowd.sum()
    count = alive.sum(1)
    return _Held(shares / count, sums / (k * count), hit.sum(1) / balls.alive.sum(1).to(y.dtype))
