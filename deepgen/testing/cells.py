"""Which rows are the same: a number for each distinct row."""

from __future__ import annotations

import torch
from torch import Tensor

_ODD = -7046029254386353131  # 2^64 over the golden ratio, as a signed number
_LOW = 0xFFFFFFFF
_WIDE = 100  # columns from which on rows are sorted sooner than hashed, as most differ in one of the first


def cells(rows: Tensor) -> Tensor:
    """A number for each of ``rows`` ``[n, ...]``, ``[n]``: equal rows have one, and all from 0 to the largest occur.

    Rows are told apart by a hash of their bits, then compared with a row of the same hash, so the answer is exact:
    what `torch.unique` with ``dim=0`` gives, in another order. It sorts n numbers where that sorts n rows, which takes
    ten times as long of a few columns. At least one row, of real numbers without NaN.

    >>> cell = cells(torch.tensor([[0., 1.], [1., 1.], [-0., 1.]]))
    >>> cell[0] == cell[2], cell[0] == cell[1], cell.max()
    (tensor(True), tensor(False), tensor(1))
    """
    flat = rows.reshape(len(rows), -1)
    if flat.shape[1] > _WIDE:
        return torch.unique(flat, dim=0, return_inverse=True)[1]
    bits = flat if flat.dtype == torch.int64 else (flat.double() + 0.0).view(torch.int64)  # -0 + 0 is 0
    mixed = bits * _ODD  # whole numbers go over modulo 2^64
    mixed = mixed ^ (mixed >> 32 & _LOW)  # the bits of small floats are all high, where products would lose them
    weight = torch.full(flat.shape[1:], _ODD, device=rows.device).cumprod(0)
    _, cell = torch.unique((mixed * weight).sum(1), return_inverse=True)
    one = torch.empty(int(cell.max()) + 1, dtype=torch.int64, device=rows.device)
    one[cell] = torch.arange(len(rows), device=rows.device)
    if torch.equal(flat, flat[one[cell]]):
        return cell
    return torch.unique(flat, dim=0, return_inverse=True)[1]  # two rows of one hash
