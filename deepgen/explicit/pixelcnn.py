"""PixelCNN: an image as a product of its pixels, each given those before it, with convolutions as the conditioner.

    log p(x | context) = sum over pixels and channels d of log p(x_d | x_<d, context)

    x_1 = conv_A(x) + S context + P,    x_{l+1} = x_l + W relu(conv_B(relu(V relu(x_l)))),    l = 1 .. layers - 1

conv_A sees no pixel but earlier ones and conv_B the pixel's own features too (`deepgen.layers.CausalConv`), so one pass
gives all conditionals. V halves the ``channels`` and W doubles them; P is a bias for each place and feature, which lets
the model tell a corner from the centre. The last two layers are those of `deepgen.explicit.pixels`.

Source: van den Oord, Kalchbrenner & Kavukcuoglu 2016, "Pixel recurrent neural networks", sections 3.3 to 3.5 (P is not
in there, nor dilations, which let few layers see far). Limits: nothing is seen further away than (first_kernel - 1) / 2
+ (kernel - 1) / 2 (sum of dilations) pixels, and above, nothing further to the right than a stack of masks leads: a
blind spot, which `GatedPixelCNN` does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.explicit import pixel_walk
from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.explicit.pixel_cache import PixelSteps, Window
from deepgen.explicit.pixels import Heads, image_of, windows
from deepgen.layers.causal_conv import CausalConv
from deepgen.layers.linear import linear
from deepgen.random import resolve


class Block(nn.Module):
    """x + W relu(conv_B(relu(V relu(x)))) at half the width inside; ``[batch, H, W, channels]`` in and out."""

    def __init__(self, channels: int, kernel: int, dilation: int, generator: torch.Generator) -> None:
        super().__init__()
        inside = max(channels // 2, 1)
        self.before = linear(channels, inside, generator=generator)
        self.conv = CausalConv(inside, inside, kernel, dilation=dilation, generator=generator)
        self.after = linear(inside, channels, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.after(F.relu(self.conv(F.relu(self.before(F.relu(x))))))


class PixelCNN(DiscreteAutoregressive):
    """PixelCNN for binary or categorical images; `LogProb`, `Samples`, and conditional on a vector.

    Args:
        shape: of one image, ``(height, width)`` or ``(channels, height, width)``.
        channels: features of each layer.
        layers: causal convolutions, the first included.
        kernel, first_kernel: their odd widths.
        dilations: of the layers after the first, repeated as often as needed; doubling them leaves no gaps.
        categories: values of a pixel; 2 are told apart by one logit.
        context: width of a context row (a label goes in one-hot), 0 for none.
        generator: source of the initial weights.

    >>> model = PixelCNN((8, 8), channels=16, layers=3, generator=0)
    >>> x = model.sample(2, generator=1)
    >>> x.shape, model.log_prob(x).shape, model.log_prob(x.flatten(1)).shape
    (torch.Size([2, 8, 8]), torch.Size([2]), torch.Size([2]))
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int = 64,
        layers: int = 8,
        kernel: int = 3,
        *,
        first_kernel: int = 7,
        dilations: Sequence[int] = (1, 2, 4),
        categories: int = 2,
        context: int = 0,
        generator: torch.Generator | int | None = None,
    ) -> None:
        image, sizes = image_of(shape), windows(layers, kernel, first_kernel, dilations)
        super().__init__(shape, categories, context)
        stream = resolve(generator)
        self.heads = Heads(image, channels, categories, stream)
        self.bias = nn.Parameter(torch.zeros(categories - 1, self.features))
        self._keep(self.heads.order())
        self.first = CausalConv(image[0], channels, first_kernel, here=False, generator=stream)
        self.place = nn.Parameter(torch.zeros(*image[1:], channels))
        self.shift = linear(context, channels, bias=False, generator=stream) if context else None
        blocks = [Block(channels, *size, stream) for size in sizes[1:]]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self._arguments = {"shape": list(shape), "channels": channels, "layers": layers, "kernel": kernel,
                           "first_kernel": first_kernel, "dilations": list(dilations), "categories": categories,
                           "context": context}  # fmt: skip

    def pixel_features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """``[batch, H, W, C] -> [batch, H, W, channels]`` of what comes before each pixel."""
        x = self.first(x) + self.place
        if self.shift is not None:
            x = x + self.shift(context)[:, None, None]
        for block in self.blocks:
            x = block(x)
        return x

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""
        return self.heads.logits(x, lambda images: self.pixel_features(images, context), self.bias)

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> PixelSteps:
        """The start of a walk for ``batch`` images."""
        return PixelSteps(self.heads, self.bias[:, order], batch, PlainWalk(self, batch, context))

    def walk(
        self, order: Sequence[int], context: Tensor | None, uniform: Tensor, *clamped: Any
    ) -> tuple[Tensor, Tensor]:
        """`completion.walk` through the pixels, compiled where that serves."""
        if pixel_walk.serves(self, uniform):
            return pixel_walk.plain(self, context, uniform, *clamped)
        return super().walk(order, context, uniform, *clamped)


class PlainWalk:
    """`Walk` of a `PixelCNN`."""

    def __init__(self, model: PixelCNN, batch: int, context: Tensor | None) -> None:
        self.model, width = model, model.event_shape[-1]
        self.windows = [Window(conv, batch, width) for conv in (model.first, *(block.conv for block in model.blocks))]
        # By block, as calls of modules are slow beside such small products.
        self.before = [(block.before.weight, block.before.bias) for block in model.blocks]
        self.after = [(block.after.weight, block.after.bias) for block in model.blocks]
        self.shift = None if model.shift is None else model.shift(context)
        self.bases: list[tuple[Tensor, ...]] = []  # by window, by column: what rows above send

    def start_row(self, r: int) -> None:
        for window in self.windows:
            window.start_row()
        sent = [window.send() for window in self.windows]
        sent[0] = sent[0] + self.model.place[r].unsqueeze(1)
        if self.shift is not None:
            sent[0] = sent[0] + self.shift
        self.bases = [each.unbind() for each in sent]

    def features(self, c: int) -> Tensor:
        x = self.windows[0].at(c, self.bases[0][c])
        blocks = zip(self.before, self.windows[1:], self.bases[1:], self.after, strict=True)
        for before, window, base, after in blocks:
            window.put(c, F.linear(x.relu(), *before).relu_())
            x = x + F.linear(window.at(c, base[c]).relu_(), *after)
        return x

    def put(self, c: int, x: Tensor) -> None:
        self.windows[0].put(c, x)
