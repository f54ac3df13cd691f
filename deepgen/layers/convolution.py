"""Convolutions whose initial weights come from a generator, and the shapes of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.random import resolve

HE = math.sqrt(6)  # the scale that keeps a signal's size through rectifiers: weights of variance 2 / n (He et al. 2015)


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    transposed: bool = False,
    bias: bool = True,
    scale: float = 1.0,
    generator: torch.Generator | int | None = None,
) -> nn.Conv2d | nn.ConvTranspose2d:
    """A convolution padded so that sides n become

        kernel odd     floor((n - 1) / stride) + 1         n at stride 1
        kernel even    floor((n - 2) / stride) + 1         n - 1 at stride 1, the half of an even n at stride 2
        transposed     n stride + (kernel - stride) % 2    n stride where kernel and stride are both even or both odd

    Weights and biases start as U(-r, r), r = ``scale`` / sqrt(n), n how many weights enter an output: the law of
    `deepgen.layers.linear`.

    Raises:
        ArgumentError: a size below 1, or a transposed kernel smaller than its stride, which leaves gaps.

    >>> up = conv(8, 4, 4, 2, transposed=True, generator=torch.Generator())
    >>> up(torch.zeros(5, 8, 7, 7)).shape
    torch.Size([5, 4, 14, 14])
    """
    check_count(inputs=inputs, outputs=outputs, kernel=kernel, stride=stride)
    if transposed and kernel < stride:
        raise ArgumentError(
            f"a transposed kernel of {kernel} at stride {stride} leaves gaps: make it {stride} or larger"
        )
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    padding = (kernel - stride) // 2 if transposed else (kernel - 1) // 2
    layer: nn.Conv2d | nn.ConvTranspose2d = nn.utils.skip_init(
        kind, inputs, outputs, kernel, stride=stride, padding=padding, bias=bias
    )
    entering = inputs * kernel**2 / (stride**2 if transposed else 1)
    bound, generator = scale / math.sqrt(entering), resolve(generator)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width from ``(height, width)`` or ``(channels, height, width)``, sides multiples of 4.

    >>> image_shape((28, 28)), image_shape((3, 32, 32))
    ((1, 28, 28), (3, 32, 32))
    """
    if len(shape) not in (2, 3) or any(side % 4 or side < 4 for side in shape[-2:]):
        raise ArgumentError(
            f"shape must be (height, width) or (channels, height, width), sides multiples of 4, got {list(shape)}"
        )
    channels, height, width = shape if len(shape) == 3 else (1, *shape)
    check_count(channels=channels)
    return int(channels), int(height), int(width)


def as_image(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Rows of images, with or without channels, as ``[rows, channels, height, width]``, or a `ShapeError`.

    >>> as_image(torch.zeros(5, 28, 28), (1, 28, 28)).shape
    torch.Size([5, 1, 28, 28])
    """
    if x.shape[1:].numel() != math.prod(shape):
        raise ShapeError(f"images must be [rows, {', '.join(map(str, shape))}], got {list(x.shape)}")
    return x.reshape(len(x), *shape)


def between(x: Tensor, limits: tuple[float, float]) -> Tensor:
    """Numbers between the two ``limits``, by a sigmoid.

    >>> between(torch.zeros(1), (-1.0, 1.0))
    tensor([0.])
    """
    low, high = limits
    return low + (high - low) * torch.sigmoid(x)


def check_limits(limits: Sequence[float]) -> tuple[float, float]:
    """Two numbers, the lesser first.

    >>> check_limits([0, 1])
    (0.0, 1.0)
    """
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise ArgumentError(f"limits must be the least and the greatest grey value, got {limits!r}")
    return float(limits[0]), float(limits[1])
