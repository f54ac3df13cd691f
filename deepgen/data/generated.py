"""Small sets of binary patterns with known answers.

Each lists every pattern once per way of making it; a model that fits one exactly reaches its `ceiling`, the mean
log-likelihood of the set's own distribution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.errors import ShapeError, check_count


def bars_and_stripes(size: int = 4, *, distinct: bool = False) -> Tensor:
    """All ``size x size`` images of full columns or of full rows: ``[2 * 2**size, size**2]`` of 0 and 1.

    The empty and the full image come twice, as both (MacKay 2003, section 43.3), so they are twice as probable;
    ``distinct=True`` leaves ``2 * 2**size - 2`` patterns, equally probable.

    >>> x = bars_and_stripes(4)
    >>> x.shape, round(ceiling(x), 3)
    (torch.Size([32, 16]), -3.379)
    """
    check_count(1, 12, size=size)
    lines = _binary(size)
    columns = lines.unsqueeze(1).expand(-1, size, size)
    images = torch.cat([columns, columns.transpose(1, 2)]).reshape(-1, size * size)
    return images.unique(dim=0) if distinct else images


def labelled_shifter(bits: int = 8) -> Tensor:
    """Every bit string, the string shifted by one to the left, not at all, or to the right (cyclically), and which.

    Rows are ``bits + bits + 3`` wide, the last three one-hot: ``[3 * 2**bits, 2 * bits + 3]``, all different
    (Hinton & Sejnowski 1986; 768 patterns of 19 bits for ``bits=8``).

    >>> x = labelled_shifter()
    >>> x.shape, round(ceiling(x), 3)
    (torch.Size([768, 19]), -6.644)
    """
    check_count(2, 16, bits=bits)
    source = _binary(bits)
    rows = []
    for label, shift in enumerate((-1, 0, 1)):
        which = torch.zeros(len(source), 3)
        which[:, label] = 1
        rows.append(torch.cat([source, source.roll(shift, dims=1), which], 1))
    return torch.cat(rows)


def shifting_bar(size: int = 9, length: int = 1, *, flipped: bool = False) -> Tensor:
    """A bar of ``length`` ones at each place on a ring of ``size`` zeros: ``[size, size]``; ``flipped`` swaps 0 and 1.

    The flipped set shows whether training is invariant to what is called on and off (Melchior, Fischer & Wiskott 2016).

    >>> shifting_bar(3)
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]])
    """
    check_count(2, 4096, size=size)
    check_count(1, size - 1, length=length)
    bar = (torch.arange(size) < length).float()
    rows = torch.stack([bar.roll(place) for place in range(size)])
    return 1 - rows if flipped else rows


def ceiling(x: Tensor) -> float:
    """Return the mean log-likelihood in nats of rows ``x`` under their own frequencies: the best a model can do.

    >>> ceiling(torch.eye(4))  # -log 4
    -1.386...
    """
    if len(x) == 0:
        raise ShapeError("x must have at least one row, got none")
    counts = x.unique(dim=0, return_counts=True)[1].double()
    return float((counts * (counts / len(x)).log()).sum() / len(x))


def _binary(bits: int) -> Tensor:
    return (torch.arange(2**bits).unsqueeze(1) // 2 ** torch.arange(bits) % 2).float()
