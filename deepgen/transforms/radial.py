"""Radial map: space is stretched or drawn together around a point (Rezende & Mohamed 2015, equations 13 and 14).

    z = x + b (x - c) / (a + r),   r = |x - c|,     log |det dz/dx| = (D - 1) log(1 + b h) + log(1 + b h - b r h^2)

with h = 1 / (a + r), a = e^{``log_a``} > 0 (its logarithm within log 1000) and b = -a + log(1 + e^{``raw_b``}) > -a,
so that it is invertible. Along each ray it is r -> r (1 + b h), a quadratic equation for r, and both directions are in
closed form:

    s = |z - c|:    r^2 + (a + b - s) r - a s = 0
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepgen.errors import check_count
from deepgen.layers.linear import linear
from deepgen.random import resolve
from deepgen.transforms.base import check_event
from deepgen.transforms.univariate import LIMIT, soft_bound


class Radial(nn.Module):
    """One radial map; close to the identity at the start.

    Args:
        features: number of variables.
        context: width of a context row that moves the centre, a and b; 0 for none.
        generator: source of the initial centre.

    >>> radial, x = Radial(2, generator=0), torch.ones(3, 2)
    >>> torch.allclose(radial.decode(radial.encode(x)[0])[0], x)
    True
    """

    def __init__(self, features: int, *, context: int = 0, generator: torch.Generator | int | None = None) -> None:
        super().__init__()
        check_count(features=features)
        check_count(0, context=context)
        stream = resolve(generator)
        self.features, self.context = int(features), int(context)
        values = torch.empty(features + 2).uniform_(-0.5, 0.5, generator=stream)
        values[features + 1] = math.log(math.e - 1)  # b = 1 - a, and a is near 1
        self.values = nn.Parameter(values)
        self.net = linear(context, features + 2, bias=False, scale=0.1, generator=stream) if context else None

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments, for `deepgen.save`."""
        return {"features": self.features, "context": self.context}

    def _values(self, rows: int, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        values = self.values.expand(rows, -1)
        if self.net is not None:
            values = values + self.net(context)
        centre, log_a, raw_b = values.split([self.features, 1, 1], 1)
        a = soft_bound(log_a, LIMIT).exp()
        return centre, a, F.softplus(raw_b) - a

    def encode(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``[batch, features] -> ([batch, features], [batch])``."""
        check_event(x, self.features)
        centre, a, b = self._values(len(x), context)
        apart = x - centre
        r = torch.linalg.vector_norm(apart, dim=1, keepdim=True)
        return x + b * apart / (a + r), self._log_det(r, a, b)

    def decode(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The inverse of `encode`."""
        check_event(z, self.features)
        centre, a, b = self._values(len(z), context)
        apart = z - centre
        s = torch.linalg.vector_norm(apart, dim=1, keepdim=True)
        p, q = a + b - s, (4 * a * s)
        root = torch.sqrt(p * p + q)
        # the positive root, in the form that subtracts nothing
        r = torch.where(p > 0, q / 2 / (p + root).clamp_min(torch.finfo(z.dtype).tiny), (root - p) / 2)
        return centre + apart / (1 + b / (a + r)), -self._log_det(r, a, b)

    def _log_det(self, r: Tensor, a: Tensor, b: Tensor) -> Tensor:
        h = 1 / (a + r)
        # 1 + b h - b r h^2 = 1 + a b h^2
        return ((self.features - 1) * torch.log1p(b * h) + torch.log1p(a * b * h * h)).squeeze(1)

    def extra_repr(self) -> str:
        return f"{self.features} features"
