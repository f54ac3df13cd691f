"""What PixelCNNs share beside their convolutions: shapes, scaling, and the last two layers.

Variables are pixels in raster order and, where there are several channels, the channels of a pixel one after the other.
Outside, images are ``[batch, *shape]`` or flat rows as data sets have them; inside they are ``[batch, H, W, C]``, whose
flattening is the order of dependence. A pixel enters as a number in [-1, 1], so that 0 is what lies outside the image,
and the order of categories means something. The features of a pixel know the pixels before it, and

    logits of channel i = O_i relu(U_i [relu(features), channels before i]) + bias,

a bias of its own for each variable, which ``initialise`` sets to the base rates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count
from deepgen.layers.linear import linear


class Head(nn.Module):
    """O relu(U [features, earlier]): ``[..., channels], [..., earlier] -> [..., outputs]``."""

    def __init__(self, channels: int, earlier: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden = linear(channels + earlier, channels, generator=generator)
        self.out = linear(channels, outputs, bias=False, scale=0.01, generator=generator)

    def forward(self, features: Tensor, earlier: Tensor) -> Tensor:
        seen = torch.cat([features, earlier], -1) if earlier.shape[-1] else features
        return self.out(F.relu(self.hidden(seen)))


class Heads(nn.ModuleList):
    """A `Head` for each channel of images ``[C, H, W]``, and what turns rows of variables into such images.

    >>> heads = Heads((2, 3, 4), 8, 5, torch.Generator().manual_seed(0))
    >>> images = heads.images(torch.zeros(24, 7))  # 7 images whose pixels all have the value 0 of 0 .. 4
    >>> images.shape, images[0, 0, 0], heads(torch.zeros(7, 3, 4, 8), images).shape
    (torch.Size([7, 3, 4, 2]), tensor([-1., -1.]), torch.Size([4, 24, 7]))
    """

    def __init__(self, image: tuple[int, int, int], channels: int, categories: int, generator: torch.Generator) -> None:
        check_count(channels=channels)
        super().__init__(Head(channels, i, categories - 1, generator) for i in range(image[0]))
        self.image, self.categories = image, categories

    def stacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """U ``[C, channels + C, channels]``, 0 for channels not seen, its bias, and O ``[C, channels, outputs]``."""
        heads: list[Any] = list(self)
        seen = [F.pad(head.hidden.weight, (0, len(heads) - i)).t() for i, head in enumerate(heads)]
        bias, out = [head.hidden.bias for head in heads], [head.out.weight.t() for head in heads]
        return torch.stack(seen), torch.stack(bias), torch.stack(out)

    def order(self) -> Tensor:
        """Which variable stands at which place, the one order there is: ``[1, C H W]``."""
        c, h, w = self.image
        return torch.arange(c * h * w).view(c, h * w).t().reshape(1, -1)

    def scaled(self, x: Tensor) -> Tensor:
        """0 .. categories - 1 to [-1, 1]."""
        return x * (2 / (self.categories - 1)) - 1

    def images(self, x: Tensor) -> Tensor:
        """``[C H W, batch] -> [batch, H, W, C]``, scaled."""
        return self.scaled(x.t().reshape(-1, *self.image)).permute(0, 2, 3, 1).contiguous()

    def logits(self, x: Tensor, features: Callable[[Tensor], Tensor], bias: Tensor) -> Tensor:
        """Logits ``[categories - 1, C H W, batch]`` of rows ``[C H W, batch]``, by the ``features`` of their images."""
        images = self.images(x)
        return self(features(images), images) + bias.unsqueeze(2)

    def forward(self, features: Tensor, images: Tensor) -> Tensor:
        """Logits but for a bias: ``[batch, H, W, channels], [batch, H, W, C] -> [categories - 1, C H W, batch]``."""
        seen = F.relu(features)
        each = [head(seen, images[..., :channel]) for channel, head in enumerate(self)]
        return torch.stack([one.flatten(1, 2) for one in each], 1).flatten(1, 2).permute(2, 1, 0)


def image_of(shape: Sequence[int]) -> tuple[int, int, int]:
    """``(H, W)`` or ``(C, H, W)`` as the latter, checked."""
    if isinstance(shape, int) or len(shape) not in (2, 3):
        raise ArgumentError(f"shape must be (height, width) or (channels, height, width), got {shape!r}")
    check_count(**dict(zip(("width", "height", "channels"), reversed(shape), strict=False)))
    c, h, w = (1, *shape)[-3:]
    return c, h, w


def windows(layers: int, kernel: int, first_kernel: int, dilations: Sequence[int]) -> list[tuple[int, int]]:
    """Width and dilation of each layer's convolution.

    >>> windows(5, 3, 7, [1, 2, 4])
    [(7, 1), (3, 1), (3, 2), (3, 4), (3, 1)]
    """
    check_count(layers=layers)
    if isinstance(dilations, int) or len(dilations) == 0:
        raise ArgumentError(f"dilations must be a list of at least one, such as [1, 2, 4], got {dilations!r}")
    for dilation in dilations:
        check_count(dilations=dilation)
    later = [(kernel, dilation) for _, dilation in zip(range(layers - 1), itertools.cycle(dilations), strict=False)]
    return [(first_kernel, 1), *later]
