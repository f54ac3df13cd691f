"""DCGAN for images whose sides are multiples of 4 (28 x 28, 32 x 32): two transposed convolutions, two convolutions.

    z - linear - [2w, h/4] - r - up - [w, h/2] - r - up - [channels, h] - sigmoid        generator, batch norm before r
    x - down - [w, h/2] - r - down - [2w, h/4] - r - linear                              discriminator

with kernels of 4 x 4, r rectifiers, in the discriminator leaky ones of slope 0.2. Source: Radford, Metz & Chintala
2016, "Unsupervised representation learning with deep convolutional generative adversarial networks"; initial weights
are He's instead of N(0, 0.02), so that networks without norms start with a signal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.layers.activations import leaky_relu
from deepgen.layers.convolution import HE, as_image, between, check_limits, conv, image_shape
from deepgen.layers.dense import shape_of
from deepgen.layers.linear import linear
from deepgen.random import resolve


class DCGANGenerator(nn.Module):
    """``[rows, latent] -> [rows, *shape]``, grey values within ``limits``.

    Args:
        latent: width of z.
        shape: of an image, ``(height, width)`` or ``(channels, height, width)``.
        width: w, channels of the last layer but one.
        norm: batch norms.
        limits: least and greatest value.
        generator: source of the initial weights.

    >>> DCGANGenerator(16, (28, 28), width=8, generator=0)(torch.zeros(5, 16)).shape
    torch.Size([5, 28, 28])
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int] = (28, 28),
        width: int = 64,
        *,
        norm: bool = True,
        limits: Sequence[float] = (0.0, 1.0),
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        channels, height, side = image_shape(shape)
        check_count(latent=latent, width=width)
        stream = resolve(generator)
        self.latent, self.shape, self.width, self.norm = int(latent), tuple(shape), int(width), bool(norm)
        self.limits, self.start = check_limits(limits), (2 * width, height // 4, side // 4)
        self.first = linear(latent, math.prod(self.start), generator=stream)
        self.up = conv(2 * width, width, 4, 2, transposed=True, scale=HE, generator=stream)
        self.last = conv(width, channels, 4, 2, transposed=True, scale=HE, generator=stream)
        self.norms = nn.ModuleList([nn.BatchNorm2d(2 * width), nn.BatchNorm2d(width)] if norm else [])

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"latent": self.latent, "shape": list(self.shape), "width": self.width, "norm": self.norm,
                "limits": list(self.limits)}  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z).view(len(z), *self.start)
        h = self.up(F.relu(self.norms[0](h) if self.norm else h))
        h = self.last(F.relu(self.norms[1](h) if self.norm else h))
        return between(h, self.limits).view(len(z), *self.shape)


class DCGANDiscriminator(nn.Module):
    """``[rows, *shape] -> [rows, *outputs]``.

    Args:
        shape: of an image, ``(height, width)`` or ``(channels, height, width)``.
        width: w, channels of the first layer.
        outputs: shape of what comes out; ``()``, one logit a row.
        norm: a batch norm before the second rectifier; refused together with penalties.
        generator: source of the initial weights.

    >>> DCGANDiscriminator((28, 28), width=8, generator=0)(torch.zeros(5, 28, 28)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        shape: Sequence[int] = (28, 28),
        width: int = 64,
        outputs: int | Sequence[int] = (),
        *,
        norm: bool = False,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        self.image, self.outputs = image_shape(shape), shape_of(outputs)
        check_count(width=width)
        stream, (channels, height, side) = resolve(generator), self.image
        self.shape, self.width, self.norm = tuple(shape), int(width), bool(norm)
        self.first = conv(channels, width, 4, 2, scale=HE, generator=stream)
        self.down = conv(width, 2 * width, 4, 2, scale=HE, generator=stream)
        self.norms = nn.ModuleList([nn.BatchNorm2d(2 * width)] if norm else [])
        self.last = linear(2 * width * (height // 4) * (side // 4), math.prod(self.outputs), generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"shape": list(self.shape), "width": self.width, "outputs": list(self.outputs), "norm": self.norm}

    def forward(self, x: Tensor) -> Tensor:
        h = self.down(leaky_relu(self.first(as_image(x, self.image))))
        h = leaky_relu(self.norms[0](h) if self.norm else h)
        return self.last(h.flatten(1)).view(len(x), *self.outputs)
