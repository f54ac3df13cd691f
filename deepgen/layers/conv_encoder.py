"""Convolutional encoder: convolutions that halve the maps, blocks between them where wanted, then a hidden layer.

    x [rows, channels, height, width], context [rows, c] -> features [rows, outputs]

Kernels are 4 x 4 with stride 2, the activation is SiLU by default, and a context is joined to the flat maps. Instead of
strides the encoder can pool: convolutions of 3 x 3 and the greatest (or the mean) of each 2 x 2 (Simonyan & Zisserman
2015, without their repeated layers). Batch normalisation, if wanted, stands before each activation in the place of its
bias, and dropout at the hidden dense layer alone, as in Krizhevsky, Sutskever & Hinton 2012.

After each halving and its activation one block can stand that keeps the size of the maps: a `ResidualBlock` (He et al.
2016), an `Inception` module (Szegedy et al. 2015), a `DenseBlock` (Huang et al. 2017), or any module of one's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ShapeError, unknown_name
from deepgen.layers.activations import activation_of
from deepgen.layers.convolution import conv
from deepgen.layers.dense import joined
from deepgen.layers.dropout import check_rate, dropout, mask_source
from deepgen.layers.images import Blocks, image_arguments, normed, placed, sides, through, written
from deepgen.layers.linear import linear
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
        blocks: for each of ``features`` a module that reads so many maps and keeps their size, or None. What comes next
            reads its ``outputs``, or as many maps as went in where it has no such number.

    Raises:
        ArgumentError, UnknownName: a setting outside its range, blocks that are too few or too many, or one for maps of
            another number.
        ShapeError: in ``forward``, images of another shape, or a block that changed the size of its maps.

    >>> ConvEncoder((1, 28, 28), 64, generator=0)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 64])
    >>> from deepgen.layers import DenseBlock
    >>> dense = DenseBlock(8, layers=2, growth=4, generator=1)  # 16 maps
    >>> net = ConvEncoder((1, 28, 28), 64, features=(8, 32), blocks=[dense, None], generator=0)
    >>> net.convolutions[1], net(torch.zeros(5, 1, 28, 28)).shape
    (Conv2d(16, 32, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1)), torch.Size([5, 64]))
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
        blocks: Blocks | None = None,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        if pool is not None and pool not in _POOLS:
            raise unknown_name("pool", pool, _POOLS)
        self._arguments = image_arguments(image, features, hidden, activation, context)
        self._arguments |= {"outputs": int(outputs), "pool": pool, "norm": bool(norm), "dropout": check_rate(dropout)}
        self.activation, self.context, stream = activation_of(activation), int(context), resolve(generator)
        self.image, middle = tuple(image), sides(image, len(features))
        self.pool, self.dropout = None if pool is None else _POOLS[pool], float(dropout)
        self.blocks, self.widths = placed(blocks, features)
        kernel, stride = (4, 2) if pool is None else (3, 1)
        self.convolutions = nn.ModuleList(
            conv(a, b, kernel, stride, bias=not norm, generator=stream)
            for a, b in zip([self.image[0], *self.widths[:-1]], features, strict=True)
        )
        flat = self.widths[-1] * math.prod(middle) + self.context
        self.dense = linear(flat, hidden, bias=not norm, generator=stream)
        self.last = linear(hidden, outputs, generator=stream)
        self.norms = nn.ModuleList([*map(nn.BatchNorm2d, features), nn.BatchNorm1d(hidden)]) if norm else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return self._arguments | written(self.blocks)

    def forward(self, x: Tensor, context: Tensor | None = None, *, generator: torch.Generator | None = None) -> Tensor:
        if x.shape[1:] != self.image:
            raise ShapeError(f"images must be [rows, {', '.join(map(str, self.image))}], got {list(x.shape)}")
        generator = mask_source(self, [self.dropout], generator)
        for i, layer in enumerate(self.convolutions):
            x = self.activation(normed(self.norms, i, layer(x)))
            x = x if self.pool is None else self.pool(x, 2)
            x = through(self.blocks, self.widths, i, x)
        h = self.dense(joined(x.flatten(1), context, self.context))
        return self.last(dropout(self.activation(normed(self.norms, -1, h)), self.dropout, generator))
