"""Gated PixelCNN: two stacks of convolutions, so that every earlier pixel is seen, and gates as in an LSTM.

    a = vertical(v) + S context,                g = tanh(a_1) sigmoid(a_2),    v' = v + g
    b = horizontal(h) + L g + T context,                                       h' = h + W (tanh(b_1) sigmoid(b_2))

Convolutions put out two halves a_1, a_2 of ``channels`` features each. The vertical stack v sees whole rows above the
pixel and nothing of its own row; the horizontal stack h sees its row to the left and, by L, the vertical stack. So all
that lies in the window is seen: no blind spot. The first layer sees the image without the pixel itself, adds a bias of
its own for each place to a, and has no residual.

Source: van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders", equations 2 and 5, figure 2.
There L takes a, and v has no residual; this form costs half the products in L and learns faster. Biases by place and
dilations are not there either, worth 2 and 0.6 nats on MNIST after equal short training. The last layers are those of
`deepgen.explicit.pixels`.
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


class GatedLayer(nn.Module):
    """(v, h) -> (v', h'), each ``[batch, H, W, channels]``; the first layer takes the ``image`` as both."""

    def __init__(
        self,
        channels: int,
        kernel: int,
        dilation: int,
        context: int,
        image: tuple[int, ...] | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        both, inputs = 2 * channels, channels if image is None else image[0]
        self.place = None if image is None else nn.Parameter(torch.zeros(*image[1:], both))
        here = image is None
        self.vertical = CausalConv(inputs, both, kernel, "vertical", here=here, dilation=dilation, generator=generator)
        self.horizontal = CausalConv(
            inputs, both, kernel, "horizontal", here=here, dilation=dilation, bias=False, generator=generator
        )
        self.link = linear(channels, both, generator=generator)
        self.after = linear(channels, channels, generator=generator)
        self.shift = linear(context, 2 * both, bias=False, generator=generator) if context else None

    def forward(self, v: Tensor, h: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        a_1, a_2 = self.vertical.split(v, 2)
        b_1, b_2 = self.horizontal.split(h, 2)
        if self.place is not None:
            a_1, a_2 = (a + place for a, place in zip((a_1, a_2), self.place.chunk(2, -1), strict=True))
        if self.shift is not None:
            s_1, s_2, t_1, t_2 = self.shift(context)[:, None, None].chunk(4, -1)
            a_1, a_2, b_1, b_2 = a_1 + s_1, a_2 + s_2, b_1 + t_1, b_2 + t_2
        above = gate(a_1, a_2)
        c_1, c_2 = (F.linear(above, *p) for p in zip(self.link.weight.chunk(2), self.link.bias.chunk(2), strict=True))
        new = self.after(gate(b_1 + c_1, b_2 + c_2))
        return (above, new) if self.place is not None else (v + above, h + new)


def gate(x: Tensor, y: Tensor) -> Tensor:
    """tanh(x) sigmoid(y)."""
    return x.tanh() * y.sigmoid()


class GatedPixelCNN(DiscreteAutoregressive):
    """Gated PixelCNN for binary or categorical images; `LogProb`, `Samples`, and conditional on a vector.

    Args are those of `PixelCNN`.

    >>> model = GatedPixelCNN((8, 8), channels=16, layers=3, generator=0)
    >>> a, b = (model.sample(2, method=method, generator=1) for method in ("incremental", "jacobi"))
    >>> torch.equal(a, b)
    True
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
        images = [image, *[None] * (layers - 1)]
        each = [GatedLayer(channels, *size, context, i, stream) for size, i in zip(sizes, images, strict=True)]
        self.layers: Sequence[GatedLayer] = nn.ModuleList(each)  # type: ignore[assignment]
        self._arguments = {"shape": list(shape), "channels": channels, "layers": layers, "kernel": kernel,
                           "first_kernel": first_kernel, "dilations": list(dilations), "categories": categories,
                           "context": context}  # fmt: skip

    def pixel_features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The horizontal stack after the last layer."""
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h, context)
        return h

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""
        return self.heads.logits(x, lambda images: self.pixel_features(images, context), self.bias)

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> PixelSteps:
        """The start of a walk for ``batch`` images."""
        return PixelSteps(self.heads, self.bias[:, order], batch, GatedWalk(self, batch, context))

    def walk(
        self, order: Sequence[int], context: Tensor | None, uniform: Tensor, *clamped: Any
    ) -> tuple[Tensor, Tensor]:
        """`completion.walk` through the pixels, compiled where that serves."""
        if pixel_walk.serves(self, uniform):
            return pixel_walk.gated(self, context, uniform, *clamped)
        return super().walk(order, context, uniform, *clamped)


class GatedWalk:
    """`Walk` of a `GatedPixelCNN`."""

    def __init__(self, model: GatedPixelCNN, batch: int, context: Tensor | None) -> None:
        self.layers, width = model.layers, model.event_shape[-1]
        self.vertical = [Window(layer.vertical, batch, width) for layer in self.layers]
        self.horizontal = [Window(layer.horizontal, batch, width) for layer in self.layers]
        self.after = [(layer.after.weight, layer.after.bias) for layer in self.layers]  # calls of modules are slow
        self.shifts = [None if layer.shift is None else layer.shift(context).chunk(2, -1) for layer in self.layers]
        self.bases: list[tuple[Tensor, ...]] = []  # by layer, by column: what rows above send

    def start_row(self, r: int) -> None:
        for window in [*self.vertical, *self.horizontal]:
            window.start_row()
        self.bases = []
        v: Tensor | None = None
        for layer, window, shift in zip(self.layers, self.vertical, self.shifts, strict=True):
            if v is not None:
                window.fill(v)
            a = window.send()
            if layer.place is not None:
                a = a + layer.place[r].unsqueeze(1)
            if shift is not None:
                a = a + shift[0]
            above = gate(*a.chunk(2, -1))
            base = layer.link(above)
            self.bases.append((base if shift is None else base + shift[1]).unbind())
            v = above if v is None else v + above

    def features(self, c: int) -> Tensor:
        h: Tensor | None = None
        for after, window, base in zip(self.after, self.horizontal, self.bases, strict=True):
            if h is not None:
                window.put(c, h)
            new = F.linear(gate(*window.at(c, base[c]).chunk(2, -1)), *after)
            h = new if h is None else h + new
        assert h is not None
        return h

    def put(self, c: int, x: Tensor) -> None:
        self.vertical[0].put(c, x)
        self.horizontal[0].put(c, x)
