"""One-of-many units: the layer for choices among more than two."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.distributions.constraints import OneHotGroups
from deepgen.errors import ArgumentError, SupportError, check_count
from deepgen.explicit.units import digits, uniform_like


class Softmax(nn.Module):
    """``groups`` one-of-``categories`` units, each written one-hot: width = groups * categories.

    Ratings, amino acids or labels go here (a visible Softmax layer makes a Potts machine).

    >>> Softmax(groups=2, categories=3).cumulant(torch.zeros(6))  # 2 log 3
    tensor(2.1972)
    """

    def __init__(self, groups: int, categories: int) -> None:
        super().__init__()
        check_count(groups=groups, categories=categories)
        self.groups, self.categories = int(groups), int(categories)
        self.width = self.groups * self.categories
        self.states = self.categories**self.groups
        self.support = OneHotGroups(self.categories)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"groups": self.groups, "categories": self.categories}

    def _grouped(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.groups, self.categories))

    def energy(self, x: Tensor) -> Tensor:
        """u(x) = 0: ``[..., width] -> [...]``."""
        return x.new_zeros(x.shape[:-1])

    def cumulant(self, field: Tensor) -> Tensor:
        """A(f) = sum over groups of log sum e^f in nats: ``[..., width] -> [...]``."""
        return self._grouped(field).logsumexp(-1).sum(-1)

    def mean(self, field: Tensor) -> Tensor:
        """E[x | f] = e^f / sum e^f in each group: ``[..., width] -> [..., width]``."""
        return self._grouped(field).softmax(-1).flatten(-2)

    def sample(self, field: Tensor, *, generator: torch.Generator | None) -> Tensor:
        """One category of each group with probability e^f / sum e^f: ``[..., width] -> [..., width]``."""
        # Gumbel-max; the exponential race -log(u) > 0 is kept away from log(0) by the smallest normal number.
        race = uniform_like(field, generator).clamp_min_(torch.finfo(field.dtype).tiny).log_().neg_()
        winner = self._grouped(field - race.clamp_min_(torch.finfo(field.dtype).tiny).log()).argmax(-1)
        return F.one_hot(winner, self.categories).to(field.dtype).flatten(-2)

    def enumerate(self, start: int, stop: int) -> Tensor:
        """States ``start`` to ``stop - 1``, first group fastest: ``[stop - start, width]``."""
        places = digits(start, stop, self.categories, self.groups)
        return F.one_hot(places, self.categories).double().flatten(-2)

    def check(self, x: Tensor) -> None:
        """Raise `SupportError` unless every group is one-hot."""
        grouped = self._grouped(x)
        good = ((grouped == 0) | (grouped == 1)).all(-1) & (grouped.sum(-1) == 1)
        if not bool(good.all()):
            raise SupportError(f"values must be one-hot groups of {self.categories}; got {grouped[~good][0].tolist()}")

    def check_mask(self, mask: Tensor) -> None:
        """Raise `ArgumentError` unless the entries of a group are masked together or not at all."""
        grouped = self._grouped(mask)
        if bool((grouped.any(-1) & ~grouped.all(-1)).any()):
            raise ArgumentError(
                f"the {self.categories} entries of a Softmax group must be masked together or not at all"
            )

    def base_field(self, mean: Tensor, n: int) -> Tensor:
        """log of the mean with one row added, spread over the categories: ``[width] -> [width]``."""
        return ((mean * n + 1 / self.categories) / (n + 1)).log()
