"""Bennett's acceptance ratio: log(Z_1 / Z_0) from draws of both laws.

With l(x) = log f_1(x) - log f_0(x), n_0 draws of law 0 and n_1 of law 1, it is the root D of

    sum over draws of 0 of s(l - D + M)  =  sum over draws of 1 of s(D - M - l),
    s(t) = 1 / (1 + e^-t),      M = log(n_1 / n_0),

which among all estimates by one function of both densities has the least variance (Bennett 1976; Meng & Wong 1996), and
is the maximum of a likelihood (Shirts, Bair, Hooker & Pande 2003). Its error is a jackknife over groups of draws that
are independent of one another, so draws within a group may be correlated as they like, those of law 0 with those of
law 1 too.

What it cannot see: a part of either law that no draw has been in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from deepgen.errors import DivergenceError, ShapeError
from deepgen.evaluate.estimate import Estimate

_BEYOND, _HALVINGS = 40.0, 60  # s(40) is 1 in float64; an interval of 100 nats halved to 1e-16


def bennett(up: Tensor, down: Tensor) -> Estimate:
    """log(Z_1 / Z_0) of two laws in nats, from the log ratios of their densities at draws of each.

    Args:
        up: log f_1 - log f_0 at draws of law 0, ``[groups, draws]``, at least 2 groups; -inf where law 1 is 0.
        down: the same difference at draws of law 1, ``[groups, other draws]``; +inf where law 0 is 0.

    Returns:
        An `Estimate` whose side is ``undetermined``: it errs either way. ``n`` counts the groups.

    Raises:
        ShapeError: not two such matrices with the same number of groups.
        DivergenceError: a ratio is NaN, or of the infinity that no draw can have; or without one of the groups no draw
            of one law is possible under the other, and the root is infinite.

    >>> import deepgen as dg  # N(0, 1) and the same shape moved by 1 and five times as high
    >>> x = torch.randn(2, 20, 500, generator=dg.random.generator(0), dtype=torch.float64)
    >>> ratio = lambda x: math.log(5.0) + x.square() / 2 - (x - 1).square() / 2
    >>> found = bennett(ratio(x[0]), ratio(x[1] + 1))
    >>> abs(found.value - math.log(5.0)) < 5 * found.stderr
    True
    """
    if up.ndim != 2 or down.ndim != 2 or len(up) != len(down) or len(up) < 2 or 0 in (*up.shape, *down.shape):
        raise ShapeError(
            f"up and down must be [groups, draws] of the same two or more groups, got {[*up.shape]} and {[*down.shape]}"
        )
    found = leave_one_out(up, down)
    return Estimate(float(found[0]), jackknife(found), "undetermined", "Bennett's ratio", len(up))


def leave_one_out(up: Tensor, down: Tensor) -> Tensor:
    """Bennett's ratio of all groups, then without each one of them: ``[groups, .], [groups, .] -> [1 + groups]``.

    >>> leave_one_out(torch.ones(3, 5), torch.ones(3, 4)).round(decimals=6)
    tensor([1., 1., 1., 1.], dtype=torch.float64)
    """
    up, down = up.double(), down.double()
    if not bool((up < math.inf).all() and (down > -math.inf).all()):
        raise DivergenceError("log ratios are NaN, or say that a law has draws where its own density is 0")
    common = up.isfinite(), down.isfinite()
    if min(int(finite.any(1).sum()) for finite in common) < min(2, len(up)):
        raise DivergenceError("the laws do not overlap: fewer than 2 groups have a draw that both allow")
    ratios = torch.cat([up[common[0]], down[common[1]]])
    groups, shift = len(up), math.log(down.shape[1] / up.shape[1])
    counted = torch.cat([up.new_ones(1, groups), 1 - torch.eye(groups, dtype=up.dtype, device=up.device)])
    low, high = ratios.amin() + shift - _BEYOND, ratios.amax() + shift + _BEYOND
    low, high = (end.expand(1 + groups).clone() for end in (low, high))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        move = (middle - shift).reshape(-1, 1, 1)
        excess = (up - move).sigmoid().sum(-1) - (move - down).sigmoid().sum(-1)  # falls with D
        above = (excess * counted).sum(1) > 0
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2


def jackknife(found: Tensor) -> float:
    """The standard error of the first of ``found`` ``[1 + groups]`` from the others, each without one group.

    >>> jackknife(torch.tensor([2.0, 1.5, 2.5]))  # means of two numbers 2.5 and 1.5: their standard error
    0.5
    """
    without = found[1:].double()
    return math.sqrt((len(without) - 1) / len(without) * float((without - without.mean()).square().sum()))
