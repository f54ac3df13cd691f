"""Convolutional encoders, and decoders with transposed convolutions on the way back.

    encoder:  x [rows, channels, height, width], context [rows, c] -> features [rows, outputs]
    decoder:  z [rows, inputs],                  context [rows, c] -> numbers [rows, numbers * channels, height, width]

Kernels are 4 x 4 with stride 2, the activation is SiLU by default, and a context is joined to the row, or to the flat
maps in the middle. Instead of strides the encoder can pool: convolutions of 3 x 3 and the greatest (or the mean) of
each 2 x 2 (Simonyan & Zisserman 2015, without their repeated layers). Batch normalisation, if wanted, stands before
each activation in the place of its bias, and dropout at the hidden dense layer alone, as in Krizhevsky, Sutskever &
Hinton 2012.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count, unknown_name
from deepgen.layers.activations import activation_of
from deepgen.layers.convolution import conv
from deepgen.layers.dense import joined
from deepgen.layers.dropout import check_rate, dropout, mask_source
from deepgen.layers.linear import linear
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve

_POOLS: dict[str, Callable[..., Tensor]] = {"max": F.max_pool2d, "mean": F.avg_pool2d}


class ConvEncoder(nn.Module):
    """``[rows, channels, height, width] -> [rows, outputs]``: convolutions of stride 2, then a hidden layer.

    Args:
        image: (channels, height, width); both sides must be divisible by 2 to the number of ``features``.
        outputs: width of what comes out.
        features: maps after each convolution.
        hidden: width of the layer after them.
        activation, context, generator: as for `Dense`; the context joins the flat maps.
        pool: ``max`` or ``mean`` in the place of strides.
        norm: batch normalisation of all layers but the last.
        dropout: rate of the units of the hidden layer; in training ``forward`` then wants a ``generator``
            or, as in the steps of `deepgen.fit`, a global stream that is lent.

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
        pool: str | None = None,
        norm: bool = False,
        dropout: float = 0.0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if pool is not None and pool not in _POOLS:
            raise unknown_name("pool", pool, _POOLS)
        self._arguments = _conv_arguments(image, features, hidden, activation, context)
        self._arguments |= {"outputs": int(outputs), "pool": pool, "norm": bool(norm), "dropout": check_rate(dropout)}
        self.activation, self.context, stream = activation_of(activation), int(context), resolve(generator)
        self.image, maps = tuple(image), _middle(image, features)
        self.pool, self.dropout = None if pool is None else _POOLS[pool], float(dropout)
        kernel, stride = (4, 2) if pool is None else (3, 1)
        self.convolutions = nn.ModuleList(
            conv(a, b, kernel, stride, bias=not norm, generator=stream)
            for a, b in itertools.pairwise([self.image[0], *features])
        )
        self.dense = linear(math.prod(maps) + self.context, hidden, bias=not norm, generator=stream)
        self.last = linear(hidden, outputs, generator=stream)
        self.norms = nn.ModuleList([*map(nn.BatchNorm2d, features), nn.BatchNorm1d(hidden)]) if norm else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, x: Tensor, context: Tensor | None = None, *, generator: torch.Generator | None = None) -> Tensor:
        if x.shape[1:] != self.image:
            raise ShapeError(f"images must be [rows, {', '.join(map(str, self.image))}], got {list(x.shape)}")
        generator = mask_source(self, [self.dropout], generator)
        for i, layer in enumerate(self.convolutions):
            x = self.activation(_normed(self.norms, i, layer(x)))
            x = x if self.pool is None else self.pool(x, 2)
        h = self.dense(joined(x.flatten(1), context, self.context))
        return self.last(dropout(self.activation(_normed(self.norms, -1, h)), self.dropout, generator))


class ConvDecoder(nn.Module):
    """``[rows, inputs] -> [rows, numbers * channels, height, width]``: `ConvEncoder` backwards.

    Args:
        inputs: width of a row.
        image: (channels, height, width) of the data.
        numbers: how many the likelihood takes for each value.
        features, hidden, activation, context, norm, generator: those of the encoder, ``features`` in the same order.

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
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, numbers=numbers)
        self._arguments = _conv_arguments(image, features, hidden, activation, context)
        self.inputs = int(inputs)
        self._arguments |= {"inputs": self.inputs, "numbers": int(numbers), "norm": bool(norm)}
        self.activation, self.context, stream = activation_of(activation), int(context), resolve(generator)
        self.maps = _middle(image, features)
        self.dense = linear(inputs + self.context, hidden, bias=not norm, generator=stream)
        self.spread = linear(hidden, math.prod(self.maps), bias=not norm, generator=stream)
        widths = [*reversed(features), numbers * image[0]]
        self.convolutions = nn.ModuleList(
            conv(a, b, 4, 2, transposed=True, bias=not norm or i == len(features), generator=stream)
            for i, (a, b) in enumerate(itertools.pairwise(widths), 1)
        )
        self.norms = nn.ModuleList([nn.BatchNorm1d(hidden), *map(nn.BatchNorm2d, widths[:-1])]) if norm else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return dict(self._arguments)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        check_shape("codes", z, "rows", self.inputs)
        h = self.activation(_normed(self.norms, 0, self.dense(joined(z, context, self.context))))
        h = self.spread(h).view(len(z), *self.maps)
        for i, layer in enumerate(self.convolutions, 1):
            h = layer(self.activation(_normed(self.norms, i, h)))
        return h


def _normed(norms: nn.ModuleList | None, i: int, h: Tensor) -> Tensor:
    return h if norms is None else norms[i](h)


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
