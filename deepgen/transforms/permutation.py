"""Permutation of the variables: z_i = x_{order_i}, volume kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError
from deepgen.random import resolve


class Permutation(nn.Module):
    """Fixed order of the variables.

    Args:
        order: a permutation of 0 .. D-1, or D for one drawn from ``generator``.
        generator: a generator, a seed, or None for fresh entropy.

    >>> Permutation([2, 0, 1]).encode(torch.tensor([[10.0, 11.0, 12.0]]))[0].tolist()
    [[12.0, 10.0, 11.0]]
    """

    order: Tensor
    back: Tensor

    def __init__(self, order: Sequence[int] | int, *, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        if isinstance(order, int | np.integer):
            places = torch.randperm(int(order), generator=resolve(generator))
        else:
            places = torch.tensor(order)
        if len(places) == 0 or sorted(places.tolist()) != list(range(len(places))):
            raise ArgumentError(f"order must be a permutation of 0 .. D-1 or a number of features, got {order!r}")
        self.register_buffer("order", places, persistent=False)
        self.register_buffer("back", places.argsort(), persistent=False)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"order": self.order.tolist()}

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], zeros [batch])``."""
        return x[:, self.order], x.new_zeros(len(x))

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        return z[:, self.back], z.new_zeros(len(z))

    def extra_repr(self) -> str:
        return f"{len(self.order)} features"
