"""Maxout: a layer that learns its activations, each the greatest of a few linear functions.

    h_i = max_{j = 1..k} (W_ij . x + b_ij),        k = pieces

Each h_i is convex and piecewise linear in x; with k = 2 that holds |x| and, with a piece that stays zero, a rectifier.
The difference of two such units comes as near as one likes to any continuous function on a bounded closed set, if k is
large enough (theorem 4.3). Nothing saturates and no unit is dead for good: some piece always has a gradient. The paper
drops units before the product, never inside the maximum.

Source: Goodfellow, Warde-Farley, Mirza, Courville & Bengio 2013, "Maxout networks", equation 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.layers.linear import linear
from deepgen.random import resolve


def maxout(x: Tensor, pieces: int, axis: int = -1) -> Tensor:
    """The greatest of every ``pieces`` neighbours along ``axis``: ``[..., n pieces, ...] -> [..., n, ...]``.

    After a convolution with axis 1 it is the paper's convolutional maxout, where channels of one unit are neighbours.

    Raises:
        ShapeError: the axis does not hold whole groups.

    >>> maxout(torch.tensor([1.0, 5.0, -2.0, -3.0]), 2)
    tensor([ 5., -2.])
    """
    check_count(pieces=pieces)
    if x.shape[axis] % pieces:
        raise ShapeError(f"axis {axis} must hold a multiple of {pieces} pieces, got {x.shape[axis]} of {list(x.shape)}")
    axis %= x.ndim
    return x.unflatten(axis, (-1, pieces)).max(axis + 1).values


class Maxout(nn.Module):
    """``[..., inputs] -> [..., outputs]``.

    Args:
        inputs, outputs: widths.
        pieces: k; 1 is a linear layer.
        generator: source of the initial weights, those of `linear`.

    >>> layer = Maxout(3, 4, pieces=2, generator=0)
    >>> layer(torch.zeros(5, 3)).shape, sum(p.numel() for p in layer.parameters())
    (torch.Size([5, 4]), 32)
    """

    def __init__(
        self, inputs: int, outputs: int, pieces: int = 2, *, generator: torch.Generator | int | None = None
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, outputs=outputs, pieces=pieces)
        self.inputs, self.outputs, self.pieces = int(inputs), int(outputs), int(pieces)
        self.pre = linear(inputs, outputs * pieces, generator=resolve(generator))

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"inputs": self.inputs, "outputs": self.outputs, "pieces": self.pieces}

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.inputs:
            raise ShapeError(f"x must be [..., {self.inputs}], got {list(x.shape)}")
        return maxout(self.pre(x), self.pieces)
