"""Encoder of square images over p4: what it puts out is the same for an image and for each of its quarter turns.

    h_0 = a(lifting x),   h_i = a(group convolution of h_(i-1))         each halves the sides: [channels, 4, side, side]
    u = a(A h_last + C context)                                         A sees all places: [hidden, 4]
    output = W m + b,     m = mean over r of u_r                        or the greatest, r the four turns

It is `ConvEncoder` with `P4Conv` in the place of convolutions. A turn of x turns each h and moves its axis of turns on.
A is a group convolution whose kernel is as large as the maps, the dense layer of the group, so that the columns of u
only change places, and m does not change. Places are not pooled away: a shifted image is another one, as it is to a
`ConvEncoder`. Outputs are equal but for rounding, whatever the weights; what tells an image from its turn is lost.

Kernels are 4 x 4 with stride 2 and m a mean, so that with SiLU all is smooth in x, as Langevin moves want it; or 3 x 3
with the greatest of each 2 x 2 places and of the turns (`p4_max_pool`, `p4_pool`). There are no norms, and rows stay
apart: the exponential of an output is a density, and a penalty on the gradient of a row is that row's own.

Source: Cohen & Welling 2016, "Group equivariant convolutional networks", sections 6.2 (convolutions) and 6.3 (pools).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, unknown_name
from deepgen.layers.activations import activation_of
from deepgen.layers.dense import check_context, shape_of
from deepgen.layers.images import image_arguments, sides
from deepgen.layers.linear import linear
from deepgen.layers.p4_conv import P4Conv, p4_max_pool, p4_pool
from deepgen.random import resolve


class P4Encoder(nn.Module):
    """``[rows, channels, side, side] -> [rows, *outputs]``, the same for all quarter turns of the images.

    Args:
        image: (channels, side, side); the side must be divisible by 2 to the number of ``features``.
        outputs: width of what comes out, or its shape; ``()``, one number a row: an energy, a discriminator.
        features: channels after each convolution, each with four turns.
        hidden: width of the layer after them, which has four turns too.
        activation, generator: as for `Dense`.
        context: width of context rows, which the hidden layer sees at each turn; 0 for none.
        pool: ``max`` for greatest values in the place of strides and of the mean over turns.

    Raises:
        ArgumentError, UnknownName: a setting outside its range, or an image that is not square.
        ShapeError: in ``forward``, images or contexts of another shape.

    >>> net, x = P4Encoder((1, 8, 8), (), generator=0), torch.randn(5, 1, 8, 8)
    >>> net(x).shape, torch.allclose(net(x), net(x.rot90(1, (2, 3))), atol=1e-5)
    (torch.Size([5]), True)
    """

    def __init__(
        self,
        image: Sequence[int],
        outputs: int | Sequence[int],
        *,
        features: Sequence[int] = (8, 16),
        hidden: int = 64,
        activation: str = "silu",
        context: int = 0,
        pool: str | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if pool not in (None, "max"):
            raise unknown_name("pool", pool, ["max"])
        self._arguments = image_arguments(image, features, hidden, activation, context)
        if image[1] != image[2]:
            raise ArgumentError(
                f"only a square image has quarter turns of its own shape, got {image[1]} x {image[2]}: pad or crop it, "
                "or take ConvEncoder"
            )
        self.image, self.outputs, self.context, self.pool = tuple(image), shape_of(outputs), int(context), pool
        self._arguments |= {"outputs": list(self.outputs), "pool": pool}
        (side, _), stream = sides(image, len(features)), resolve(generator)
        self.activation = activation_of(activation)
        kernel, stride = (4, 2) if pool is None else (3, 1)
        self.convolutions = nn.ModuleList(
            P4Conv(a, b, kernel, lift=not i, stride=stride, padding=1, generator=stream)
            for i, (a, b) in enumerate(zip([self.image[0], *features[:-1]], features, strict=True))
        )
        self.dense = P4Conv(features[-1], hidden, side, padding=0, generator=stream)
        self.given = linear(context, hidden, bias=False, generator=stream) if context else None
        self.last = linear(hidden, math.prod(self.outputs), generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if x.shape[1:] != self.image:
            raise ShapeError(f"images must be [rows, {', '.join(map(str, self.image))}], got {list(x.shape)}")
        code = check_context(context, len(x), self.context)
        for layer in self.convolutions:
            x = self.activation(layer(x))
            x = x if self.pool is None else p4_max_pool(x)
        u = self.dense(x)
        if code is not None and self.given is not None:
            u = u + self.given(code.to(u)).view(*u.shape[:2], 1, 1, 1)
        u = self.activation(u)
        m = u.mean((2, 3, 4)) if self.pool is None else p4_pool(u).flatten(1)
        return self.last(m).view(len(x), *self.outputs)
