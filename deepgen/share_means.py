"""Means and sums over the rows and chains of all ranks, in a step that they share; see `deepgen.share`.

Outside of such a step each function gives back what it was handed, at the cost of a look at one variable.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepgen.share import Group, current


def balance() -> float:
    """What a mean over chains is to be multiplied by beside a mean over rows; 1 in a step that is not shared."""
    here = current()
    if here is None or here.chains is None:
        return 1.0
    return here.chains.weight / here.rows.weight


def over_rows(mean: Tensor) -> Tensor:
    """The mean over the rows of all ranks, from that over the own; gradients go back to all of them."""
    here = current()
    if here is None:
        return mean
    shared: Tensor = _Mean.apply(mean, here.rows.weight, here.group)
    return shared


def over_chains(mean: Tensor) -> Tensor:
    """The mean over the chains of all ranks, from that over the own; without gradients."""
    here = current()
    if here is None or here.chains is None:
        return mean
    return here.group.sum(mean.detach() * here.chains.weight)


def sum_rows(total: Tensor) -> Tensor:
    """The sum over the rows of all ranks, from that over the own; without gradients."""
    here = current()
    if here is None:
        return total
    return here.group.sum(total.detach() * (here.rows.weight * here.rows.total / here.rows.size))


def count_rows(count: int) -> int:
    """The sum over ranks of a number of rows."""
    here = current()
    if here is None or not here.rows.cut:
        return count
    return int(here.group.sum(torch.tensor(count)))


def count_chains(count: int) -> int:
    """How many chains all ranks have, of which ``count`` are here."""
    here = current()
    return count if here is None or here.chains is None else here.chains.total


def chain_products(x: Tensor, y: Tensor) -> tuple[float, float]:
    """(norm of x times norm of y, their scalar product) of ``[chains, ...]`` over the chains of all ranks."""
    here = current()
    if here is None or here.chains is None:
        return float(torch.linalg.vector_norm(x) * torch.linalg.vector_norm(y)), float((x * y).sum())
    own = here.chains
    scale = own.weight * own.total / own.size
    found = torch.stack([x.square().sum(), y.square().sum(), (x * y).sum()]).double() * scale
    a, b, product = here.group.sum(found).tolist()
    return float((a * b) ** 0.5), float(product)


class _Mean(torch.autograd.Function):
    """sum over ranks of weight x. As each rank's loss has its own weight w in the sum, d/dx = sum of w d(loss)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: float, group: Group) -> Tensor:
        ctx.weight, ctx.group = weight, group
        return group.sum(x.detach() * weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.group.sum(gradient * ctx.weight), None, None
