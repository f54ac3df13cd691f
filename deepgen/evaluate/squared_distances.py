"""Squared distances between the rows of two matrices, a block of rows at a time so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ENTRIES = 2**22  # of one block: 32 MB


def centred(x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """The matrices less the mean row of the first: distances stay, and large means cost no digits."""
    mean = x.mean(0)
    return tuple(rows - mean for rows in (x, *others))


def tolerance(*samples: Tensor) -> float:
    """Squared distances of centred rows that differ by no more than this differ by rounding: they are ties."""
    largest = max(float(x.square().sum(1).max()) for x in samples)
    return 64 * torch.finfo(samples[0].dtype).eps * largest


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
