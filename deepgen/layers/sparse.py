"""Sparse initial weights: every unit is joined to a few inputs only.

    w_ij = std e_ij for the j of k inputs, chosen evenly for each unit i, and 0 for the others;    e_ij ~ N(0, 1)

Units see different inputs from the start, and their sums, of variance k std^2 over inputs of 1, do not grow with the
number of inputs. ``torch.nn.init.sparse_`` fixes the number of zeros of each column instead, which for a linear layer
is that of each input, and chooses them from torch's global stream.

Source: Martens 2010, "Deep learning via Hessian-free optimization", section 5 (k = 15).
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepgen.errors import ArgumentError, check_count, check_real
from deepgen.layers.entering import check_units_axis
from deepgen.random import resolve


@torch.no_grad()
def sparse_(
    weight: Tensor,
    connections: int = 15,
    *,
    std: float = 1.0,
    axis: int = 0,
    generator: torch.Generator | int | None = None,
) -> Tensor:
    """Fill ``weight`` in place so that every unit has ``connections`` weights from N(0, std^2), and others of 0.

    Args:
        weight: two axes or more, one of which counts units.
        connections: inputs that each unit is joined to, chosen evenly without repeats; at most as many as there are.
        std: deviation of those weights.
        axis: the axis of units: 0 of torch's layers, 1 of an `deepgen.explicit.RBM`'s hidden ones.
        generator: chooses the inputs, and draws their weights.

    Raises:
        ArgumentError: no number of connections from 1 to that of inputs, or a deviation below 0.
        ShapeError: a tensor without two axes, or an axis that it has not.

    >>> sparse_(torch.empty(3, 100), 15, generator=0).count_nonzero(1)
    tensor([15, 15, 15])
    """
    check_units_axis(weight, axis)
    units = weight.movedim(axis, 0)
    inputs = units.flatten(1).shape[1]
    check_count(connections=connections)
    check_real("std", std, 0)
    if connections > inputs:
        raise ArgumentError(f"connections must be at most the {inputs} inputs of a unit, got {connections}")
    stream = resolve(generator, weight.device)
    joined = torch.rand(len(units), inputs, generator=stream, device=weight.device).topk(connections, 1).indices
    drawn = torch.randn(len(units), connections, generator=stream, device=weight.device).to(weight) * std
    units.copy_(torch.zeros_like(units).flatten(1).scatter(1, joined, drawn).view(units.shape))
    return weight
