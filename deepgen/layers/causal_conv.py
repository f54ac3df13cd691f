"""Causal convolution: what it puts out at a pixel depends on earlier pixels only, in raster order (row by row).

    y[r, c] = b + sum_{i=0}^{p} sum_{j=-p}^{p} W[i, j] x[r - i dilation, c + j dilation],        p = (kernel - 1) / 2

with x = 0 outside the image, and the sum over (i, j) restricted to one of

    stack         here = False                            here = True
    "vertical"    rows above                              rows above and all of its own row
    "horizontal"  its own row to the left                 its own row to the left, and the pixel itself
    "both"        rows above and to the left (mask A)     mask A and the pixel itself (mask B)

The weights outside the sum do not exist, so none are multiplied, and a sampler finds those for the rows above and those
for the pixel's own row apart (``upper`` and ``row``). Images have their features last, ``[batch, height, width,
features]``: then a 1 x 1 convolution is a linear layer, and torch's CPU convolutions are at their fastest.

Sources: van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel recurrent neural networks", section 3.4 (masks); van den
Oord et al. 2016, "Conditional image generation with PixelCNN decoders", section 2.2 (the two stacks).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ArgumentError, check_count, unknown_name
from deepgen.layers.entering import Entering
from deepgen.layers.shapes import check_shape
from deepgen.random import resolve

STACKS = ("vertical", "horizontal", "both")


class CausalConv(nn.Module):
    """``[batch, height, width, inputs] -> [batch, height, width, outputs]``, causal in raster order.

    Args:
        inputs, outputs: features in and out.
        kernel: an odd width of at least 3.
        stack, here: which pixels are seen, see the table above.
        dilation: distance between the pixels seen; layers of 1, 2, 4, ... see far and leave no gaps.
        bias: whether there is a b.
        generator: source of the initial weights, U(-r, r) with r = 1 / sqrt(number of weights of one output).

    Raises:
        ArgumentError, UnknownName: a setting outside its range.
        ShapeError: in ``forward``, images of another number of features.

    >>> conv = CausalConv(1, 8, 3, "both", here=False, generator=torch.Generator().manual_seed(0))
    >>> conv(torch.zeros(2, 5, 5, 1)).shape, conv.upper.shape, conv.row.shape  # 4 weights of 9
    (torch.Size([2, 5, 5, 8]), torch.Size([8, 1, 1, 3]), torch.Size([8, 1, 1, 1]))
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stack: str = "both",
        *,
        here: bool = True,
        dilation: int = 1,
        bias: bool = True,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_count(inputs=inputs, outputs=outputs, dilation=dilation)
        check_count(3, kernel=kernel)
        if kernel % 2 == 0:
            raise ArgumentError(f"kernel must be odd, so that it has a middle, got {kernel}")
        if stack not in STACKS:
            raise unknown_name("stack", stack, STACKS)
        self.inputs, stream = int(inputs), resolve(generator)
        self.kernel, self.stack, self.here, self.dilation, p = kernel, stack, here, dilation, kernel // 2
        self.rows = 0 if stack == "horizontal" else p + (stack == "vertical" and here)
        self.left = 0 if stack == "vertical" else p + here
        bound = 1 / math.sqrt(inputs * (self.rows * kernel + self.left))

        def start(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=stream))

        self.upper = start(outputs, inputs, self.rows, kernel) if self.rows else None
        self.row = start(outputs, inputs, 1, self.left) if self.left else None
        self.bias = start(outputs) if bias else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"inputs": self.inputs, "outputs": self.weight().shape[0], "kernel": self.kernel, "stack": self.stack,
                "here": self.here, "dilation": self.dilation, "bias": self.bias is not None}  # fmt: skip

    def entering(self) -> dict[str, Entering]:
        """``upper`` and ``row``, each on its own; see `deepgen.layers.constrain`."""
        return {name: Entering() for name in ("upper", "row") if getattr(self, name) is not None}

    def weight(self) -> Tensor:
        """``upper`` above ``row`` as one kernel, zeros filling the last row where both are there."""
        if self.row is None or self.upper is None:
            return self.upper if self.row is None else self.row  # type: ignore[return-value]
        return torch.cat([self.upper, F.pad(self.row, (0, self.kernel - self.left))], 2)

    def taps(self) -> tuple[Tensor, Tensor]:
        """The places seen, ``[T, 2]`` rows up and columns right, and their weights ``[T, inputs, outputs]``."""
        p, places, weights = self.kernel // 2, [], []
        for part, top in ((self.upper, p), (self.row, 0)):
            if part is not None:
                rows, columns = part.shape[2:]
                places += [(top - a, b - p) for a in range(rows) for b in range(columns)]
                weights.append(part.permute(2, 3, 1, 0).flatten(0, 1))
        return torch.tensor(places) * self.dilation, torch.cat(weights)

    def forward(self, x: Tensor) -> Tensor:
        return self.split(x, 1)[0]

    def split(self, x: Tensor, parts: int) -> list[Tensor]:
        """The outputs in ``parts`` equal groups, each contiguous: what is done to them next is then twice as fast."""
        check_shape("images", x, "batch", "height", "width", self.inputs)
        far = self.kernel // 2 * self.dilation
        top = 0 if self.stack == "horizontal" else far
        x = F.pad(x, (0, 0, far, far if top else 0, top, 0)).permute(0, 3, 1, 2)
        if not self.here and self.stack == "vertical":
            x = x[:, :, : -self.dilation]
        if not self.here and self.stack == "horizontal":
            x = x[..., : -self.dilation]
        weights = self.weight().chunk(parts)
        biases = [None] * parts if self.bias is None else self.bias.chunk(parts)
        # An image of one feature has its features last and first at once: contiguous() settles which, else is free.
        pairs = zip(weights, biases, strict=True)
        return [F.conv2d(x, w, b, dilation=self.dilation).permute(0, 2, 3, 1).contiguous() for w, b in pairs]

    def extra_repr(self) -> str:
        kind = f"{self.kernel} x {self.kernel} {self.stack}{'' if self.here else ', not here'}"
        far = f", dilation {self.dilation}" if self.dilation > 1 else ""
        return f"{self.inputs} to {self.weight().shape[0]}, {kind}{far}"
