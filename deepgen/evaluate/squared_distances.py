"""Squared distances between the rows of two matrices, a block of rows at a time so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ENTRIES = 2**22  # of one block: 32 MB


def centred(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """The matrices less the median row of the first: distances stay, and large means cost no digits.

    (The median and not the mean, so that one row far out does not move the others away from 0.)
    """
    middle = x.median(0).values
    return tuple(rows - middle for rows in (x, *others))


def tolerance(x: Tensor, squares: Tensor | float = 0.0) -> Tensor:
    """By how much squared distances around ``squares`` to each of the centred rows ``x`` can be off by rounding: [n].

    Such differences are ties. It is a row's own, as a single row far out must not make all the others look alike.

    >>> bool(tolerance(torch.tensor([[1.0], [1e6]])).diff() > 1)
    True
    """
    return 128 * torch.finfo(x.dtype).eps * (x.square().sum(1) + squares)


def squared_distances(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of ``x`` ``[n, d]`` against all of ``y`` ``[m, d]``: pairs (rows, their squared distances ``[rows, m]``).

    >>> (rows, block), = squared_distances(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    >>> block
    tensor([[25.]])
    """
    squares = y.square().sum(1)
    step = max(1, ENTRIES // len(y))
    for start in range(0, len(x), step):
        part = x[start : start + step]
        block = torch.addmm(squares.unsqueeze(0), part, y.mT, alpha=-2.0)
        block += part.square().sum(1, keepdim=True)
        yield slice(start, start + len(part)), block.clamp_min_(0.0)
