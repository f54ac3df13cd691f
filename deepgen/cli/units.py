"""Rows of data as the visible units of a machine take them, and back: spins of bits, one-hot groups of grey levels.

    Spin       x in {0, 1}           <->   2 x - 1
    Softmax    x in {0, ..., L - 1}  <->   one 1 among L for each value

Both are one to one, so a row has the same probability either way; evaluation, draws and pages are of the data's own
values, and only training and estimates see those of the units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.cli.feed import labels_of
from deepgen.explicit import DBM, DBN, RBM, ClassRBM, Softmax, Spin

if TYPE_CHECKING:
    from deepgen.data import Data


def coded(model: nn.Module, x: Any) -> Any:
    """``x`` ``[rows, features]`` in the values of the visible units of ``model``; for any other model as it is.

    >>> import torch
    >>> coded(RBM(Softmax(2, 3), 1, generator=0), torch.tensor([[0.0, 2.0]]))
    tensor([[1., 0., 0., 0., 0., 1.]])
    """
    units = getattr(model, "visible", None) if isinstance(model, RBM) else None
    if isinstance(units, Spin):
        return 2 * x - 1
    if isinstance(units, Softmax):
        return F.one_hot(x.long(), units.categories).flatten(-2).to(x.dtype)
    return x


def decoded(model: nn.Module, v: Tensor) -> Tensor:
    """Undo `coded`; labels beside the rows are left out.

    >>> import torch
    >>> decoded(RBM(Softmax(2, 3), 1, generator=0), torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0, 1.0]]))
    tensor([[0., 2.]])
    """
    if isinstance(model, ClassRBM):
        return v[..., : model.features]
    units = getattr(model, "visible", None) if isinstance(model, RBM) else None
    if isinstance(units, Spin):
        return (v + 1) / 2
    if isinstance(units, Softmax):
        return v.unflatten(-1, (units.groups, units.categories)).argmax(-1).to(v.dtype)
    return v


def taken(model: nn.Module, data: Data, split: str) -> Any:
    """The rows of a split as `coded` has them; of a machine with label units with their labels beside them."""
    rows = getattr(data, split)
    return model.join(rows, labels_of(data, split)) if isinstance(model, ClassRBM) else coded(model, rows)


def columns(model: RBM | DBM | DBN) -> int:
    """How many columns of data its visible units stand for."""
    if isinstance(model, ClassRBM):
        return model.features
    units = model.visible
    return int(units.groups if isinstance(units, Softmax) else units.width)
