"""One walk through the pixels of a PixelCNN that computes every feature once, instead of a whole pass for each pixel.

What a causal convolution puts out at a pixel is what the rows above send plus what the few pixels to its left send.
The first part is known for all of a row before its first pixel: each layer gets it by one short convolution (of a gated
model it is all of the vertical stack). The second is one small matrix product of a window, at each pixel and layer. So
the walk costs the arithmetic of one pass, where D passes cost D times that. What it waits for is the number of small
products, D times layers, at some 20 microseconds each: more images at once cost little more than one. For few images
on a CPU there is a compiled walk, without that wait (`deepgen.explicit.pixel_walk`).

Only rows that are still needed are kept, zeros around them as outside the image.
Source: Ramachandran et al. 2017, "Fast generation for convolutional autoregressive models", arXiv:1704.06001.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from deepgen.explicit.pixels import Heads
from deepgen.layers.causal_conv import CausalConv


class Walk(Protocol):
    """The features of one pixel after the other."""

    def start_row(self, r: int) -> None:
        """Row ``r`` begins, the rows before it being complete: what they send to it."""

    def features(self, c: int) -> Tensor:
        """``[batch, channels]`` of the pixel in column ``c``, everything before which has been put."""

    def put(self, c: int, x: Tensor) -> None:
        """The pixel in column ``c`` is ``x`` ``[batch, C]``, scaled."""


class Window:
    """The rows of a convolution's input that still matter, and what it puts out from them."""

    def __init__(self, conv: CausalConv, batch: int, width: int) -> None:
        part = conv.upper if conv.row is None else conv.row
        assert part is not None
        inputs, far = part.shape[1], conv.kernel // 2 * conv.dilation
        self.own, self.dilation = slice(far, far + width), conv.dilation
        self.above, self.upper = (conv.rows - 1) * conv.dilation + 1, conv.upper
        self.row = None if conv.row is None else conv.row.permute(3, 1, 0, 2).flatten(0, 1).squeeze(-1).contiguous()
        self.bias = conv.bias
        self.x = part.new_zeros(batch, 1 if conv.stack == "horizontal" else far + 1, width + 2 * far, inputs)
        row = self.x[:, -1]  # these are views, made once because making one costs as much as a product
        self.pixels = [row[:, c + far] for c in range(width)]
        self.left = [row[:, c : c + conv.left * conv.dilation : conv.dilation] for c in range(width)]

    def start_row(self) -> None:
        """Move on by one row, empty as yet."""
        self.x[:, :-1] = self.x[:, 1:].clone()
        self.x[:, -1] = 0

    def send(self) -> Tensor:
        """What the kept rows send to each pixel of the row: ``[width, batch, outputs]``."""
        assert self.upper is not None
        rows = self.x[:, : self.above].permute(0, 3, 1, 2)
        return F.conv2d(rows, self.upper, self.bias, dilation=self.dilation).squeeze(2).permute(2, 0, 1)

    def fill(self, row: Tensor) -> None:
        """The row at hand is ``[width, batch, inputs]``."""
        self.x[:, -1, self.own] = row.transpose(0, 1)

    def put(self, c: int, x: Tensor) -> None:
        """Column ``c`` of the row at hand is ``x`` ``[batch, inputs]``."""
        self.pixels[c].copy_(x)

    def at(self, c: int, base: Tensor) -> Tensor:
        """The output in column ``c``: ``base`` ``[batch, outputs]`` and what the row at hand sends."""
        assert self.row is not None
        return torch.addmm(base, self.left[c].flatten(1), self.row)


class PixelSteps:
    """One walk through the variables of a PixelCNN in order: `deepgen.explicit.completion.Steps`.

    Args:
        heads: of the model.
        bias: of the logits, ``[categories - 1, features]`` in the order.
        batch: number of images.
        walk: their features.
    """

    def __init__(self, heads: Heads, bias: Tensor, batch: int, walk: Walk) -> None:
        self.heads, self.walk = heads, walk
        self.channels, _, self.width = heads.image
        self.bias = bias.detach().t().unsqueeze(2)  # [features, categories - 1, 1]
        self.x = self.bias.new_zeros(batch, self.channels)  # the pixel at hand, scaled
        self.reached = -1

    @torch.no_grad()
    def parameters(self, d: int) -> Tensor:
        """The logits of the variable at place ``d``: ``[categories - 1, batch]``."""
        pixel, channel = divmod(d, self.channels)
        self._reach(pixel)
        return self.heads[channel](self.seen, self.x[:, :channel]).t() + self.bias[d]

    @torch.no_grad()
    def put(self, d: int, row: Tensor) -> None:
        """The variable at place ``d`` has the values ``row`` ``[batch]``."""
        pixel, channel = divmod(d, self.channels)
        self._reach(pixel)
        self.x[:, channel] = self.heads.scaled(row)
        if channel + 1 == self.channels:
            self.walk.put(pixel % self.width, self.x)

    def _reach(self, pixel: int) -> None:
        if pixel == self.reached:
            return
        r, c = divmod(pixel, self.width)
        if c == 0:
            self.walk.start_row(r)
        self.seen, self.reached = F.relu(self.walk.features(c)), pixel
