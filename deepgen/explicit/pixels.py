"""What autoregressive models of images add to `DiscreteAutoregressive`: shapes, scaling, and the last two layers.

Variables are pixels in raster order and, where there are several channels, the channels of a pixel one after the other.
Outside, images are ``[batch, *shape]`` or flat rows as data sets have them; inside they are ``[batch, H, W, C]``, whose
flattening is the order of dependence. A pixel enters as a number in [-1, 1], so that 0 is what lies outside the image,
and the order of categories means something. The features of a pixel know the pixels before it, and

    logits of channel i = O_i relu(U_i [relu(features), channels before i]) + bias,

a bias of its own for each variable, which `initialise` sets to the base rates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import constraints

from deepgen.errors import ArgumentError, ShapeError, check_count
from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.explicit.flow import Drawn
from deepgen.explicit.pixel_cache import PixelSteps, Walk
from deepgen.explicit.units import require_tensor
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


class PixelModel(DiscreteAutoregressive):
    """Base of `PixelCNN` and `GatedPixelCNN`, which add `pixel_features` and `walk`."""

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        layers: int,
        kernel: int,
        first_kernel: int,
        dilations: Sequence[int],
        categories: int,
        context: int,
        generator: torch.Generator,
    ) -> None:
        if isinstance(shape, int) or len(shape) not in (2, 3):
            raise ArgumentError(f"shape must be (height, width) or (channels, height, width), got {shape!r}")
        check_count(**dict(zip(("width", "height", "channels"), reversed(shape), strict=False)))
        super().__init__(math.prod(shape), categories, context)
        check_count(channels=channels, layers=layers)
        if isinstance(dilations, int) or len(dilations) == 0:
            raise ArgumentError(f"dilations must be a list of at least one, such as [1, 2, 4], got {dilations!r}")
        for dilation in dilations:
            check_count(dilations=dilation)
        later = [(kernel, dilation) for _, dilation in zip(range(layers - 1), itertools.cycle(dilations), strict=False)]
        self.kernels = [(first_kernel, 1), *later]  # width and dilation of each layer
        self.event_shape = torch.Size(shape)
        self.image = (1, *self.event_shape)[-3:]
        c, h, w = self.image
        self.heads = nn.ModuleList(Head(channels, i, categories - 1, generator) for i in range(c))
        self.bias = nn.Parameter(torch.zeros(categories - 1, self.features))
        self._keep(torch.arange(self.features).view(c, h * w).t().reshape(1, -1))
        self._arguments = {"shape": list(shape), "channels": channels, "layers": layers, "kernel": kernel,
                           "first_kernel": first_kernel, "dilations": list(dilations), "categories": categories,
                           "context": context}  # fmt: skip

    def pixel_features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """``[batch, H, W, C]`` in [-1, 1] -> ``[batch, H, W, channels]``, each of pixels before its own."""
        raise NotImplementedError

    def walk(self, batch: int, context: Tensor | None) -> Walk:
        """The same features, pixel after pixel."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return self._arguments

    @property
    def output_bias(self) -> Tensor:
        return self.bias

    @property
    def support(self) -> Any:
        """Where the mass lives: images of integers from 0 to categories - 1."""
        return constraints.independent(super().support.base_constraint, len(self.event_shape))

    def scaled(self, x: Tensor) -> Tensor:
        """0 .. categories - 1 to [-1, 1]."""
        return x * (2 / (self.categories - 1)) - 1

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""
        images = self.scaled(x.t().reshape(-1, *self.image)).permute(0, 2, 3, 1).contiguous()
        seen = F.relu(self.pixel_features(images, context))
        each = [head(seen, images[..., :channel]) for channel, head in enumerate(self.heads)]
        logits = torch.stack([one.flatten(1, 2) for one in each], 1)  # [batch, C, H W, categories - 1]
        return logits.flatten(1, 2).permute(2, 1, 0) + self.bias.unsqueeze(2)

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> PixelSteps:
        """The start of a walk for ``batch`` images."""
        return PixelSteps(self, batch, context)

    def flat(self, x: Any, name: str = "images") -> Tensor:
        """``[batch, *shape]`` or flat rows -> flat rows ``[batch, features]``; anything else is a `ShapeError`."""
        require_tensor(x, name)
        if x.ndim < 1 or x.shape[1:] not in (self.event_shape, (self.features,)):
            shape = ", ".join(map(str, self.event_shape))
            raise ShapeError(f"{name} must be [batch, {shape}] or rows [batch, {self.features}], got {list(x.shape)}")
        return x.flatten(1)

    def check(self, x: Any) -> None:
        """Raise a typed error unless ``x`` are images of values 0 .. categories - 1, ``[batch, *shape]`` or flat rows.

        Images with a context come as a pair.
        """
        images, context = x if isinstance(x, (tuple, list)) and len(x) == 2 else (x, None)
        super().check((self.flat(images), context))

    def initialise(self, x: Tensor) -> PixelModel:
        """Set the biases to the base rates of the images ``x``, smoothed by one image spread evenly."""
        super().initialise(self.flat(x))
        return self

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(x | context) in nats, from one pass: ``[batch, *shape]`` or flat rows ``-> [batch]``."""
        return super().log_prob(self.flat(x), context)

    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        method: str = "auto",
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """``n`` independent exact draws ``[n, *shape]``, one for each row of ``context`` where there is one."""
        return super().sample(n, context, method=method, generator=generator).view(n, *self.event_shape)

    def draw(
        self,
        n: int,
        context: Tensor | None = None,
        *,
        method: str = "auto",
        generator: torch.Generator | int | None = None,
    ) -> Drawn:
        """Draws ``[n, *shape]`` with their log-probability, and the sweeps (None where it was a walk)."""
        drawn = super().draw(n, context, method=method, generator=generator)
        return drawn._replace(x=drawn.x.view(n, *self.event_shape))

    def conditional_sample(
        self,
        known: Tensor,
        mask: Tensor,
        context: Tensor | None = None,
        *,
        particles: int | None = None,
        generator: torch.Generator | int | None = None,
    ) -> Tensor:
        """Complete images: pixels of ``known`` under ``mask`` stay, the others are drawn given them.

        Exact where the known pixels come first, as an upper part of the image does; any other mask needs ``particles``,
        see `deepgen.explicit.completion`.

        Args:
            known: ``[batch, *shape]`` or flat rows; pixels not under ``mask`` are ignored and may be NaN.
            mask: boolean, of the shape of ``known`` or of one image, True where the pixel is known.
            context: one row for each image.
            particles: walks for each image, where known pixels come after unknown ones.
            generator: a generator, a seed, or None for fresh entropy.

        Returns:
            ``[batch, *shape]``.

        Raises:
            ShapeError, SupportError: ``known`` or ``mask`` has another shape, or a known value is impossible.
            ArgumentError: ``particles`` are needed and not given.

        Warns:
            DegenerateWeights: for half of the images fewer than 2 particles count.
        """
        rows = super().conditional_sample(
            self.flat(known, "known"), self._flat_mask(mask), context, particles=particles, generator=generator
        )
        return rows.reshape(-1, *self.event_shape)

    def conditional_log_prob(self, x: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(unknown pixels | known ones) in nats: ``[batch, *shape]`` or flat rows ``-> [batch]``.

        Exact where the known pixels come first, as an upper part of the image does; any other mask is refused by an
        `ArgumentError`.

        >>> import deepgen as dg
        >>> model = dg.explicit.PixelCNN((2, 2), channels=4, layers=2, generator=0)
        >>> upper = torch.tensor([[True, True], [False, False]])
        >>> model.conditional_log_prob(torch.ones(1, 2, 2), upper).item()  # a new model is near fair coins: -2 log 2
        -1.3...
        """
        return super().conditional_log_prob(self.flat(x), self._flat_mask(mask), context)

    def _flat_mask(self, mask: Tensor) -> Tensor:
        require_tensor(mask, "mask")
        return mask.flatten() if mask.shape == self.event_shape else self.flat(mask, "mask") if mask.ndim > 1 else mask

    def extra_repr(self) -> str:
        d = self.features
        return f"log_prob: 1 network pass; sample: 1 walk through {d} variables, or up to {d} network passes"
