"""Do two samples have one law? The kernel two-sample test, with a p-value that is exact at every n.

    MMD^2 with k(x, y) = mean over s of exp(-|x - y|^2 / (2 s^2)),   s = h/2, h, 2h, h the median distance

(Gretton et al. 2012; h is the median over all pairs of rows that differ, of both samples together.) Under equal laws
the rows are exchangeable, so the value is one of those that come of random relabellings, each as likely: with P of
them p = (1 + number at or above the value) / (1 + P) is at or below any a with probability at most a.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from deepgen.errors import check_count
from deepgen.evaluate.kernel_distance import Blocks, unbiased_mmd
from deepgen.evaluate.score import Score, feature_rows
from deepgen.evaluate.squared_distances import centred, squared_distances, tolerance
from deepgen.random import on_host

SCALES = (0.5, 1.0, 2.0)  # of the median distance
_MEDIAN_ROWS = 1000


def mmd_test(
    *,
    real: Tensor,
    fake: Tensor,
    permutations: int = 500,
    rows: int = 1000,
    generator: torch.Generator | int | None = None,
) -> Score:
    """The unbiased MMD^2 with Gaussian kernels, and the p-value of random relabellings.

    Args:
        real: features ``[n_real, d]``, at least 4 rows.
        fake: features ``[n_fake, d]``.
        permutations: relabellings P; the least p-value is 1 / (1 + P).
        rows: at most so many of each sample are used, chosen at random: time grows with their square.
        generator: a generator, a seed, or None for fresh entropy.

    Raises:
        ShapeError, SupportError, ArgumentError: see `deepgen.evaluate.score.feature_rows`.

    >>> from deepgen.random import normal, generator
    >>> x = normal((300, 3), generator=generator(0))
    >>> mmd_test(real=x[:150], fake=x[150:] * 2, generator=0).p_value < 0.01
    True
    """
    check_count(permutations=permutations)
    check_count(4, rows=rows)
    stream = on_host(generator)
    x, y = (at_most(sample, rows, stream) for sample in feature_rows(real=real, fake=fake, least=4))
    x, y = centred(x, y)
    kernel = gaussian(median_distance(torch.cat([x, y]), stream))
    value, stderr = unbiased_mmd(x, y, kernel)
    p = _p_value(torch.cat([x, y]), len(x), kernel, permutations, stream)
    note = f"median heuristic, {permutations} permutations"
    return Score("MMD²", value, stderr, len(x), len(y), side="unbiased", p_value=p, note=note)


def gaussian(scale: float) -> Blocks:
    """The mean of Gaussian kernels of widths `SCALES` times ``scale``."""

    def blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
        for rows, squares in squared_distances(x, y):
            kernels = [squares.div(-2 * (factor * scale) ** 2).exp_() for factor in SCALES]
            yield rows, torch.stack(kernels).mean(0)

    return blocks


def median_distance(x: Tensor, stream: torch.Generator) -> float:
    """The median distance of rows that differ, of at most 1,000 rows; 1 where none do.

    (Where most pairs are equal, as of sparse bits, the median of all would be 0, or rounding.)
    """
    x = at_most(x, _MEDIAN_ROWS, stream)
    squares = torch.cat([block for _, block in squared_distances(x, x)])
    apart = squares[(squares > tolerance(x).unsqueeze(1)).triu(1)]
    return float(apart.median().sqrt()) if len(apart) else 1.0


def at_most(x: Tensor, rows: int, stream: torch.Generator) -> Tensor:
    """``x``, or ``rows`` of its rows chosen at random where it has more."""
    if len(x) <= rows:
        return x
    return x[torch.randperm(len(x), generator=stream, device=stream.device)[:rows].to(x.device)]


def _p_value(pooled: Tensor, n: int, kernel: Blocks, permutations: int, stream: torch.Generator) -> float:
    total = len(pooled)
    orders = torch.rand(permutations, total, generator=stream, dtype=pooled.dtype).argsort(1)
    orders = torch.cat([torch.arange(total).unsqueeze(0), orders])  # the first is what came
    chosen = torch.zeros(total, len(orders), dtype=pooled.dtype)
    chosen.scatter_(0, orders[:, :n].mT, 1.0)
    chosen = chosen.to(pooled.device)
    whole = pooled.new_zeros(())  # the sum of k over all pairs of different rows
    row, quadratic = pooled.new_zeros(2, len(orders))  # over chosen against all, and over chosen pairs
    for part, k in kernel(pooled, pooled):
        k.diagonal(part.start).zero_()
        whole = whole + k.sum()
        row = row + k.sum(1) @ chosen[part]
        quadratic = quadratic + (chosen[part] * (k @ chosen)).sum(0)
    m = total - n
    cross, other = row - quadratic, whole - 2 * row + quadratic
    values = quadratic / (n * (n - 1)) + other / (m * (m - 1)) - 2 * cross / (n * m)
    slack = 1e-12 * float(whole) / (total * (total - 1))  # the same relabelling may round differently
    return float((values >= values[0] - slack).double().mean())
