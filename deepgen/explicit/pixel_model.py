"""What `PixelCNN` and `GatedPixelCNN` do alike: from the features of pixels to logits, and the walks through pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepgen.explicit import pixel_walk
from deepgen.explicit.discrete import DiscreteAutoregressive
from deepgen.explicit.pixel_cache import PixelSteps, Walk
from deepgen.explicit.pixels import Heads, image_of


class PixelModel(DiscreteAutoregressive):
    """Base of both, which add the features of pixels and their two walks.

    Args:
        shape, channels, categories, context: as of `PixelCNN`.
        generator: of the initial weights of the heads.
    """

    def __init__(
        self, shape: Sequence[int], channels: int, categories: int, context: int, generator: torch.Generator
    ) -> None:
        image = image_of(shape)
        super().__init__(shape, categories, context)
        self.heads = Heads(image, channels, categories, generator)
        self.bias = nn.Parameter(torch.zeros(categories - 1, self.features))
        self._keep(self.heads.order())

    def pixel_features(self, x: Tensor, context: Tensor | None) -> Tensor:
        """``[batch, H, W, C] -> [batch, H, W, channels]`` of what comes before each pixel."""
        raise NotImplementedError

    def cached_walk(self, batch: int, context: Tensor | None) -> Walk:
        """A walk for ``batch`` images by tensor operations."""
        raise NotImplementedError

    def compiled_walk(self, context: Tensor | None, uniform: Tensor, *clamped: Any) -> tuple[Tensor, Tensor]:
        """`completion.walk` by a compiled kernel."""
        raise NotImplementedError

    def conditionals(self, x: Tensor, context: Tensor | None, order: Sequence[int]) -> Tensor:
        """Logits of all variables given those before: ``[features, batch] -> [categories - 1, features, batch]``."""
        images = self.heads.images(x)
        return self.heads(self.pixel_features(images, context), images) + self.bias.unsqueeze(2)

    def steps(self, batch: int, context: Tensor | None, order: Sequence[int]) -> PixelSteps:
        """The start of a walk for ``batch`` images."""
        return PixelSteps(self.heads, self.bias[:, order], batch, self.cached_walk(batch, context))

    def walk(
        self, order: Sequence[int], context: Tensor | None, uniform: Tensor, *clamped: Any
    ) -> tuple[Tensor, Tensor]:
        """`completion.walk` through the pixels, compiled where that serves."""
        if pixel_walk.serves(self, uniform):
            return self.compiled_walk(context, uniform, *clamped)
        return super().walk(order, context, uniform, *clamped)
