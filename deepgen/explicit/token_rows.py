"""Rows of tokens of several lengths, as one tensor of integers, and what is said where a tensor holds none.

    tokens 0 .. vocabulary - 1 from the left, then -1 to the end:  [3, 1, 4, -1, -1]  has three

``torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)`` makes it of rows that stand alone.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from deepgen.errors import ArgumentError, ShapeError, SupportError
from deepgen.explicit.units import require_tensor

PADDING = -1
PAIRS = (
    "rows of tokens y are given rows of tokens x here: log_prob(y, x), sample(n, x) with one for each row or one for "
    "all, or model(x); as data the pair (y, x), such as torch.utils.data.TensorDataset(y, x)"
)


def token_rows(name: str, rows: Any, vocabulary: int, *, least: int = 0) -> tuple[Tensor, Tensor]:
    """Rows as int64 ``[batch, T]``, and how many tokens each has, ``[batch]``.

    Args:
        name: what the rows are called in messages.
        rows: integers or whole floats.
        vocabulary: number of tokens.
        least: tokens that every row must have.

    Raises:
        ShapeError: no tensor ``[batch, T]`` with a row.
        SupportError: a number that is no token, or a token after padding.
        ArgumentError: no rows at all, or one with fewer tokens than ``least``.

    >>> import torch
    >>> token_rows("y", torch.tensor([[3.0, 1.0], [2.0, -1.0]]), 4)
    (tensor([[ 3,  1],
            [ 2, -1]]), tensor([2, 1]))
    """
    if rows is None:
        raise ArgumentError(f"{name} is missing: {PAIRS}")
    require_tensor(rows, name)
    if rows.ndim != 2 or len(rows) == 0:
        raise ShapeError(f"{name} must be rows of tokens, [batch, T], got {list(rows.shape)}")
    codes = rows.long()
    wrong = (codes != rows) | (codes < PADDING) | (codes >= vocabulary)
    if bool(wrong.any()):
        row = int(wrong.any(1).nonzero()[0])
        raise SupportError(
            f"{name} must hold integers from 0 to {vocabulary - 1}, and -1 after the end of a row; "
            f"row {row} has {rows[row][wrong[row]][0].item()}"
        )
    there = codes >= 0
    if bool((there[:, 1:] & ~there[:, :-1]).any()):
        raise SupportError(f"{name} has tokens after padding: -1 may stand at the end of a row only")
    lengths = there.sum(1)
    if least and not bool((lengths >= least).all()):
        raise ArgumentError(f"every row of {name} must have a token at least: leave out empty ones")
    return codes, lengths


def rows_for(x: Any, n: int) -> Tensor:
    """The rows that ``n`` draws are given: ``[n, S]``, or ``[1, S]`` where it is one for all.

    >>> import torch
    >>> rows_for(torch.tensor([3, 1]), 5).shape
    torch.Size([1, 2])
    """
    if x is None:
        raise ArgumentError(f"x is missing: {PAIRS}")
    require_tensor(x, "x")
    rows: Tensor = x.unsqueeze(0) if x.ndim == 1 else x
    if rows.ndim != 2 or len(rows) not in (1, n):
        raise ShapeError(f"x must be [{n}, S], one row for each draw, or one for all, [S], got {list(x.shape)}")
    return rows


def flat_batch(rows: Tensor) -> Tensor:
    """``[*batch, T]`` as ``[rows, T]``; T may be 0, where ``reshape`` does not know how many rows there are.

    >>> import torch
    >>> flat_batch(torch.zeros(0)).shape, flat_batch(torch.zeros(4, 2, 0)).shape
    (torch.Size([1, 0]), torch.Size([8, 0]))
    """
    return rows.unsqueeze(0) if rows.ndim == 1 else rows.flatten(0, -2)
