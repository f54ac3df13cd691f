"""A multilayer network for generators and discriminators of any shape of rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.layers.linear import linear
from deepgen.layers.mlp import check_hidden
from deepgen.random import resolve

SLOPE = 0.2  # of leaky rectifiers, as in DCGAN


class DenseNet(nn.Module):
    """``[rows, *inputs] -> [rows, *outputs]`` by linear layers with leaky rectifiers (slope 0.2) between them.

    Args:
        inputs: shape of a row, or its width.
        outputs: shape of what comes out, or its width; ``()``, one number a row: a discriminator.
        hidden: widths of the hidden layers.
        generator: source of the initial weights.

    >>> DenseNet(2, (28, 28), generator=0)(torch.zeros(5, 2)).shape, DenseNet((28, 28))(torch.zeros(5, 28, 28)).shape
    (torch.Size([5, 28, 28]), torch.Size([5]))
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        outputs: int | Sequence[int] = (),
        hidden: Sequence[int] = (128, 128),
        *,
        generator: torch.Generator | int | None = None,
    ) -> None:
        super().__init__()
        check_hidden(hidden, residual=False)
        self.inputs, self.outputs = shape_of(inputs), shape_of(outputs)
        widths, stream = [math.prod(self.inputs), *hidden], resolve(generator)
        self.inner = nn.ModuleList(linear(a, b, generator=stream) for a, b in itertools.pairwise(widths))
        self.last = linear(widths[-1], math.prod(self.outputs), generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        hidden = [layer.out_features for layer in self.inner]
        return {"inputs": list(self.inputs), "outputs": list(self.outputs), "hidden": hidden}

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:].numel() != math.prod(self.inputs):
            raise ShapeError(f"rows must be [rows, {', '.join(map(str, self.inputs))}], got {list(x.shape)}")
        h = x.flatten(1)
        for layer in self.inner:
            h = F.leaky_relu(layer(h), SLOPE)
        return self.last(h).view(len(x), *self.outputs)


def shape_of(shape: int | Sequence[int]) -> tuple[int, ...]:
    """A shape from one, or from a width.

    >>> shape_of(3), shape_of([28, 28])
    ((3,), (28, 28))
    """
    sides = (shape,) if isinstance(shape, int) else tuple(shape)
    for side in sides:
        check_count(side=side)
    return sides
