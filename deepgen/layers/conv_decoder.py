"""Convolutional decoder: `ConvEncoder` backwards, transposed convolutions in the place of convolutions.

    z [rows, inputs], context [rows, c] -> numbers [rows, numbers * channels, height, width]

Kernels are 4 x 4 with stride 2, the activation is SiLU by default, and a context is joined to the row. Batch
normalisation, if wanted, stands before each activation in the place of its bias. Blocks stand where the encoder has
them: after the activation of maps of so many channels, before the convolution that doubles their sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.layers.activations import activation_of
from deepgen.layers.convolution import conv
from deepgen.layers.dense import joined
from deepgen.layers.images import Blocks, image_arguments, normed, placed, sides, through, written
from deepgen.layers.linear import linear
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve


class ConvDecoder(nn.Module):
    """``[rows, inputs] -> [rows, numbers * channels, height, width]``: `ConvEncoder` backwards.

    Args:
        inputs: width of a row.
        image: (channels, height, width) of the data.
        numbers: how many the likelihood takes for each value.
        features, hidden, activation, context, norm, generator: those of the encoder, ``features`` in the same order.
        blocks: in the order of ``features`` too, modules of its own, so that the last one is the first to see anything.

    Raises:
        ArgumentError, UnknownName, ShapeError: as `ConvEncoder`.

    >>> ConvDecoder(32, (1, 28, 28), generator=0)(torch.zeros(5, 32)).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        inputs: int,
        image: Sequence[int],
        *,
        numbers: int = 1,
        features: Sequence[int] = (32, 64),
        hidden: int = 256,
        activation: str = "silu",
        context: int = 0,
        norm: bool = False,
        blocks: Blocks | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, numbers=numbers)
        self._arguments = image_arguments(image, features, hidden, activation, context)
        self.inputs = int(inputs)
        self._arguments |= {"inputs": self.inputs, "numbers": int(numbers), "norm": bool(norm)}
        self.activation, self.context, stream = activation_of(activation), int(context), resolve(generator)
        self.maps = features[-1], *sides(image, len(features))
        self.blocks, self.widths = placed(blocks, features)
        self.dense = linear(inputs + self.context, hidden, bias=not norm, generator=stream)
        self.spread = linear(hidden, math.prod(self.maps), bias=not norm, generator=stream)
        puts_out = [*reversed(features), numbers * image[0]]
        self.convolutions = nn.ModuleList(
            conv(a, b, 4, 2, transposed=True, bias=not norm or i == len(features), generator=stream)
            for i, (a, b) in enumerate(zip(reversed(self.widths), puts_out[1:], strict=True), 1)
        )
        self.norms = nn.ModuleList([nn.BatchNorm1d(hidden), *map(nn.BatchNorm2d, puts_out[:-1])]) if norm else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return self._arguments | written(self.blocks)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        check_shape("codes", z, "rows", self.inputs)
        h = self.activation(normed(self.norms, 0, self.dense(joined(z, context, self.context))))
        h = self.spread(h).view(len(z), *self.maps)
        for i, layer in enumerate(self.convolutions, 1):
            h = self.activation(normed(self.norms, i, h))
            h = layer(through(self.blocks, self.widths, len(self.widths) - i, h))
        return h
