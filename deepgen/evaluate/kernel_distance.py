"""Kernel distance: the unbiased squared maximum mean discrepancy of two samples, and its variance.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y)         x, x' real, y, y' fake, all independent

Estimated by the mean over pairs of different rows (Gretton et al. 2012, eq. 3), which is unbiased at every n, and
negative for about half of the samples when the laws are equal. The kernel distance (KID, Bińkowski et al. 2018) takes
k(x, y) = (x.y / d + 1)^3 on features [n, d]: it compares means, covariances and third moments. Here all pairs are used
instead of random subsets, so there is no subset size to name.

The variance of such a mean of pairs has a part s1 of single rows and a part s2 of pairs (Hoeffding 1948). The
delete-one jackknife estimates s1 + 2 s2; s2 is estimated from the doubly centred kernel and taken off once. Where laws
are equal s1 = 0, and the law of the value is then no Gaussian: `mmd_test` has a p-value that is exact.

Time is (n + m)^2 d, memory bounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from deepgen.evaluate.score import Score, feature_rows
from deepgen.evaluate.squared_distances import ENTRIES

Blocks = Callable[[Tensor, Tensor], Iterator[tuple[slice, Tensor]]]  # k(x, y), rows of x at a time


def kernel_distance(*, real: Tensor, fake: Tensor) -> Score:
    """The KID of features ``[n_real, d]`` and ``[n_fake, d]``, unbiased, with its standard error.

    Args:
        real: features of real rows, at least 4.
        fake: features of generated rows, at least 4.

    Raises:
        ShapeError, SupportError, ArgumentError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import generator, normal
    >>> x = normal((600, 4), generator=generator(0))
    >>> same, other = kernel_distance(real=x[:300], fake=x[300:]), kernel_distance(real=x[:300], fake=x[300:] + 1)
    >>> abs(same.value) < 5 * same.stderr, other.value > 5 * other.stderr
    (True, True)
    """
    x, y = feature_rows(real=real, fake=fake, least=4)
    value, stderr = unbiased_mmd(x, y, cubic)
    return Score("kernel distance", value, stderr, len(x), len(y), side="unbiased", note="cubic kernel")


def cubic(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """``(x.y / d + 1)^3``, a block of rows at a time."""
    step = max(1, ENTRIES // len(y))
    for start in range(0, len(x), step):
        part = x[start : start + step]
        yield slice(start, start + len(part)), (part @ y.mT / x.shape[1] + 1).pow_(3)


def unbiased_mmd(x: Tensor, y: Tensor, kernel: Blocks) -> tuple[float, float]:
    """The estimate and its standard error, for any kernel."""
    n, m = len(x), len(y)
    one, other, cross = _within(x, kernel), _within(y, kernel), _sums(x, y, kernel)
    xx, yy, xy = one.rows.sum(), other.rows.sum(), cross.rows.sum()
    value = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    less_x = (xx - 2 * one.rows) / ((n - 1) * (n - 2)) - 2 * (xy - cross.rows) / ((n - 1) * m)
    less_y = (yy - 2 * other.rows) / ((m - 1) * (m - 2)) - 2 * (xy - cross.columns) / (n * (m - 1))
    jackknife = float((n - 1) * less_x.var(correction=0) + (m - 1) * less_y.var(correction=0))
    pairs = 2 * _pair_part(one, n - 1) / (n * (n - 1)) + 2 * _pair_part(other, m - 1) / (m * (m - 1))
    pairs += 4 * _pair_part(cross, m, n) / (n * m)
    return float(value), math.sqrt(max(jackknife - pairs, jackknife / 2))


class _Sums(NamedTuple):
    rows: Tensor
    columns: Tensor
    squares: float


def _sums(x: Tensor, y: Tensor, kernel: Blocks) -> _Sums:
    rows, columns, squares = x.new_zeros(len(x)), x.new_zeros(len(y)), 0.0
    for part, k in kernel(x, y):
        rows[part] = k.sum(1)
        columns += k.sum(0)
        squares += float(k.square().sum())
    return _Sums(rows, columns, squares)


def _within(x: Tensor, kernel: Blocks) -> _Sums:
    """The sums over pairs of different rows."""
    rows, squares = x.new_zeros(len(x)), 0.0
    for part, k in kernel(x, x):
        k.diagonal(part.start).zero_()
        rows[part] = k.sum(1)
        squares += float(k.square().sum())
    return _Sums(rows, rows, squares)


def _pair_part(sums: _Sums, wide: int, high: int | None = None) -> float:
    """Mean square of what is left of the kernel without its row and column means."""
    high = wide if high is None else high
    by_row, by_column = sums.rows / wide, sums.columns / high
    mean = by_row.mean()
    return sums.squares / (len(by_row) * wide) - float(by_row.square().mean() + by_column.square().mean() - mean**2)
