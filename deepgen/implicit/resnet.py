"""Small residual networks without norms, for images whose sides are multiples of 4.

    h <- h + B r(A r(h))

with A and B convolutions of 3 x 3 and r a leaky rectifier; sizes double before a block (generator, nearest neighbour)
or halve after it (discriminator, means of 2 x 2). B = 0 at the start, so that every block begins as the identity, and
norms, which would join the rows of a batch, are not needed. Sources: Gulrajani et al. 2017 (the layout); Zhang,
Dauphin & Ma 2019, "Fixup initialization"; Huang et al. 2024.
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
from deepgen.layers.residual import ResidualBlock
from deepgen.random import resolve


class ResNetGenerator(nn.Module):
    """``[rows, latent] -> [rows, *shape]`` by a linear layer and two doubling blocks.

    Args:
        latent: width of z.
        shape: of an image, ``(height, width)`` or ``(channels, height, width)``.
        width: channels of all blocks.
        limits: least and greatest grey value.
        generator: source of the initial weights.

    >>> ResNetGenerator(16, (3, 32, 32), width=8, generator=0)(torch.zeros(2, 16)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        latent: int,
        shape: Sequence[int] = (28, 28),
        width: int = 64,
        *,
        limits: Sequence[float] = (0.0, 1.0),
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        channels, height, side = image_shape(shape)
        check_count(latent=latent, width=width)
        stream = resolve(generator)
        self.latent, self.shape, self.width, self.limits = int(latent), tuple(shape), int(width), check_limits(limits)
        self.start = (width, height // 4, side // 4)
        self.first = linear(latent, math.prod(self.start), generator=stream)
        self.blocks = nn.ModuleList(ResidualBlock(width, generator=stream) for _ in range(2))
        self.last = conv(width, channels, 3, scale=HE, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"latent": self.latent, "shape": list(self.shape), "width": self.width, "limits": list(self.limits)}

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z).view(len(z), *self.start)
        for block in self.blocks:
            h = block(F.interpolate(h, scale_factor=2.0))
        return between(self.last(leaky_relu(h)), self.limits).view(len(z), *self.shape)


class ResNetDiscriminator(nn.Module):
    """``[rows, *shape] -> [rows, *outputs]`` by two halving blocks, one plain one, and a linear layer.

    Args:
        shape: of an image, ``(height, width)`` or ``(channels, height, width)``.
        width: channels of all blocks.
        outputs: shape of what comes out; ``()``, one logit a row.
        generator: source of the initial weights.

    >>> ResNetDiscriminator((28, 28), width=8, generator=0)(torch.zeros(5, 28, 28)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        shape: Sequence[int] = (28, 28),
        width: int = 64,
        outputs: int | Sequence[int] = (),
        *,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        self.image, self.outputs = image_shape(shape), shape_of(outputs)
        check_count(width=width)
        stream = resolve(generator)
        self.shape, self.width = tuple(shape), int(width)
        self.first = conv(self.image[0], width, 3, scale=HE, generator=stream)
        self.blocks = nn.ModuleList(ResidualBlock(width, generator=stream) for _ in range(3))
        pixels = self.image[1] * self.image[2] // 16
        self.last = linear(width * pixels, math.prod(self.outputs), generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"shape": list(self.shape), "width": self.width, "outputs": list(self.outputs)}

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(as_image(x, self.image))
        for i, block in enumerate(self.blocks):
            h = F.avg_pool2d(block(h), 2) if i < 2 else block(h)
        return self.last(leaky_relu(h).flatten(1)).view(len(x), *self.outputs)
