"""Which rows are the same: a number for each distinct row."""

from __future__ import annotations

import torch
from torch import Tensor

_ODD = -7046029254386353131  # 2^64 over the golden ratio, as a signed number


def cells(rows: Tensor) -> Tensor:
    """A number for each of ``rows`` ``[n, ...]``, ``[n]``: equal rows have one, and all from 0 to the largest occur.

    Rows are told apart by a hash of their bits, then compared with a row of the same hash, so the answer is exact:
    what `torch.unique` with ``dim=0`` gives, in another order. It sorts n numbers where that sorts n rows, which takes
    ten times as long.

    >>> cell = cells(torch.tensor([[0., 1.], [1., 1.], [-0., 1.]]))
    >>> cell[0] == cell[2], cell[0] == cell[1], cell.max()
    (tensor(True), tensor(False), tensor(1))
    """
    flat = rows.reshape(len(rows), -1)
    bits = (flat.double() + 0.0).view(torch.int64) if flat.dtype != torch.int64 else flat  # -0 + 0 is 0
    key = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    for column in bits.T:
        key = (key ^ column) * _ODD
        key = key ^ (key >> 32)
    _, cell = torch.unique(key, return_inverse=True)
    one = torch.empty(int(cell.max()) + 1, dtype=torch.int64, device=rows.device)
    one[cell] = torch.arange(len(rows), device=rows.device)
    if torch.equal(flat, flat[one[cell]]):
        return cell
    return torch.unique(flat, dim=0, return_inverse=True)[1]  # two rows of one hash
