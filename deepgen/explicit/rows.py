"""What the densities check of the rows and masks that they are handed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepgen.errors import ShapeError
from deepgen.explicit.units import require_tensor

Rows = Tensor | np.ndarray[Any, Any]


def flat_rows(x: Any, shape: Sequence[int], name: str) -> Tensor:
    """``[rows, *shape]`` or flat rows ``-> [rows, features]``; anything else is a `ShapeError`.

    >>> flat_rows(torch.zeros(5, 2, 3), [2, 3], "x").shape
    torch.Size([5, 6])
    """
    require_tensor(x, name)
    event = torch.Size(shape)
    shapes = dict.fromkeys((event, torch.Size([event.numel()])))
    if x.ndim < 2 or x.shape[1:] not in shapes or len(x) == 0:
        wanted = " or ".join(f"[rows, {', '.join(map(str, one))}]" for one in shapes)
        raise ShapeError(f"{name} must be {wanted} with at least one row, got {list(x.shape)}")
    return x.flatten(1)


def answered(x: Rows, answer: Callable[[Tensor], Tensor]) -> Rows:
    """``answer`` of rows; those of an array come back as an array, for a Pipeline of scikit-learn.

    >>> answered(np.ones((1, 2)), lambda x: x + 1)
    array([[2., 2.]])
    """
    return answer(torch.as_tensor(x)).cpu().numpy() if isinstance(x, np.ndarray) else answer(x)


def mask_of(mask: Any, rows: Tensor) -> Tensor:
    """A boolean ``mask``, one for all ``rows`` ``[rows, features]`` or one for each, in the shape of ``rows``.

    >>> mask_of(torch.tensor([True, False]), torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """
    require_tensor(mask, "mask")
    if mask.dtype != torch.bool or mask.shape not in (rows.shape[1:], rows.shape):
        raise ShapeError(
            f"mask must be boolean, [{rows.shape[1]}] or {list(rows.shape)}, got {mask.dtype} {list(mask.shape)}"
        )
    return mask.expand(rows.shape)
