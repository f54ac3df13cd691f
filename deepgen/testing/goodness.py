"""Goodness of fit: p-values for independent draws against a law, and for two sets of draws against one another.

All are uniform (or a little larger, for merged cells and ties) when the law is right. Sources: Pearson 1900; Wilks
1938 (G); Bowker 1948, "A test for symmetry in contingency tables"; Kolmogorov 1933 and Smirnov 1948.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deepgen.errors import ArgumentError
from deepgen.testing.cells import cells


def chi_square(counts: Tensor, probabilities: Tensor, *, expected: float = 10.0) -> float:
    """Test of ``counts`` ``[cells]`` against ``probabilities`` ``[cells]``: the larger p of Pearson's and the G test.

    Both statistics, sum (o - e)^2 / e and 2 sum o log(o / e), are chi-square in the limit. Where few counts are
    expected their tails are too heavy: at a level of 1.4e-6 Pearson's is reached by 1.7e-5 of correct samples (one cell
    of 10 counts), and that of G by 7e-6 (500 cells of 10). Both at once are reached by 5e-7 to 1.9e-6 (1 to 500 cells).

    Cells are merged, rarest first, until each expects at least ``expected`` counts. A count where the probability is
    exactly 0 gives 0.

    >>> 0.9 < chi_square(torch.tensor([50, 50]), torch.tensor([0.5, 0.5])) <= 1.0
    True
    >>> chi_square(torch.tensor([90, 10]), torch.tensor([0.5, 0.5])) < 1e-10
    True
    """
    counts, probabilities = counts.double(), probabilities.double()
    if bool((counts[probabilities == 0] > 0).any()):
        return 0.0
    mean = counts.sum() * probabilities / probabilities.sum()
    cell = _merge(mean, expected)
    observed, mean = _sums(counts, cell), _sums(mean, cell)
    pearson = ((observed - mean).square() / mean).sum()
    g = 2 * torch.special.xlogy(observed, observed / mean).sum()
    return _chi_square_tail(float(torch.minimum(pearson, g).clamp_min(0)), len(mean) - 1)  # G rounds to below 0


def same_cells(first: Tensor, second: Tensor, *, expected: float = 10.0) -> float:
    """Test that rows ``first`` ``[m, ...]`` and ``second`` ``[n, ...]`` of values that repeat come from one law.

    >>> flips = torch.randint(2, (2, 1000, 1), generator=torch.Generator().manual_seed(0))
    >>> same_cells(flips[0], flips[1]) > 1e-6, same_cells(flips[0], flips[1] * 0) < 1e-6
    (True, True)
    """
    return _same_counts(cells(torch.cat([first, second])), len(first), expected)


def symmetric(first: Tensor, second: Tensor, *, expected: float = 10.0) -> float:
    """Bowker's test that pairs of cells (i, j) are as frequent as (j, i).

    Args:
        first, second: cell numbers ``[n]``.
        expected: pairs that occur more rarely than twice this are merged into one.

    >>> a, b = torch.randint(3, (2, 1000), generator=torch.Generator().manual_seed(0))
    >>> symmetric(a, b) > 1e-6, symmetric(a, (a + 1) % 3) < 1e-6
    (True, True)
    """
    size = int(torch.maximum(first.max(), second.max())) + 1
    table = torch.bincount(first * size + second, minlength=size**2).reshape(size, size).double()
    upper = torch.triu_indices(size, size, 1)
    there, back = table[upper[0], upper[1]], table[upper[1], upper[0]]
    there, back = there[there + back > 0], back[there + back > 0]
    if len(there) == 0:
        return 1.0
    cell = _merge((there + back) / 2, expected)
    there, back = _sums(there, cell), _sums(back, cell)
    return _chi_square_tail(float(((there - back).square() / (there + back)).sum()), len(there))


def ks(sample: Tensor, cdf: Callable[[Tensor], Tensor]) -> float:
    """Kolmogorov-Smirnov test of ``sample`` ``[n]`` against a continuous distribution function.

    >>> ks(torch.linspace(0.01, 0.99, 50), lambda x: x) > 0.9
    True
    """
    from scipy.stats import kstwo

    u, n = cdf(sample.double().sort().values), len(sample)
    if not bool(u.isfinite().all()):
        return 0.0
    steps = torch.arange(n + 1, dtype=torch.float64) / n
    distance = torch.maximum(steps[1:] - u, u - steps[:-1]).max()
    return float(kstwo.sf(float(distance), n))


def ks_same(first: Tensor, second: Tensor) -> float:
    """Kolmogorov-Smirnov test that ``first`` ``[m]`` and ``second`` ``[n]`` come from one law; large samples.

    >>> ks_same(torch.arange(500.0), torch.arange(500.0) + 0.5) > 0.9
    True
    """
    from scipy.special import kolmogorov

    first, second = first.double().sort().values, second.double().sort().values
    both = torch.cat([first, second])
    if not bool(both.isfinite().all()):
        return 0.0
    below_first = torch.searchsorted(first, both, right=True) / len(first)
    below_second = torch.searchsorted(second, both, right=True) / len(second)
    size = len(first) * len(second) / len(both)
    return float(kolmogorov(math.sqrt(size) * float((below_first - below_second).abs().max())))


def same_mean(first: Tensor, second: Tensor) -> float:
    """Two-sided z test that ``first`` ``[m]`` and ``second`` ``[n]`` have one mean; large samples.

    >>> same_mean(torch.arange(500.0), torch.arange(500.0)) == 1.0
    True
    """
    error = first.double().var() / len(first) + second.double().var() / len(second)
    gap = (first.double().mean() - second.double().mean()).abs()
    if not bool(gap.isfinite()):
        return 0.0
    return math.erfc(float(gap / (2 * error).sqrt())) if error > 0 else float(gap == 0)


def same_law(first: Tensor, second: Tensor, *, generator: torch.Generator) -> list[float]:
    """p-values that rows ``first`` and ``second`` ``[n, *event]`` come from one law.

    Values that repeat (fewer distinct rows than a sixteenth of all) are compared cell by cell. Others by KS, and by
    their mean and mean square, on up to 8 coordinates and on 3 random projections drawn from ``generator``, which see
    correlations.

    >>> g = torch.Generator().manual_seed(0)
    >>> x = torch.randn(3, 1000, 2, generator=g)
    >>> min(same_law(x[0], x[1], generator=g)) > 1e-4, min(same_law(x[0], 2 * x[1], generator=g)) < 1e-10
    (True, True)
    """
    if first.shape[1:] != second.shape[1:] or min(len(first), len(second)) < 100:
        raise ArgumentError(f"need two sets of at least 100 like rows, got {list(first.shape)}, {list(second.shape)}")
    first, second = (x.reshape(len(x), -1).double().cpu() for x in (first, second))
    both = torch.cat([first, second])
    if not bool(both.isfinite().all()):
        return [0.0]
    cell = cells(both)
    if (int(cell.max()) + 1) * 16 < len(both):
        return [_same_counts(cell, len(first))]
    scale = both.std(0).clamp_min(torch.finfo(torch.float64).tiny)
    if both.shape[1] > 1:
        extra = torch.randn(both.shape[1], 3, generator=generator, dtype=torch.float64) / scale.unsqueeze(1)
        pick = torch.randperm(both.shape[1], generator=generator)[:8]
        first, second = (torch.cat([x[:, pick], x @ extra], 1) for x in (first, second))
    middle = torch.cat([first, second]).mean(0)
    found = []
    for a, b, m in zip(first.T, second.T, middle, strict=True):
        found += [ks_same(a, b), same_mean(a, b), same_mean((a - m).square(), (b - m).square())]
    return found


def _same_counts(cell: Tensor, m: int, expected: float = 10.0) -> float:
    """`same_cells` from the numbers of the cells ``[m + n]``, those of the first set first."""
    n = len(cell) - m
    pooled = torch.bincount(cell).double()
    cell = _merge(pooled * (min(m, n) / (m + n)), expected)[cell]
    a, b = torch.bincount(cell[:m]).double(), torch.bincount(cell[m:]).double()
    most = max(len(a), len(b))
    a, b = (torch.nn.functional.pad(x, (0, most - len(x))) for x in (a, b))
    statistic = ((a * math.sqrt(n / m) - b * math.sqrt(m / n)).square() / (a + b)).sum()
    return _chi_square_tail(float(statistic), most - 1)


def _merge(mean: Tensor, expected: float) -> Tensor:
    """Number the cells so that, rarest first, those of one number expect at least ``expected`` together."""
    order = mean.argsort()
    number, current, gathered = torch.empty_like(order), 0, 0.0
    for place, amount in zip(order.tolist(), mean[order].tolist(), strict=True):
        number[place] = current
        gathered += amount
        if gathered >= expected:
            current, gathered = current + 1, 0.0
    return number.clamp_max(max(current - 1, 0))


def _sums(values: Tensor, cell: Tensor) -> Tensor:
    return torch.zeros(int(cell.max()) + 1, dtype=torch.float64).index_add_(0, cell, values)


def _chi_square_tail(statistic: float, freedom: int) -> float:
    from scipy.special import chdtrc

    return float(chdtrc(freedom, statistic)) if freedom > 0 else 1.0
