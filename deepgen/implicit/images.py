"""Convolutional encoders, and decoders with transposed convolutions on the way back.

    encoder:  x [rows, channels, height, width], context [rows, c] -> features [rows, outputs]
    decoder:  z [rows, inputs],                  context [rows, c] -> numbers [rows, numbers * channels, height, width]

Kernels are 4 x 4 with stride 2, the activation is SiLU by default, and a context is joined to the row, or to the flat
maps in the middle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.implicit.convolution import conv
from deepgen.implicit.dense import activation_of, joined
from deepgen.layers.linear import linear
from deepgen.random import resolve


class ConvEncoder(nn.Module):
    """``[rows, channels, height, width] -> [rows, outputs]``: convolutions of stride 2, then a hidden layer.

    Args:
        image: (channels, height, width); both sides must be divisible by 2 to the number of ``features``.
        outputs: width of what comes out.
        features: maps after each convolution.
        hidden: width of the layer after them.
        activation, context, generator: as for `Dense`; the context joins the flat maps.

    >>> ConvEncoder((1, 28, 28), 64, generator=0)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 64])
    """

    def __init__(
        self,
        image: Sequence[int],
        outputs: int,
        *,
        features: Sequence[int] = (32, 64),
        hidden: int = 256,
        activation: str = "silu",
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        self._arguments = _conv_arguments(image, features, hidden, activation, context)
        self._arguments["outputs"] = int(outputs)
        self.activation, self.context, stream = activation_of(activation), int(context), resolve(generator)
        self.image, maps = tuple(image), _middle(image, features)
        self.convolutions = nn.ModuleList(
            conv(a, b, 4, 2, generator=stream) for a, b in itertools.pairwise([self.image[0], *features])
        )
        self.dense = linear(math.prod(maps) + self.context, hidden, generator=stream)
        self.last = linear(hidden, outputs, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if x.shape[1:] != self.image:
            raise ShapeError(f"images must be [rows, {', '.join(map(str, self.image))}], got {list(x.shape)}")
        for layer in self.convolutions:
            x = self.activation(layer(x))
        return self.last(self.activation(self.dense(joined(x.flatten(1), context, self.context))))


class ConvDecoder(nn.Module):
    """``[rows, inputs] -> [rows, numbers * channels, height, width]``: `ConvEncoder` backwards.

    Args:
        inputs: width of a row.
        image: (channels, height, width) of the data.
        numbers: how many the likelihood takes for each value.
        features, hidden, activation, context, generator: those of the encoder, ``features`` in the same order.

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
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, numbers=numbers)
        self._arguments = _conv_arguments(image, features, hidden, activation, context)
        self._arguments |= {"inputs": int(inputs), "numbers": int(numbers)}
        self.activation, self.context, stream = activation_of(activation), int(context), resolve(generator)
        self.maps = _middle(image, features)
        self.dense = linear(inputs + self.context, hidden, generator=stream)
        self.spread = linear(hidden, math.prod(self.maps), generator=stream)
        self.convolutions = nn.ModuleList(
            conv(a, b, 4, 2, transposed=True, generator=stream)
            for a, b in itertools.pairwise([*reversed(features), numbers * image[0]])
        )

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.activation(self.dense(joined(z, context, self.context)))
        h = self.spread(h).view(len(z), *self.maps)
        for layer in self.convolutions:
            h = layer(self.activation(h))
        return h


def _conv_arguments(image: Any, features: Any, hidden: int, activation: str, context: int) -> dict[str, Any]:
    if len(image) != 3 or not features:
        raise ArgumentError(f"image must be (channels, height, width) and features not empty, got {image}, {features}")
    check_count(hidden=hidden)
    check_count(0, context=context)
    return {"image": list(image), "features": list(features), "hidden": int(hidden), "activation": activation,
            "context": int(context)}  # fmt: skip


def _middle(image: Sequence[int], features: Sequence[int]) -> tuple[int, int, int]:
    """Shape of the maps between convolutions and dense layers."""
    times = 2 ** len(features)
    if image[1] % times or image[2] % times:
        raise ArgumentError(
            f"{len(features)} convolutions of stride 2 need sides divisible by {times}, got {image[1]} x {image[2]}: "
            "pad the images, or give fewer features"
        )
    return features[-1], image[1] // times, image[2] // times
