"""A smooth network from a row to one number: what an energy model is made of."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import ShapeError, check_count
from deepgen.layers.linear import linear
from deepgen.layers.mlp import check_hidden
from deepgen.layers.standardised import moments
from deepgen.random import resolve


class ScalarMLP(nn.Module):
    """``[batch, *event] -> [batch]`` by layers with SiLU between them, of (x - shift) / scale.

    SiLU (x sigmoid(x)) is smooth, and so is the gradient with respect to rows, which Langevin moves follow and score
    matching fits; with rectifiers it would be constant in pieces. The output grows at most linearly with the row, so
    that a Gaussian base always normalises its exponential. It starts near zero. shift and scale are buffers, 0 and 1
    until `initialise`: rows far from mean 0 and variance 1 are learned many times more slowly.

    Args:
        features: values in a row.
        hidden: widths of the hidden layers.
        generator: source of the initial weights.

    Raises:
        ArgumentError: a width outside its range.
        ShapeError: in ``forward`` and ``initialise``, rows of another number of values.
        SupportError: in ``initialise``, NaN or infinite values.

    >>> ScalarMLP(12, hidden=[32, 32], generator=0)(torch.zeros(5, 3, 4)).shape
    torch.Size([5])
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, features: int, hidden: Sequence[int] = (128, 128), *, generator: torch.Generator | int | None = None
    ) -> None:
        super().__init__()
        check_count(features=features)
        check_hidden(hidden, residual=False)
        stream, widths = resolve(generator), [features, *hidden]
        self.features = int(features)
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.inner = nn.ModuleList(linear(a, b, generator=stream) for a, b in itertools.pairwise(widths))
        self.last = linear(widths[-1], 1, scale=0.01, generator=stream)

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "hidden": [layer.out_features for layer in self.inner]}

    @torch.no_grad()
    def initialise(self, x: Tensor) -> ScalarMLP:
        """Take shift and scale from rows ``x``, mean and deviation (1 where there is none), and return self.

        If all values are zeros and ones the scale is 1/2. By its deviation a bit that is on in one row of 50,000 would
        enter as 224 where it is on, and chains that turn it on are where no data hold the network.
        """
        mean, deviation = moments(x.flatten(1) if isinstance(x, Tensor) and x.ndim > 2 else x, self.features)
        self.shift.copy_(mean)
        self.scale.copy_(torch.full_like(deviation, 0.5) if bool(((x == 0) | (x == 1)).all()) else deviation)
        return self

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1:].numel() != self.features:
            raise ShapeError(f"rows must have {self.features} values, got {list(x.shape)}")
        h = (x.flatten(1) - self.shift) / self.scale
        for layer in self.inner:
            h = F.silu(layer(h))
        return self.last(h).squeeze(1)
