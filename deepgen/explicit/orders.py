"""Orders in which an autoregressive model takes its variables, as its constructor gets them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_count, is_whole


def as_orders(orders: int | Sequence[Sequence[int]], features: int, generator: torch.Generator) -> Tensor:
    """Orders given, or so many drawn at random (a single one is 0, 1, ...): ``[orders, features]``."""
    if is_whole(orders):
        check_count(orders=orders)
        if orders == 1:
            return torch.arange(features).unsqueeze(0)
        return torch.rand(orders, features, generator=generator).argsort(1)
    for order in orders:
        if is_whole(order) or getattr(order, "ndim", 1) == 0:
            flat = [int(place) for place in orders]  # type: ignore[call-overload]
            raise ArgumentError(f"orders must be a number of orders or a list of them: give [{flat}], got {flat}")
        if sorted(order) != list(range(features)):
            raise ArgumentError(f"an order must be a permutation of 0 to {features - 1}, got {list(order)}")
    if not len(orders):
        raise ArgumentError("orders must hold at least one order")
    return torch.tensor([list(order) for order in orders])


def plain_orders(orders: int | Sequence[Sequence[int]]) -> int | list[list[int]]:
    """The argument ``orders`` as numbers and lists, for `deepgen.save`."""
    return int(orders) if is_whole(orders) else [[int(i) for i in order] for order in orders]
