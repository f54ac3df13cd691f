"""Supports of discrete variables that torch's constraints lack: spins, and rows of one-hot groups."""

from __future__ import annotations

from torch import Tensor
from torch.distributions.constraints import Constraint

from deepgen.errors import check_count


class _Spin(Constraint):
    """Values -1 and +1."""

    is_discrete = True

    def check(self, value: Tensor) -> Tensor:
        return (value == -1) | (value == 1)


class OneHotGroups(Constraint):
    """Rows of one-hot groups side by side: ``[..., groups * categories]``, as a `Softmax` layer writes them.

    (torch's own ``one_hot`` is one group on the last axis.)

    Args:
        categories: the width of a group.

    >>> import torch
    >>> OneHotGroups(2).check(torch.tensor([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]))
    tensor([ True, False])
    """

    is_discrete = True
    event_dim = 1

    def __init__(self, categories: int) -> None:
        check_count(categories=categories)
        self.categories = int(categories)

    def check(self, value: Tensor) -> Tensor:
        groups = value.unflatten(-1, (-1, self.categories))
        return (((groups == 0) | (groups == 1)).all(-1) & (groups.sum(-1) == 1)).all(-1)

    def __repr__(self) -> str:
        return f"OneHotGroups({self.categories})"


spin = _Spin()
"""The support of spins: every value is -1 or +1."""
